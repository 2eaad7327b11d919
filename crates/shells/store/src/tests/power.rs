//! Loss of power and sudden death at any operation, also while a store is opened or a snapshot is written, and failing
//! writes and syncs before it: what was acknowledged is there, transactions are all or nothing, revisions go on. And the
//! test finds bugs that are planted.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{Reference, any_transaction};
use crate::simulated::{Plant, Random, SimFiles};
use crate::writer::Writer;
use crate::{Error, Files, Options, Revision};

/// Small, so that segments end and snapshots are written all the time.
fn options() -> Options {
    Options {
        history_revisions: 30,
        history_age: Duration::ZERO,
        segment_bytes: 16 * 1024,
        checkpoint_bytes: 16 * 1024,
        ..Options::default()
    }
}

/// One store through several crashes.
struct Trial {
    random: Random,
    now: Instant,
    disk: SimFiles,
    reference: Reference,
    /// The newest revision that a caller knows of.
    acknowledged: Revision,
    floor: Revision,
    crashes: u64,
    seen: Seen,
}

/// At what moments the crashes came.
#[derive(Debug, Default)]
struct Seen {
    while_opening: u64,
    during_snapshot: u64,
    after_fault: u64,
    snapshots: u64,
    revisions: u64,
}

impl Trial {
    fn run(seed: u64, disk: SimFiles, crashes: u64) -> Result<Trial, String> {
        let mut trial = Trial {
            random: Random::new(seed),
            now: Instant::now(),
            disk,
            reference: Reference::new(),
            acknowledged: 0,
            floor: 0,
            crashes: 0,
            seen: Seen::default(),
        };
        while trial.crashes < crashes {
            trial.live_and_crash()?;
        }
        let writer = trial.open()?.expect("nothing stops the last open");
        trial.check(&writer)?;
        trial.seen.revisions = trial.acknowledged;
        Ok(trial)
    }

    fn live_and_crash(&mut self) -> Result<(), String> {
        // Every third crash comes while the store is being opened.
        let soon = self.random.below(3) == 0;
        let operations = 1 + self.random.below(if soon { 8 } else { 400 });
        self.disk.stop_after(operations);
        match self.open()? {
            Some(writer) => self.write_until_it_stops(writer)?,
            None => self.seen.while_opening += 1,
        }
        self.crashes += 1;
        self.disk = match self.random.below(3) {
            0 => self.disk.after_kill(),
            _ => self.disk.after_power_loss(self.random.number()),
        };
        Ok(())
    }

    fn write_until_it_stops(&mut self, mut writer: Writer) -> Result<(), String> {
        self.check(&writer)?;
        let nth = 1 + self.random.below(300);
        match self.random.below(8) {
            0 => self.disk.fail_write(nth, io::ErrorKind::StorageFull),
            1 => self.disk.fail_sync(nth, io::ErrorKind::Other),
            _ => {}
        }
        let read_only = |writer: &Writer| writer.shared.read_only.lock().is_some();
        while !self.disk.stopped() && !read_only(&writer) {
            self.write(&mut writer)?;
        }
        self.seen.after_fault += u64::from(!self.disk.stopped());
        let unfinished = |name: &String| name.starts_with("snapshot") && name.ends_with(".new");
        self.seen.during_snapshot += u64::from(self.disk.list().unwrap().iter().any(unfinished));
        self.seen.snapshots += writer.shared.stats.lock().snapshots;
        Ok(())
    }

    /// None if the crash came before it was open.
    fn open(&self) -> Result<Option<Writer>, String> {
        match Writer::open(Arc::new(self.disk.clone()), options()) {
            Ok(writer) => Ok(Some(writer)),
            Err(_) if self.disk.stopped() => Ok(None),
            Err(error) => Err(format!("does not open: {error}")),
        }
    }

    /// What was acknowledged is there; of the group that was not, all or nothing.
    fn check(&mut self, writer: &Writer) -> Result<(), String> {
        let index = writer.shared.index.read();
        let found = index.revision();
        if found != self.acknowledged && found != self.reference.revision() {
            return Err(format!(
                "revision {found} after {} was acknowledged and {} was on its way",
                self.acknowledged,
                self.reference.revision()
            ));
        }
        if index.floor() > self.floor {
            return Err(format!("history begins at {} instead of {}", index.floor(), self.floor));
        }
        self.reference.truncate(found);
        self.acknowledged = found;
        self.reference.compare(&index)
    }

    fn write(&mut self, writer: &mut Writer) -> Result<(), String> {
        self.now += Duration::from_millis([10, 2000][usize::from(self.random.below(10) == 0)]);
        let mut expected = Vec::new();
        let mut group = Vec::new();
        for _ in 0..=self.random.below(4) {
            let transaction = any_transaction(&mut self.random, &self.reference);
            expected.push(self.reference.commit(&transaction));
            group.push(transaction);
        }
        for (outcome, expected) in writer.commit(group, self.now).into_iter().zip(expected) {
            match (outcome, expected) {
                (Ok(revision), Some(expected)) if revision == expected => self.acknowledged = revision,
                (Err(Error::Conflict { .. }), None) => {}
                (Err(Error::ReadOnly(_)), _) if writer.shared.read_only.lock().is_some() => {}
                (outcome, expected) => return Err(format!("{outcome:?} instead of revision {expected:?}")),
            }
        }
        for _ in 0..self.random.below(4) {
            writer.step(self.now);
        }
        self.floor = writer.shared.index.read().floor();
        Ok(())
    }
}

#[test]
fn what_was_acknowledged_survives_2400_losses_of_power_and_kills() {
    let mut seen = Seen::default();
    for seed in 0..300 {
        let trial = Trial::run(seed, SimFiles::new(), 8).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        seen.while_opening += trial.seen.while_opening;
        seen.during_snapshot += trial.seen.during_snapshot;
        seen.after_fault += trial.seen.after_fault;
        seen.snapshots += trial.seen.snapshots;
        seen.revisions += trial.seen.revisions;
    }
    let enough = seen.while_opening > 200 && seen.during_snapshot > 100 && seen.after_fault > 50;
    assert!(enough && seen.snapshots > 1000 && seen.revisions > 100_000, "the crashes miss something: {seen:?}");
}

#[test]
fn a_planted_bug_is_found() {
    for plant in [Plant::SkipSync, Plant::SkipDirSync, Plant::CommitBeforeData] {
        let found = (0..300).find_map(|seed| Trial::run(seed, SimFiles::planted(plant), 8).err());
        assert!(found.is_some(), "{plant:?} was not found in 2,400 crashes");
    }
}

#[test]
fn an_unfinished_write_is_cut_and_cleared() {
    let disk = SimFiles::new();
    let mut writer = Writer::open(Arc::new(disk.clone()), options()).unwrap();
    let now = Instant::now();
    writer.commit(vec![super::put("a", "1")], now)[0].as_ref().unwrap();
    disk.stop_after(1);
    assert!(writer.commit(vec![super::put("a", vec![7; 5000])], now)[0].is_err());
    let disk = disk.after_kill();
    let log = |disk: &SimFiles| disk.contents()["log-00000000000000000001"].clone();
    assert!(log(&disk)[1024..].contains(&7), "half of the write is there");
    let writer = Writer::open(Arc::new(disk.clone()), options()).unwrap();
    assert_eq!(writer.shared.index.read().revision(), 1);
    // The header's sector and the first group's are followed by nothing.
    assert!(log(&disk)[1024..].iter().all(|&byte| byte == 0));
}
