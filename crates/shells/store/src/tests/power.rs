//! Loss of power and sudden death at any operation, also while a store is opened: what was acknowledged is there,
//! transactions are all or nothing, revisions go on. And the test finds bugs that are planted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{Reference, any_transaction};
use crate::simulated::{Plant, Random, SimFiles};
use crate::writer::Writer;
use crate::{Error, Options, Revision};

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
        };
        while trial.crashes < crashes {
            trial.live_and_crash()?;
        }
        let writer = trial.open()?.expect("nothing stops the last open");
        trial.check(&writer)?;
        drop(writer);
        Ok(trial)
    }

    fn live_and_crash(&mut self) -> Result<(), String> {
        // Every third crash comes while the store is being opened.
        let soon = self.random.below(3) == 0;
        let operations = 1 + self.random.below(if soon { 8 } else { 400 });
        self.disk.stop_after(operations);
        if let Some(mut writer) = self.open()? {
            self.check(&writer)?;
            while !self.disk.stopped() {
                self.write(&mut writer)?;
            }
        }
        self.crashes += 1;
        self.disk = match self.random.below(3) {
            0 => self.disk.after_kill(),
            _ => self.disk.after_power_loss(self.random.number()),
        };
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
                (Err(Error::ReadOnly(_)), _) if self.disk.stopped() => {}
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
    let (mut crashes, mut revisions) = (0, 0);
    for seed in 0..300 {
        match Trial::run(seed, SimFiles::new(), 8) {
            Ok(trial) => (crashes, revisions) = (crashes + trial.crashes, revisions + trial.acknowledged),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    assert_eq!(crashes, 2400);
    assert!(revisions > 100_000, "only {revisions} revisions were written: the trials are too short");
}

#[test]
fn a_planted_bug_is_found() {
    for plant in [Plant::SkipSync, Plant::SkipDirSync, Plant::CommitBeforeData] {
        let found = (0..300).find_map(|seed| Trial::run(seed, SimFiles::planted(plant), 8).err());
        assert!(found.is_some(), "{plant:?} was not found in 2,400 crashes");
    }
}
