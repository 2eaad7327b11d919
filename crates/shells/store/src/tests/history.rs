//! The reference: every state a store went through, kept whole, and how a store is compared with it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::index::{Index, Scan};
use crate::simulated::Random;
use crate::{Event, Expect, KeyValue, Range, Revision, Transaction, Write};

type State = BTreeMap<String, KeyValue>;

/// One state for each revision, from 0.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    states: Vec<State>,
}

impl Reference {
    pub(super) fn new() -> Reference {
        Reference { states: vec![State::new()] }
    }

    pub(super) fn revision(&self) -> Revision {
        self.states.len() as Revision - 1
    }

    pub(super) fn at(&self, revision: Revision) -> &State {
        &self.states[revision as usize]
    }

    /// Carries a transaction out, if what it expects holds.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Option<Revision> {
        let now = self.states.last().unwrap();
        let holds = |expect: &Expect| match expect {
            Expect::Absent(key) => !now.contains_key(&**key),
            Expect::Modified(key, revision) => now.get(&**key).is_some_and(|v| v.modified == *revision),
        };
        if !transaction.expect.iter().all(holds) {
            return None;
        }
        let (mut next, revision) = (now.clone(), self.states.len() as Revision);
        for write in &transaction.writes {
            let old = next.remove(&**write.key());
            if let Write::Put(key, value) = write {
                let created = old.map_or(revision, |v| v.created);
                let item = KeyValue { key: key.clone(), value: value.clone(), created, modified: revision };
                next.insert(key.to_string(), item);
            }
        }
        self.states.push(next);
        Some(revision)
    }

    /// The events of one revision, in key order.
    pub(super) fn events(&self, revision: Revision, prefix: &str) -> Vec<Event> {
        let (before, after) = (self.at(revision - 1), self.at(revision));
        let mut keys: Vec<_> = before.keys().chain(after.keys()).filter(|k| k.starts_with(prefix)).collect();
        keys.sort();
        keys.dedup();
        // A value that was written again is an event, even if it is the same value.
        keys.into_iter()
            .filter(|k| before.get(*k) != after.get(*k))
            .map(|k| Event { revision, current: after.get(k).cloned(), previous: before.get(k).cloned() })
            .collect()
    }

    /// Forgets the states after a revision.
    pub(super) fn truncate(&mut self, revision: Revision) {
        self.states.truncate(revision as usize + 1);
    }

    /// Whether an index holds the same, at each revision it keeps.
    pub(super) fn compare(&self, index: &Index) -> Result<(), String> {
        for revision in index.floor()..=index.revision() {
            let mut scan = Scan::default();
            assert!(index.scan(&Range::prefix(""), revision, &mut scan, usize::MAX));
            if !scan.items.iter().eq(self.at(revision).values()) {
                return Err(format!("revision {revision} holds {:?} and not {:?}", scan.items, self.at(revision)));
            }
        }
        let history = index.history_after(index.floor()).map_err(|e| e.to_string())?;
        for (revision, events) in (index.floor() + 1..).zip(&history) {
            if sorted(events) != self.events(revision, "") {
                return Err(format!("the history has {events:?} at revision {revision}"));
            }
        }
        Ok(())
    }
}

/// Events in key order.
pub(super) fn sorted(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.sort_by_key(|e| e.key().clone());
    events
}

/// A transaction on a few keys, about half of them with an expectation that may hold.
pub(super) fn any_transaction(random: &mut Random, reference: &Reference) -> Transaction {
    let key = |random: &mut Random| format!("{}/{}", ["p", "q", "pods"][random.below(3) as usize], random.below(4));
    let mut transaction = Transaction::default();
    if random.below(2) == 0 {
        let key = key(random);
        let now = reference.at(reference.revision()).get(&key);
        transaction.expect.push(match (random.below(4), now) {
            (0, _) => Expect::Absent(key.as_str().into()),
            (1, _) | (_, None) => Expect::Modified(key.as_str().into(), random.below(reference.revision() + 1)),
            (_, Some(now)) => Expect::Modified(key.as_str().into(), now.modified),
        });
    }
    for _ in 0..=random.below(4) {
        let key = key(random);
        if transaction.writes.iter().any(|w| **w.key() == *key) {
            continue;
        }
        transaction.writes.push(match random.below(4) {
            0 => Write::Delete(key.as_str().into()),
            _ => Write::Put(key.as_str().into(), any_value(random)),
        });
    }
    transaction
}

/// Mostly short, sometimes several sectors long.
fn any_value(random: &mut Random) -> Bytes {
    let length = if random.below(4) == 0 { random.below(2500) } else { random.below(100) };
    // Not one byte over and over: a part of the value must not pass for another.
    let mut bytes = vec![0; length as usize];
    bytes.fill_with(|| random.number() as u8);
    bytes.into()
}
