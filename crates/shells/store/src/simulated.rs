//! For tests: a file layer in memory that loses power, fills up and breaks on demand, always alike for the same seed.
//!
//! What was written and not synced is kept apart. When the power goes, each of its sectors survives or not, by the
//! seed, so writes are dropped, torn and reordered; so do names that were not followed by a directory sync. It also plants
//! bugs ([`Plant`]), with which a crash test shows that it would find them.

mod disk;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use disk::{Contents, Disk, Fault, Renaming, due};
use parking_lot::Mutex;

use crate::files::{Files, OpenFile};

/// A file layer with a mistake in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A file's sync does nothing.
    SkipSync,
    /// A directory's sync does nothing.
    SkipDirSync,
    /// A sync makes the first sector of each write durable, which says that the data is valid, but not yet the data.
    CommitBeforeData,
}

/// Random numbers by a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that are the same for the same seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

/// Files in memory. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimFiles(Arc<Mutex<Disk>>);

impl SimFiles {
    /// An empty disk.
    pub fn new() -> SimFiles {
        SimFiles::default()
    }

    /// An empty disk with a mistake in its file layer.
    pub fn planted(plant: Plant) -> SimFiles {
        let disk = SimFiles::new();
        disk.0.lock().plant = Some(plant);
        disk
    }

    /// How many operations have changed something so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// How many syncs of files and of the directory there were.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// From the n-th operation from now on nothing is done any more: the process was killed, or the power is off.
    pub fn stop_after(&self, operations: u64) {
        let mut disk = self.0.lock();
        disk.stop_at = Some(disk.operations + operations);
    }

    /// Whether it has stopped.
    pub fn stopped(&self) -> bool {
        self.0.lock().stopped
    }

    /// A new process finds everything that was written.
    pub fn after_kill(&self) -> SimFiles {
        let mut disk = self.0.lock();
        (disk.stop_at, disk.stopped) = (None, false);
        (disk.failing_write, disk.failing_sync) = (None, None);
        drop(disk);
        self.clone()
    }

    /// After a loss of power the disk holds what was synced, and by the seed some of the rest.
    pub fn after_power_loss(&self, seed: u64) -> SimFiles {
        let mut disk = self.0.lock();
        let mut random = Random::new(seed);
        let files = disk.files.iter_mut().map(|contents| contents.after_power_loss(&mut random)).collect();
        let names = disk.names_after_power_loss(&mut random);
        let survivor = Disk { files, durable_names: names.clone(), names, plant: disk.plant, ..Disk::default() };
        SimFiles(Arc::new(Mutex::new(survivor)))
    }

    /// The n-th write from now on, counted from 1, fails and leaves half of its bytes; so do all later ones.
    pub fn fail_write(&self, nth: u64, kind: io::ErrorKind) {
        self.0.lock().failing_write = Some(Fault { countdown: nth, kind });
    }

    /// The n-th sync from now on, counted from 1, fails. As on Linux what it should have made durable never becomes so,
    /// though it can be read, and later syncs succeed again.
    pub fn fail_sync(&self, nth: u64, kind: io::ErrorKind) {
        self.0.lock().failing_sync = Some(Fault { countdown: nth, kind });
    }

    /// Damages a byte of a file for good.
    pub fn flip(&self, name: &str, offset: u64) {
        let mut disk = self.0.lock();
        let file = disk.names[name];
        disk.files[file].live[offset as usize] ^= 0x10;
        disk.files[file].durable[offset as usize] ^= 0x10;
    }

    /// All files with their bytes as a running system sees them.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.0.lock();
        disk.names.iter().map(|(name, &file)| (name.clone(), disk.files[file].live.clone())).collect()
    }
}

impl Files for SimFiles {
    fn place(&self) -> String {
        "the simulated disk".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let disk = self.0.lock();
        Ok(disk.files[disk.file(name)?].live.len() as u64)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let disk = self.0.lock();
        let rest = disk.files[disk.file(name)?].live.get(offset as usize..).unwrap_or_default();
        Ok(rest[..length.min(rest.len())].to_vec())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        let mut disk = self.0.lock();
        disk.operate()?;
        let file = disk.files.len();
        disk.files.push(Contents::default());
        disk.rename(Renaming::Set(name.to_owned(), file));
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        let file = self.0.lock().file(name)?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.operate()?;
        let file = disk.file(from)?;
        disk.rename(Renaming::Move(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.operate()?;
        disk.file(name)?;
        disk.rename(Renaming::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.operate()?;
        disk.syncs += 1;
        if let Some(kind) = due(&mut disk.failing_sync) {
            disk.renamings.clear();
            return Err(kind.into());
        }
        if disk.plant != Some(Plant::SkipDirSync) {
            disk.durable_names = disk.names.clone();
            disk.renamings.clear();
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimFiles,
    file: usize,
}

impl OpenFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.0.lock().write(self.file, offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.0.lock().sync(self.file)
    }
}
