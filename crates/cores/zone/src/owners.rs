//! The Services of a shard with their slices, as facts, in the order in which shards are built.

use std::sync::Arc;

use crate::facts::{Packed, ServiceFacts, SliceFacts};
use crate::shard::OwnerFacts;

/// Owners by hash and key. A shard has a few dozen, so a sorted row is small and fast.
#[derive(Default)]
pub(crate) struct Owners(Vec<(u64, Arc<[u8]>, Owner)>);

/// A Service and its slices, as far as they are known.
#[derive(Default)]
pub(crate) struct Owner {
    pub service: Option<Packed>,
    /// Sorted by name.
    slices: Vec<(Arc<str>, Packed)>,
}

impl Owners {
    /// Changes an owner, which comes into being by that and goes when nothing is left of it. Returns its key, shared.
    pub fn change(&mut self, hash: u64, key: &[u8], change: impl FnOnce(&mut Owner)) -> Arc<[u8]> {
        let at = match self.0.binary_search_by(|(other, name, _)| (*other, &**name).cmp(&(hash, key))) {
            Ok(at) => at,
            Err(at) => {
                // Doubling would leave a third of the room empty in every shard.
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(1 + self.0.len() / 8);
                }
                self.0.insert(at, (hash, key.into(), Owner::default()));
                at
            }
        };
        let (_, key, owner) = &mut self.0[at];
        change(owner);
        let key = key.clone();
        if owner.service.is_none() && owner.slices.is_empty() {
            self.0.remove(at);
        }
        key
    }

    /// Every Service with its facts.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64, OwnerFacts)> {
        self.0.iter().filter_map(|(hash, key, owner)| {
            let service = ServiceFacts::unpack(owner.service.as_ref()?);
            let slices = owner.slices.iter().map(|(_, packed)| SliceFacts::unpack(packed)).collect();
            Some((&**key, *hash, OwnerFacts { service, slices }))
        })
    }
}

impl Owner {
    /// A slice came or changed.
    pub fn set_slice(&mut self, name: Arc<str>, facts: Packed) {
        match self.slices.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(at) => self.slices[at].1 = facts,
            Err(at) => {
                // Most Services have one slice.
                self.slices.reserve_exact(1);
                self.slices.insert(at, (name, facts));
            }
        }
    }

    /// A slice is gone.
    pub fn remove_slice(&mut self, name: &str) {
        self.slices.retain(|(other, _)| **other != *name);
    }
}
