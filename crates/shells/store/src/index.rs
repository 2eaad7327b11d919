//! The store's contents in memory: every key with its versions, and the history of changes since the last compaction.
//!
//! Only the writer changes it, and only with what is durable. It does no I/O. History is given up in two steps:
//! [`Index::compact`] moves the oldest revision that may be read, [`Index::forget`] frees what no reader can reach any
//! more, a few revisions at a time, so that it never holds the lock for long.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Error, Event, Key, KeyValue, Range, Revision, Write};

/// What an event is taken to cost in memory, beside its values.
const EVENT_BYTES: usize = 256;

/// All keys and the kept history.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The versions of a key, oldest first, never none.
    keys: BTreeMap<Key, VecDeque<Version>>,
    /// The events of each revision after `forgotten`.
    history: VecDeque<Arc<[Event]>>,
    history_bytes: usize,
    revision: Revision,
    /// The oldest revision that may be read.
    floor: Revision,
    /// History up to here is gone from memory; at most `floor`.
    forgotten: Revision,
}

/// A key's value from one revision until the next version's.
#[derive(Debug)]
struct Version {
    created: Revision,
    modified: Revision,
    /// None if the key was removed.
    value: Option<Bytes>,
}

impl Version {
    fn key_value(&self, key: &Key) -> Option<KeyValue> {
        let value = self.value.clone()?;
        Some(KeyValue { key: key.clone(), value, created: self.created, modified: self.modified })
    }
}

/// A range read in parts: what has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) items: Vec<KeyValue>,
    pub(crate) remaining: usize,
    /// The last key looked at.
    last: Option<Key>,
}

impl Index {
    /// The index at the revision of a snapshot, whose keys are then loaded.
    pub(crate) fn at_snapshot(revision: Revision) -> Index {
        Index { revision, floor: revision, forgotten: revision, ..Index::default() }
    }

