//! The writer's upkeep, in small steps between commits: history that has become old goes, a snapshot takes the place of
//! the log before it, and an idle log is sealed.

use std::io;
use std::time::{Duration, Instant};

use super::Writer;
use crate::Revision;
use crate::snapshot::{Snapshot, SnapshotHeader};

/// A step of compaction frees so many revisions, and more under load.
const FORGET_STEP: u64 = 64;
/// So long after its last commit the log is sealed.
const SEAL_AFTER: Duration = Duration::from_secs(1);

/// The age of a revision is known to one part in so many of the age at which it may go.
const AGES: u32 = 16;

/// What was committed, or is to be done for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) revisions: u64,
    pub(super) bytes: u64,
}

impl Writer {
    /// Does one small piece of upkeep. True if there is more to do at once.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        let share = self.share();
        let crowded = self.age(now, share.revisions);
        let mut more = self.forget(share.revisions) | crowded;
        if self.shared.read_only.lock().is_some() {
            return more;
        }
        more |= self.checkpoint(share.bytes);
        if !more
            && self.log.wants_seal()
            && self.last_commit.is_none_or(|at| now.saturating_duration_since(at) >= SEAL_AFTER)
        {
            self.seal();
        }
        self.count();
        more
    }

    /// How much to do now: under load in proportion to what was committed, lest commits outrun the upkeep.
    fn share(&mut self) -> Share {
        let done = Share { revisions: self.shared.index.read().revision(), bytes: self.log.cost.bytes };
        let last = std::mem::replace(&mut self.last_step, done);
        let revisions = 2 * (done.revisions - last.revisions) + FORGET_STEP;
        Share { revisions, bytes: 2 * (done.bytes - last.bytes) }
    }

    /// How long the writer may sleep if nobody wakes it.
    pub(crate) fn patience(&self) -> Duration {
        let (revisions, _) = self.shared.index.read().history_size();
        let ages = revisions > self.options.history_revisions;
        match (self.log.wants_seal() && self.shared.read_only.lock().is_none(), ages) {
            (true, _) => SEAL_AFTER,
            (false, true) => (self.options.history_age / AGES).max(SEAL_AFTER),
            (false, false) => Duration::from_secs(3600),
        }
    }

    /// Says in the log that all of it is synced.
    pub(crate) fn seal(&mut self) {
        if self.log.wants_seal() && self.shared.read_only.lock().is_none() {
            let (_, floor) = self.next_and_floor();
            if let Err(error) = self.log.seal(floor) {
                self.stop(&error, "seal the log");
            }
        }
    }

    /// Moves the oldest readable revision on, as the options have it. True if it must go on at once:
    /// when they take too much memory, up to `most` of them go.
    fn age(&mut self, now: Instant, most: u64) -> bool {
        let mut index = self.shared.index.write();
        let newest = index.revision();
        let due = |&(at, _): &(Instant, Revision)| now.saturating_duration_since(at) >= self.options.history_age / AGES;
        if self.ages.back().is_none_or(due) {
            self.ages.push_back((now, newest));
        }
        let mut aged = None;
        while let Some(&(at, revision)) = self.ages.front()
            && now.saturating_duration_since(at) >= self.options.history_age
        {
            aged = Some(revision);
            self.ages.pop_front();
        }
        // The mark stays, for those revisions that could not go because there were too few newer ones.
        if let Some(revision) = aged {
            self.ages.push_front((now.checked_sub(self.options.history_age).unwrap_or(now), revision));
        }
        let spare = newest.saturating_sub(self.options.history_revisions);
        let mut before = aged.map_or(0, |aged| aged.min(spare));
        let (revisions, bytes) = index.history_size();
        // Not while older history waits to be freed: that may be enough.
        let crowded = bytes > self.options.history_bytes && index.is_tidy();
        if crowded {
            before = before.max(newest - revisions + most.min(revisions));
        }
        index.compact(before).expect("only revisions that are there are compacted");
        crowded
    }

    fn forget(&self, most: u64) -> bool {
        let pinned = self.snapshot.as_ref().map(|s| s.header.revision);
        self.shared.index.write().forget(pinned, most)
    }

    /// Begins, continues or completes a snapshot; writes a block, or more up to `bytes`.
    fn checkpoint(&mut self, bytes: u64) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return self.begin_snapshot() };
        match self.write_blocks(&mut snapshot, bytes) {
            Ok(true) => self.install_snapshot(snapshot),
            Ok(false) => self.snapshot = Some(snapshot),
            Err(error) => {
                self.postpone(&error);
                snapshot.abandon(&*self.files);
                return false;
            }
        }
        true
    }

    /// True once the file is complete.
    fn write_blocks(&self, snapshot: &mut Snapshot, bytes: u64) -> io::Result<bool> {
        let mut written = 0;
        loop {
            let (items, done) = snapshot.collect(&self.shared.index.read());
            written += snapshot.write(&items)?;
            if done {
                return snapshot.complete().map(|()| true);
            }
            if written >= bytes {
                return Ok(false);
            }
        }
    }

    fn begin_snapshot(&mut self) -> bool {
        let revision = self.shared.index.read().floor();
        if self.log.bytes_until(revision) < self.snapshot_after.max(self.snapshot_bytes) {
            return false;
        }
        let header = SnapshotHeader { revision, first_segment: self.log.first_after(revision) };
        match Snapshot::begin(&*self.files, header) {
            Ok(snapshot) => self.snapshot = Some(snapshot),
            Err(error) => self.postpone(&error),
        }
        self.snapshot.is_some()
    }

    fn install_snapshot(&mut self, mut snapshot: Snapshot) {
        match self.replace_log(&mut snapshot) {
            Ok(bytes) => {
                self.snapshot_bytes = bytes;
                self.snapshot_syncs += snapshot.syncs;
                self.snapshot_after = self.options.checkpoint_bytes;
                self.shared.stats.lock().snapshots += 1;
            }
            // The directory may hold either name now: the next open decides.
            Err(error) => drop(self.stop(&error, "replace the log by a snapshot")),
        }
    }

    fn replace_log(&mut self, snapshot: &mut Snapshot) -> io::Result<u64> {
        let bytes = snapshot.install(&*self.files)?;
        let old = |name: &String| {
            name.strip_prefix(Snapshot::KIND)
                .and_then(|n| n.strip_prefix('-')?.parse::<Revision>().ok())
                .is_some_and(|revision| revision < snapshot.header.revision)
        };
        for name in self.files.list()?.iter().filter(|name| old(name)) {
            self.files.remove(name)?;
        }
        self.log.remove_before(snapshot.header.first_segment)?;
        Ok(bytes)
    }

    /// Without a snapshot the log only grows: that can wait, until much more would go.
    fn postpone(&mut self, error: &io::Error) {
        let reclaimable = self.log.bytes_until(self.shared.index.read().floor());
        self.snapshot_after = reclaimable + self.options.checkpoint_bytes.max(1);
        tracing::warn!(%error, place = self.files.place(), "could not write a snapshot; the log keeps growing");
    }
}
