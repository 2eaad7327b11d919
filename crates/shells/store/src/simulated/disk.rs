//! The simulated disk: what was written, what was synced, and what of it survives.

use std::collections::BTreeMap;
use std::io;

use super::{Plant, Random};

/// What survives a loss of power whole or not at all.
const SECTOR: u64 = 512;

#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Never removed: a file may outlive its name.
    pub(super) files: Vec<Contents>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) durable_names: BTreeMap<String, usize>,
    /// The changes of names since the last directory sync.
    pub(super) renamings: Vec<Renaming>,
    pub(super) plant: Option<Plant>,
    /// How many operations have changed something, or tried to.
    pub(super) operations: u64,
    pub(super) stop_at: Option<u64>,
    pub(super) stopped: bool,
    pub(super) syncs: u64,
    pub(super) failing_write: Option<Fault>,
    pub(super) failing_sync: Option<Fault>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// As the running system sees it.
    pub(super) live: Vec<u8>,
    /// As the disk holds it for sure.
    pub(super) durable: Vec<u8>,
    /// The writes since the last sync.
    unsynced: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub(super) enum Renaming {
    Set(String, usize),
    Move(String, String, usize),
    Remove(String),
}

/// The n-th operation from now on fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) countdown: u64,
    pub(super) kind: io::ErrorKind,
}

impl Contents {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        overlay(&mut self.live, offset, bytes);
        self.unsynced.push((offset, bytes.to_vec()));
    }

    /// The first sectors of the unsynced writes, and what is behind them.
    fn split_first_sectors(&mut self) -> Vec<(u64, Vec<u8>)> {
        let first_sector = |offset: u64| (SECTOR - offset % SECTOR) as usize;
        let mut rest = Vec::new();
        for (offset, bytes) in &mut self.unsynced {
            let split = first_sector(*offset).min(bytes.len());
            rest.push((*offset + split as u64, bytes.split_off(split)));
        }
        std::mem::replace(&mut self.unsynced, rest)
    }

    fn make_durable(&mut self, writes: Vec<(u64, Vec<u8>)>) {
        for (offset, bytes) in writes {
            overlay(&mut self.durable, offset, &bytes);
        }
    }

    /// Each sector holds what was synced, or what one of the later writes left there.
    pub(super) fn after_power_loss(&self, random: &mut Random) -> Contents {
        let mut survivor = self.durable.clone();
        // From nearly nothing to nearly all.
        let chance = random.below(9);
        let mut cut: BTreeMap<u64, bool> = BTreeMap::new();
        for (offset, bytes) in &self.unsynced {
            for (at, piece) in sectors(*offset, bytes) {
                // Once a write to a sector is lost, so are the later ones to it.
                let lost = cut.entry(at / SECTOR).or_default();
                *lost |= random.below(8) >= chance;
                if !*lost {
                    overlay(&mut survivor, at, piece);
                }
            }
        }
        if random.below(2) == 0 && survivor.len() < self.live.len() {
            survivor.resize(self.live.len(), 0);
        }
        Contents { live: survivor.clone(), durable: survivor, unsynced: Vec::new() }
    }
}

impl Disk {
    /// Counts an operation; an error if there is nothing any more that could do it.
    pub(super) fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.stopped |= self.stop_at.is_some_and(|at| self.operations >= at);
        if self.stopped { Err(io::Error::other("simulated loss of power")) } else { Ok(()) }
    }

    pub(super) fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.renamings.push(renaming);
    }

    /// Some of the changes of names survive: those up to one, as in a journal, or any.
    pub(super) fn names_after_power_loss(&self, random: &mut Random) -> BTreeMap<String, usize> {
        let mut names = self.durable_names.clone();
        let journal = random.below(2) == 0;
        let mut lost = false;
        for renaming in &self.renamings {
            let survives = random.below(2) == 0;
            lost |= !survives;
            if if journal { !lost } else { survives } {
                renaming.apply(&mut names);
            }
        }
        names
    }

    pub(super) fn write(&mut self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let stopped = self.operate();
        if stopped.is_err() {
            // The process or the power went in the middle of it.
            if self.stop_at == Some(self.operations) {
                self.files[file].write(offset, &bytes[..bytes.len() / 2]);
            }
            return stopped;
        }
        if let Some(fault) = &mut self.failing_write {
            fault.countdown = fault.countdown.saturating_sub(1);
            if fault.countdown == 0 {
                let kind = fault.kind;
                self.files[file].write(offset, &bytes[..bytes.len() / 2]);
                return Err(kind.into());
            }
        }
        self.files[file].write(offset, bytes);
        Ok(())
    }

    pub(super) fn sync(&mut self, file: usize) -> io::Result<()> {
        self.operate()?;
        self.syncs += 1;
        let contents = &mut self.files[file];
        if let Some(kind) = due(&mut self.failing_sync) {
            contents.unsynced.clear();
            return Err(kind.into());
        }
        let durable = match self.plant {
            Some(Plant::SkipSync) => Vec::new(),
            Some(Plant::CommitBeforeData) => contents.split_first_sectors(),
            _ => std::mem::take(&mut contents.unsynced),
        };
        contents.make_durable(durable);
        Ok(())
    }
}

/// Whether it is time for a fault that happens once.
pub(super) fn due(fault: &mut Option<Fault>) -> Option<io::ErrorKind> {
    let waiting = fault.as_mut()?;
    waiting.countdown = waiting.countdown.saturating_sub(1);
    if waiting.countdown > 0 {
        return None;
    }
    fault.take().map(|f| f.kind)
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Renaming::Set(name, file) => drop(names.insert(name.clone(), *file)),
            Renaming::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Renaming::Remove(name) => drop(names.remove(name)),
        }
    }
}

/// A write, cut at the boundaries of sectors.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut at, mut rest) = (offset, bytes);
    std::iter::from_fn(move || {
        let length = ((SECTOR - at % SECTOR) as usize).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        let start = at;
        (at, rest) = (at + length as u64, behind);
        (length > 0).then_some((start, piece))
    })
}

fn overlay(contents: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if bytes.is_empty() {
        return;
    }
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[start..end].copy_from_slice(bytes);
}
