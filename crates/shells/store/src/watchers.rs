//! The watchers: who wants to hear of which keys.
//!
//! They are found by the prefixes of a changed key, so a commit costs as much as the watchers it concerns. Each has a
//! bounded queue; who lets it run full is dropped and told so, and never slows a commit down.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::{Error, Event, Revision, Watch};

type Events = Arc<[Event]>;

/// Everybody who watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    by_prefix: HashMap<Arc<str>, Vec<Watcher>>,
    /// How many watched prefixes have a length.
    lengths: BTreeMap<usize, usize>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    queue: mpsc::Sender<Events>,
    /// Why the queue ended, for the stream to say once it has delivered what is in it.
    end: Arc<OnceLock<Error>>,
}

impl Watchers {
    /// Hands the events of one revision to whom they concern.
    pub(crate) fn publish(&mut self, events: &Events) {
        for (prefix, matching) in self.matching(events) {
            let shared = if matching.len() == events.len() {
                events.clone()
            } else {
                matching.into_iter().map(|i| events[i].clone()).collect()
            };
            self.send(&prefix, &shared);
        }
    }

    /// The watched prefixes with the events that they match.
    fn matching(&self, events: &[Event]) -> HashMap<Arc<str>, Vec<usize>> {
        let mut found: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (i, event) in events.iter().enumerate() {
            let key = event.key();
            for prefix in self.lengths.keys().map_while(|&length| key.as_bytes().get(..length)) {
                // A length that cuts a character in two belongs to another key's prefix.
                let prefix = std::str::from_utf8(prefix).ok().and_then(|p| self.by_prefix.get_key_value(p));
                if let Some((prefix, _)) = prefix {
                    found.entry(prefix.clone()).or_default().push(i);
                }
            }
        }
        found
    }

    fn send(&mut self, prefix: &str, events: &Events) {
        let Some(watchers) = self.by_prefix.get_mut(prefix) else { return };
        let revision = events[0].revision;
        watchers.retain(|watcher| match watcher.queue.try_send(events.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                let behind = Error::Compacted { asked: revision, oldest: revision + 1 };
                watcher.end.set(behind).expect("a watcher ends once: it is dropped here");
                false
            }
            Err(TrySendError::Closed(_)) => false,
        });
        self.tidy(prefix);
    }

    fn tidy(&mut self, prefix: &str) {
        if self.by_prefix.get(prefix).is_some_and(Vec::is_empty) {
            self.by_prefix.remove(prefix);
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }

    fn add(&mut self, prefix: &Arc<str>, watcher: Watcher) {
        let watchers = self.by_prefix.entry(prefix.clone()).or_default();
        if watchers.is_empty() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        watchers.push(watcher);
    }

    fn remove(&mut self, prefix: &str, id: u64) {
        if let Some(watchers) = self.by_prefix.get_mut(prefix) {
            watchers.retain(|w| w.id != id);
            self.tidy(prefix);
        }
    }

    /// Ends every watch: the store stops.
    pub(crate) fn close(&mut self, why: &Error) {
        self.closed = true;
        for watcher in self.by_prefix.values().flatten() {
            watcher.end.set(why.clone()).expect("a watcher ends once: it is dropped here");
        }
        self.by_prefix.clear();
        self.lengths.clear();
    }

    /// The number of watchers.
    pub(crate) fn count(&self) -> usize {
        self.by_prefix.values().map(Vec::len).sum()
    }
}

/// One watch: first the replayed history, then what is published.
#[derive(Debug)]
pub(crate) struct Subscription {
    watchers: Weak<Mutex<Watchers>>,
    prefix: Arc<str>,
    id: u64,
    replay: VecDeque<Events>,
    queue: mpsc::Receiver<Events>,
    end: Arc<OnceLock<Error>>,
    ended: bool,
}

impl Subscription {
    /// Enters a watcher. It gets whatever is published after the revision that `newest` then tells.
    pub(crate) fn new(
        watchers: &Arc<Mutex<Watchers>>,
        prefix: &str,
        capacity: usize,
        newest: impl FnOnce() -> Revision,
    ) -> (Subscription, Revision) {
        let prefix: Arc<str> = Arc::from(prefix);
        let (sender, queue) = mpsc::channel(capacity.max(1));
        let end = Arc::new(OnceLock::new());
        let mut entered = watchers.lock();
        let id = entered.next;
        entered.next += 1;
        if !entered.closed {
            entered.add(&prefix, Watcher { id, queue: sender, end: end.clone() });
        }
        let newest = newest();
        drop(entered);
        let (watchers, replay) = (Arc::downgrade(watchers), VecDeque::new());
        (Subscription { watchers, prefix, id, replay, queue, end, ended: false }, newest)
    }

    /// Puts history before what is published: the events up to `until`, the newest revision when the watcher was entered.
    pub(crate) fn replay(&mut self, history: Vec<Events>, until: Revision) {
        for events in history {
            let wanted = |e: &&Event| e.key().starts_with(&*self.prefix);
            let count = events.iter().filter(wanted).count();
            if count == 0 || events[0].revision > until {
                continue;
            }
            let all = count == events.len();
            self.replay.push_back(if all { events } else { events.iter().filter(wanted).cloned().collect() });
        }
    }

    async fn next(&mut self) -> Option<Result<Events, Error>> {
        if let Some(events) = self.replay.pop_front() {
            return Some(Ok(events));
        }
        if self.ended {
            return None;
        }
        if let Some(events) = self.queue.recv().await {
            return Some(Ok(events));
        }
        self.ended = true;
        self.end.get().cloned().map(Err)
    }

    pub(crate) fn stream(self) -> Watch {
        Box::pin(futures::stream::unfold(self, async |mut watch| watch.next().await.map(|item| (item, watch))))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(watchers) = self.watchers.upgrade() {
            watchers.lock().remove(&self.prefix, self.id);
        }
    }
}