    /// Adds a key of the snapshot.
    pub(crate) fn load(&mut self, item: KeyValue) {
        let version = Version { created: item.created, modified: item.modified, value: Some(item.value) };
        self.keys.insert(item.key, VecDeque::from([version]));
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    /// The number of revisions in the history, and about how many bytes they hold.
    pub(crate) fn history_size(&self) -> (u64, usize) {
        (self.revision - self.floor, self.history_bytes)
    }

    /// Whether all history that cannot be read any more is freed.
    pub(crate) fn is_tidy(&self) -> bool {
        self.forgotten == self.floor
    }

    /// The revision to read: the newest, or one that is kept.
    pub(crate) fn readable(&self, at: Option<Revision>) -> Result<Revision, Error> {
        match at {
            None => Ok(self.revision),
            Some(asked) if asked > self.revision => Err(Error::Future { asked, newest: self.revision }),
            Some(asked) if asked < self.floor => Err(Error::Compacted { asked, oldest: self.floor }),
            Some(asked) => Ok(asked),
        }
    }

    pub(crate) fn current(&self, key: &str) -> Option<KeyValue> {
        let (key, versions) = self.keys.get_key_value(key)?;
        versions.back()?.key_value(key)
    }

    /// The value at a readable revision.
    pub(crate) fn at(&self, key: &str, revision: Revision) -> Option<KeyValue> {
        let (key, versions) = self.keys.get_key_value(key)?;
        version_at(versions, revision)?.key_value(key)
    }

    /// Carries the scan on by at most `budget` keys; true once it has come to the range's end.
    pub(crate) fn scan(&self, range: &Range, revision: Revision, scan: &mut Scan, budget: usize) -> bool {
        let start = match (&scan.last, &range.after) {
            (Some(last), _) => Bound::Excluded(&**last),
            (None, Some(after)) if **after >= *range.prefix => Bound::Excluded(after.as_str()),
            (None, _) => Bound::Included(range.prefix.as_str()),
        };
        let mut last = None;
        let mut keys = self.keys.range::<str, _>((start, Bound::Unbounded));
        for (key, versions) in keys.by_ref().take(budget) {
            if !key.starts_with(&range.prefix) {
                return true;
            }
            if let Some(version) = version_at(versions, revision)
                && version.value.is_some()
            {
                match range.limit {
                    Some(limit) if scan.items.len() >= limit => scan.remaining += 1,
                    _ => scan.items.extend(version.key_value(key)),
                }
            }
            last = Some(key);
        }
        scan.last = last.cloned().or(scan.last.take());
        keys.next().is_none()
    }

    /// Carries out the writes of one transaction as the next revision.
    pub(crate) fn apply(&mut self, writes: &[Write]) -> Arc<[Event]> {
        self.revision += 1;
        let events: Arc<[Event]> = writes.iter().filter_map(|write| self.write(write)).collect();
        self.history_bytes += cost(&events);
        self.history.push_back(events.clone());
        events
    }

    fn write(&mut self, write: &Write) -> Option<Event> {
        let revision = self.revision;
        let (key, value) = match write {
            Write::Put(key, value) => (key, Some(value.clone())),
            Write::Delete(key) => (key, None),
        };
        let previous = self.current(key);
        if value.is_none() && previous.is_none() {
            return None;
        }
        let created = previous.as_ref().map_or(revision, |p| p.created);
        let version = Version { created, modified: revision, value };
        // The index's own key is shared by every value and event.
        let key = previous.as_ref().map_or_else(|| key.clone(), |p| p.key.clone());
        let current = version.key_value(&key);
        self.keys.entry(key).or_insert_with(|| VecDeque::with_capacity(1)).push_back(version);
        Some(Event { revision, current, previous })
    }

    /// The events of the revisions after one that is kept, oldest first; a revision may have none.
    pub(crate) fn history_after(&self, after: Revision) -> Result<Vec<Arc<[Event]>>, Error> {
        let after = self.readable(Some(after))?;
        let skipped = (after - self.forgotten) as usize;
        Ok(self.history.iter().skip(skipped).cloned().collect())
    }

    /// No revision before this one can be read any more.
    pub(crate) fn compact(&mut self, before: Revision) -> Result<(), Error> {
        if before > self.revision {
            return Err(Error::Future { asked: before, newest: self.revision });
        }
        self.floor = self.floor.max(before);
        Ok(())
    }

    /// Frees up to `budget` revisions of history that cannot be read any more, but nothing that a reader of the revision
    /// `pinned` needs. True if there is more to free.
    pub(crate) fn forget(&mut self, pinned: Option<Revision>, budget: u64) -> bool {
        let until = pinned.map_or(self.floor, |p| p.min(self.floor));
        for _ in 0..budget {
            if self.forgotten == until {
                return false;
            }
            self.forgotten += 1;
            let events = self.history.pop_front().expect("history holds every revision after `forgotten`");
            self.history_bytes -= cost(&events);
            for event in &*events {
                self.forget_before(event.key(), event.revision);
            }
        }
        self.forgotten < until
    }

    /// Drops the versions of a key that were replaced by a revision, and the mark of its removal.
    fn forget_before(&mut self, key: &str, revision: Revision) {
        let Some(versions) = self.keys.get_mut(key) else { return };
        let replaced = versions.partition_point(|v| v.modified < revision);
        let removed = versions.get(replaced).is_some_and(|v| v.modified == revision && v.value.is_none());
        versions.drain(..replaced + usize::from(removed));
        if versions.is_empty() {
            self.keys.remove(key);
        } else if versions.capacity() > 4 * versions.len() {
            versions.shrink_to_fit();
        }
    }
}

fn version_at(versions: &VecDeque<Version>, revision: Revision) -> Option<&Version> {
    let after = versions.partition_point(|v| v.modified <= revision);
    versions.get(after.checked_sub(1)?)
}

fn cost(events: &[Event]) -> usize {
    let values = |e: &Event| e.previous.as_ref().map_or(0, |p| p.value.len());
    events.iter().map(|e| EVENT_BYTES + values(e)).sum()
}
