//! Work that falls into keys: several keys at once, each with a back-off of its own.
//!
//! ```text
//!   mark ──► marked ──take──► under way ──next──► done ─────────────► (nothing is kept)
//!              ▲                              └─► behind, failed ──► paused ──┐
//!              └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! Whoever owns a [`Queue`] takes a marked key, plans, and either starts the writes or says that there are none. A key
//! that is marked while it is under way is taken again afterwards; one that waits out a pause is not taken before its
//! end. Keys are taken in the order in which they were marked, whatever is marked again and again. Being behind the
//! server and failing are counted apart, since the one is over in a moment and the other is not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::error::Error;
use std::future::{Future, pending};
use std::hash::Hash;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::{LastRun, chain, doubled};

/// How long a key pauses, the first time and at most.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// After a failure.
    pub failed: (Duration, Duration),
    /// After the server said that our cache is behind.
    pub behind: (Duration, Duration),
}

/// Setbacks of one key since its last success.
#[derive(Clone, Copy, Debug, Default)]
struct Setbacks {
    failed: u32,
    behind: u32,
}

/// The keys of a loop, and what is under way for them. `O` is what comes of the work for one key. Its [`LastRun`] counts
/// the work for single keys.
pub struct Queue<K, O> {
    at_once: usize,
    pauses: Pauses,
    shown: watch::Sender<LastRun>,
    marked: HashSet<K>,
    /// The marked keys by age; those that were forgotten since are passed over.
    order: VecDeque<K>,
    busy: HashSet<K>,
    /// Keys that were marked while they were under way.
    again: HashSet<K>,
    under_way: FuturesUnordered<BoxFuture<'static, (K, O)>>,
    setbacks: HashMap<K, Setbacks>,
    paused: HashMap<K, Instant>,
    /// The same pauses, in the order of their ends.
    due: BTreeSet<(Instant, K)>,
    /// The keys that failed last time, and what was said.
    failing: BTreeMap<K, String>,
}

impl<K: std::fmt::Debug, O> std::fmt::Debug for Queue<K, O> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (marked, busy, paused) = (&self.marked, &self.busy, &self.paused);
        out.debug_struct("Queue").field("marked", marked).field("busy", busy).field("paused", paused).finish()
    }
}

impl<K: Clone + Ord + Hash + Send + 'static, O: Send + 'static> Queue<K, O> {
    /// An empty queue, of which so many keys may be under way at once.
    pub fn new(at_once: usize, pauses: Pauses, shown: watch::Sender<LastRun>) -> Queue<K, O> {
        Queue {
            at_once,
            pauses,
            shown,
            marked: HashSet::new(),
            order: VecDeque::new(),
            busy: HashSet::new(),
            again: HashSet::new(),
            under_way: FuturesUnordered::new(),
            setbacks: HashMap::new(),
            paused: HashMap::new(),
            due: BTreeSet::new(),
            failing: BTreeMap::new(),
        }
    }

    /// Has a key looked at. One that pauses is looked at anyway when that is over.
    pub fn mark(&mut self, key: K) {
        if self.busy.contains(&key) {
            self.again.insert(key);
        } else if !self.paused.contains_key(&key) && self.marked.insert(key.clone()) {
            self.order.push_back(key);
        }
    }

    /// A marked key that may be worked on, if there is one and not too many are under way.
    pub fn take(&mut self) -> Option<K> {
        if self.busy.len() >= self.at_once {
            return None;
        }
        while let Some(key) = self.order.pop_front() {
            if self.marked.remove(&key) {
                return Some(key);
            }
        }
        None
    }

    /// Starts the work for a key that was taken.
    pub fn start(&mut self, key: K, work: impl Future<Output = O> + Send + 'static) {
        self.busy.insert(key.clone());
        self.under_way.push(Box::pin(async move { (key, work.await) }));
    }

    /// Waits until work is over, and says what came of it, or until a pause is over, so that a key can be taken. Loses
    /// nothing if it is dropped meanwhile.
    pub async fn next(&mut self) -> Option<(K, O)> {
        let end = self.due.first().map(|(end, _)| *end);
        let rest = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some((key, outcome)) = self.under_way.next() => {
                self.busy.remove(&key);
                if self.again.remove(&key) {
                    self.mark(key.clone());
                }
                Some((key, outcome))
            }
            () = rest => {
                self.resume(Instant::now());
                None
            }
        }
    }

    /// The work for a key succeeded.
    pub fn done(&mut self, key: &K) {
        self.setbacks.remove(key);
        self.failing.remove(key);
        self.show(1);
    }

    /// A key needs nothing: what went wrong before counts no more.
    pub fn settled(&mut self, key: &K) {
        self.setbacks.remove(key);
        self.fails_no_more(key);
    }

    /// What a key was planned from is behind the server. That is no failure; it is planned again in a moment.
    pub fn behind(&mut self, key: K) {
        let count = &mut self.setbacks.entry(key.clone()).or_default().behind;
        *count += 1;
        let pause = doubled(self.pauses.behind, *count);
        self.pause(key, pause);
        self.show(1);
    }

    /// The work for a key failed. It is planned again after a pause.
    pub fn failed(&mut self, key: K, error: &dyn Error) {
        let count = &mut self.setbacks.entry(key.clone()).or_default().failed;
        *count += 1;
        let pause = doubled(self.pauses.failed, *count);
        self.failing.insert(key.clone(), chain(error));
        self.pause(key, pause);
        self.show(1);
    }

    /// A key is no more: nothing of it is kept, except what is under way.
    pub fn forget(&mut self, key: &K) {
        self.marked.remove(key);
        self.again.remove(key);
        self.setbacks.remove(key);
        self.end_pause(key);
        self.fails_no_more(key);
    }

    fn fails_no_more(&mut self, key: &K) {
        if self.failing.remove(key).is_some() {
            self.show(0);
        }
    }

    /// A key that fails is shown until it fails no more, whatever becomes of the others.
    fn show(&self, more_runs: u64) {
        self.shown.send_modify(|last| {
            let failures = u32::try_from(self.failing.len()).unwrap_or(u32::MAX);
            *last = LastRun { runs: last.runs + more_runs, failures, error: self.failing.values().next().cloned() };
        });
    }

    fn pause(&mut self, key: K, pause: Duration) {
        self.end_pause(&key);
        self.marked.remove(&key);
        let end = Instant::now() + pause;
        self.paused.insert(key.clone(), end);
        self.due.insert((end, key));
    }

    fn end_pause(&mut self, key: &K) {
        if let Some(end) = self.paused.remove(key) {
            self.due.remove(&(end, key.clone()));
        }
    }

    /// Marks the keys whose pauses are over.
    fn resume(&mut self, now: Instant) {
        while let Some((_, key)) = self.due.first().filter(|(end, _)| *end <= now).cloned() {
            self.end_pause(&key);
            self.mark(key);
        }
    }
}

#[cfg(test)]
mod tests;
