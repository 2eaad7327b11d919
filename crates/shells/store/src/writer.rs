//! The writer: the one owner of the log and the only one who changes the index.
//!
//! It takes all transactions that wait as one group, judges each against the index and the earlier ones of the group,
//! makes the group durable with one sync, and only then shows it to readers and watchers and answers. In between it does
//! the upkeep (compaction, snapshots, seals) in small steps. It knows no threads: [`crate::Embedded`] runs it in one,
//! tests call it directly.

mod upkeep;
mod view;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::files::Files;
use crate::group::Group;
use crate::index::Index;
use crate::log::Log;
use crate::recovery::{Recovered, recover};
use crate::snapshot::Snapshot;
use crate::watchers::Watchers;
use crate::{Error, Options, Revision, Stats, Transaction, Write};
use upkeep::Share;
use view::{View, last_per_key};

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
    /// What had been committed when the last step of upkeep was done.
    last_step: Share,
}

/// A transaction that was judged.
struct Judged {
    outcome: Result<Revision, Error>,
    writes: Vec<Write>,
}

impl Writer {
    pub(crate) fn open(files: Arc<dyn Files>, options: Options) -> Result<Writer, Error> {
        let Recovered { index, log, snapshot_bytes } = recover(&files, options.segment_bytes)?;
        let revisions = index.revision();
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
            last_step: Share { revisions, bytes: 0 },
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
        let mut view = View::of(&index);
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

    fn count(&self) {
        let mut stats = self.shared.stats.lock();
        stats.syncs = self.log.cost.syncs;
        stats.upkeep_syncs = self.log.cost.upkeep_syncs + self.snapshot_syncs;
        stats.bytes = self.log.cost.bytes;
        stats.log_bytes = self.log.bytes();
    }
}
