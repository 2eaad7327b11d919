//! The judgement of transactions that become durable together: each sees the index as the earlier ones leave it.

use std::collections::{HashMap, HashSet};

use crate::index::Index;
use crate::{Error, Expect, Key, KeyValue, Revision, Write};

/// The index as the earlier transactions of the group leave it.
pub(super) struct View<'a> {
    index: &'a Index,
    revision: Revision,
    changed: HashMap<Key, Option<KeyValue>>,
}

impl<'a> View<'a> {
    pub(super) fn of(index: &'a Index) -> View<'a> {
        View { index, revision: index.revision(), changed: HashMap::new() }
    }

    fn current(&self, key: &str) -> Option<KeyValue> {
        self.changed.get(key).cloned().unwrap_or_else(|| self.index.current(key))
    }

    /// The revision the transaction gets, or the first expectation that does not hold.
    pub(super) fn judge(&self, expect: &[Expect]) -> Result<Revision, Error> {
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

    pub(super) fn carry_out(&mut self, writes: &[Write]) {
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
pub(super) fn last_per_key(mut writes: Vec<Write>) -> Vec<Write> {
    if writes.len() > 1 {
        let mut seen = HashSet::new();
        writes.reverse();
        writes.retain(|write| seen.insert(write.key().clone()));
        writes.reverse();
    }
    writes
}
