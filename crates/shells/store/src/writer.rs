//! The writer: the one owner of the log and the only one who changes the index.
//!
//! It takes all transactions that wait as one group, judges each against the index and the earlier ones of the group,
//! makes the group durable with one sync, and only then shows it to readers and watchers and answers. In between it does
//! the upkeep (compaction, snapshots, seals) in small steps. It knows no threads: [`crate::Embedded`] runs it in one,
//! tests call it directly.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::files::Files;
use crate::group::Group;
use crate::index::Index;
use crate::log::Log;
use crate::recovery::{Recovered, recover};
use crate::snapshot::{Snapshot, SnapshotHeader};
use crate::watchers::Watchers;
use crate::{Error, Expect, Key, KeyValue, Options, Revision, Stats, Transaction, Write};

/// A step of compaction frees so many revisions.
const FORGET_STEP: usize = 64;
/// So long after its last commit the log is sealed.
const SEAL_AFTER: Duration = Duration::from_secs(1);

/// What the writer shares with readers and watchers.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Many read for long, one writes for moments: a read-write lock. It is taken after `watchers` where both are needed.
    pub(crate) index: RwLock<Index>,
    /// Held while a group is applied and handed out, so that a new watcher stands before or after it.
    pub(crate) watchers: Arc<Mutex<Watchers>>,
    pub(crate) read_only: Mutex<Option<Arc<str>>>,
    pub(crate) stats: Mutex<Stats>,
}

impl Shared {
    fn refusal(&self) -> Option<Error> {
        self.read_only.lock().clone().map(Error::ReadOnly)
    }
}

/// The log, the upkeep, and the way to change what is shared.
#[derive(Debug)]
pub(crate) struct Writer {
    files: Arc<dyn Files>,
    options: Options,
    log: Log,
    pub(crate) shared: Arc<Shared>,
    snapshot: Option<Snapshot>,
    snapshot_bytes: u64,
    snapshot_syncs: u64,
    /// No snapshot is begun before so much of the log can go: after a failure, more than before.
    snapshot_after: u64,
    /// Which revision was the newest when, oldest first.
    ages: VecDeque<(Instant, Revision)>,
    last_commit: Option<Instant>,
}

/// A transaction that was judged.
struct Judged {
    outcome: Result<Revision, Error>,
    writes: Vec<Write>,
}

impl Writer {
    pub(crate) fn open(files: Arc<dyn Files>, options: Options) -> Result<Writer, Error> {
        let Recovered { index, log, snapshot_bytes } = recover(&files, options.segment_bytes)?;
        let shared = Arc::new(Shared {
            index: RwLock::new(index),
            watchers: Arc::default(),
            read_only: Mutex::default(),
            stats: Mutex::default(),
        });
        let snapshot_after = options.checkpoint_bytes;
        Ok(Writer {
            files,
            options,
            log,
            shared,
            snapshot: None,
            snapshot_bytes,
            snapshot_syncs: 0,
            snapshot_after,
            ages: VecDeque::new(),
            last_commit: None,
        })
    }

    /// Carries out transactions in order and makes them durable together. The outcomes stand in the same order.
    pub(crate) fn commit(&mut self, transactions: Vec<Transaction>, now: Instant) -> Vec<Result<Revision, Error>> {
        if let Some(refusal) = self.shared.refusal() {
            return vec![Err(refusal); transactions.len()];
        }
        let (judged, group) = self.judge(transactions);
        let carried_out = judged.iter().filter(|j| j.outcome.is_ok()).count() as u64;
        if !group.is_empty() {
            let (first, floor) = self.next_and_floor();
            if let Err(error) = self.log.append(group, first, carried_out, floor) {
                let refusal = self.stop(&error, "write to the log");
                return vec![Err(refusal); judged.len()];
            }
            self.last_commit = Some(now);
        }
        self.publish(&judged);
        let mut stats = self.shared.stats.lock();
        stats.commits += carried_out;
        stats.conflicts += judged.len() as u64 - carried_out;
        stats.groups += u64::from(carried_out > 0);
        drop(stats);
        self.count();
        judged.into_iter().map(|j| j.outcome).collect()
    }

    fn judge(&self, transactions: Vec<Transaction>) -> (Vec<Judged>, Group) {
        let index = self.shared.index.read();
        let mut view = View { index: &index, revision: index.revision(), changed: HashMap::new() };
        let mut group = Group::new();
        let judged = transactions.into_iter().map(|transaction| {
            let outcome = view.judge(&transaction.expect);
            let writes = if outcome.is_ok() { last_per_key(transaction.writes) } else { Vec::new() };
            if outcome.is_ok() {
                view.carry_out(&writes);
                group.push(&writes);
            }
            Judged { outcome, writes }
        });
        (judged.collect(), group)
    }

    /// Shows a durable group to readers and watchers.
    fn publish(&self, judged: &[Judged]) {
        let mut watchers = self.shared.watchers.lock();
        let mut index = self.shared.index.write();
        let carried_out = judged.iter().filter(|j| j.outcome.is_ok());
        let events: Vec<_> = carried_out.map(|j| index.apply(&j.writes)).collect();
        drop(index);
        for events in events.iter().filter(|events| !events.is_empty()) {
            watchers.publish(events);
        }
    }

    fn next_and_floor(&self) -> (Revision, Revision) {
        let index = self.shared.index.read();
        (index.revision() + 1, index.floor())
    }

    /// Takes no writes any more, and says why.
    fn stop(&self, error: &io::Error, doing: &str) -> Error {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on that disk, then restart",
            _ => "check that disk, then restart",
        };
        let why: Arc<str> = Arc::from(format!("could not {doing} in {}: {error}; {remedy}", self.files.place()));
        tracing::error!(%why, "the store is read-only from now on");
        let mut read_only = self.shared.read_only.lock();
        Error::ReadOnly(read_only.get_or_insert(why).clone())
    }

    /// Does one small piece of upkeep. True if there is more to do at once.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        let crowded = self.age(now);
        if self.shared.read_only.lock().is_some() {
            return self.forget() | crowded;
        }
        let more = self.forget() | self.checkpoint() | crowded;
        if !more
            && self.log.wants_seal()
            && self.last_commit.is_none_or(|at| now.saturating_duration_since(at) >= SEAL_AFTER)
        {
            self.seal();
        }
        self.count();
        more
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

    /// Moves the oldest readable revision on, as the options have it. True if it must go on at once.
    fn age(&mut self, now: Instant) -> bool {
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
            before = before.max(newest - revisions + (FORGET_STEP as u64).min(revisions));
        }
        index.compact(before).expect("only revisions that are there are compacted");
        crowded
    }

    fn forget(&self) -> bool {
        let pinned = self.snapshot.as_ref().map(|s| s.header.revision);
        self.shared.index.write().forget(pinned, FORGET_STEP)
    }

    /// Begins, continues or completes a snapshot.
    fn checkpoint(&mut self) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return self.begin_snapshot() };
        let (items, done) = snapshot.collect(&self.shared.index.read());
        if let Err(error) = snapshot.write(&items) {
            self.give_up(snapshot, &error);
            return false;
        }
        if done {
            self.finish_snapshot(snapshot);
        } else {
            self.snapshot = Some(snapshot);
        }
        true
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

    fn finish_snapshot(&mut self, mut snapshot: Snapshot) {
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
        let bytes = snapshot.finish(&*self.files)?;
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

    fn give_up(&mut self, snapshot: Snapshot, error: &io::Error) {
        self.postpone(error);
        snapshot.abandon(&*self.files);
    }

    /// Without a snapshot the log only grows: that can wait, until much more would go.
    fn postpone(&mut self, error: &io::Error) {
        let reclaimable = self.log.bytes_until(self.shared.index.read().floor());
        self.snapshot_after = reclaimable + self.options.checkpoint_bytes.max(1);
        tracing::warn!(%error, place = self.files.place(), "could not write a snapshot; the log keeps growing");
    }

    fn count(&self) {
        let watchers = self.shared.watchers.lock().count() as u64;
        let mut stats = self.shared.stats.lock();
        stats.syncs = self.log.cost.syncs;
        stats.upkeep_syncs = self.log.cost.upkeep_syncs + self.snapshot_syncs;
        stats.bytes = self.log.cost.bytes;
        stats.log_bytes = self.log.bytes();
        stats.watchers = watchers;
    }
}

/// The age of a revision is known to one part in so many of the age at which it may go.
const AGES: u32 = 16;

/// The index as the earlier transactions of the group leave it.
struct View<'a> {
    index: &'a Index,
    revision: Revision,
    changed: HashMap<Key, Option<KeyValue>>,
}

impl View<'_> {
    fn current(&self, key: &str) -> Option<KeyValue> {
        self.changed.get(key).cloned().unwrap_or_else(|| self.index.current(key))
    }

    /// The revision the transaction gets, or the first expectation that does not hold.
    fn judge(&self, expect: &[Expect]) -> Result<Revision, Error> {
        for expected in expect {
            let (key, modified) = match expected {
                Expect::Absent(key) => (key, None),
                Expect::Modified(key, revision) => (key, Some(*revision)),
            };
            let current = self.current(key);
            if current.as_ref().map(|c| c.modified) != modified {
                return Err(Error::Conflict { key: key.clone(), current });
            }
        }
        Ok(self.revision + 1)
    }

    fn carry_out(&mut self, writes: &[Write]) {
        self.revision += 1;
        for write in writes {
            let value = match write {
                Write::Delete(_) => None,
                Write::Put(key, value) => {
                    let created = self.current(key).map_or(self.revision, |c| c.created);
                    Some(KeyValue { key: key.clone(), value: value.clone(), created, modified: self.revision })
                }
            };
            self.changed.insert(write.key().clone(), value);
        }
    }
}

/// A key stands in at most one write; where a caller disregards that, the last one counts.
fn last_per_key(mut writes: Vec<Write>) -> Vec<Write> {
    if writes.len() > 1 {
        let mut seen = HashSet::new();
        writes.reverse();
        writes.retain(|write| seen.insert(write.key().clone()));
        writes.reverse();
    }
    writes
}
