//! Whether a cache has caught up with our own writes (S-215).
//!
//! Acting on slices older than what we wrote would undo it, or write it twice. Whoever plans keeps one value per
//! Service, notes each answer of the server in it, and plans later while the cache is stale.

use std::collections::BTreeMap;

use api::EndpointSlice;

/// What a cache has to show of one Service's slices before it may be acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    by_uid: BTreeMap<String, Expected>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A slice of at least this generation.
    AtLeast(i64),
    /// No slice.
    Gone,
}

/// What a cache has not seen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The slice with this uid that we created.
    Missing(String),
    /// Our last write to the slice with this uid.
    Old(String),
    /// Our deletion of the slice with this uid.
    NotDeleted(String),
}

impl Expectations {
    /// Notes a slice as the server returned it for a POST or PUT.
    pub fn wrote(&mut self, slice: &EndpointSlice) {
        self.by_uid.insert(slice.metadata.uid.clone(), Expected::AtLeast(slice.metadata.generation));
    }

    /// Notes that the server accepted our DELETE of the slice with this uid.
    pub fn deleted(&mut self, uid: &str) {
        self.by_uid.insert(uid.to_owned(), Expected::Gone);
    }

    /// Notes that the cache saw the slice with this uid disappear. Returns whether that was our doing; if not, the
    /// Service has to be planned again (S-217). Also to be called for slices that a fresh list no longer holds.
    pub fn disappeared(&mut self, uid: &str) -> bool {
        self.by_uid.remove(uid) == Some(Expected::Gone)
    }

    /// Whether an observed slice differs from what we last wrote, and so the Service has to be planned again (S-217).
    pub fn is_unexpected(&self, slice: &EndpointSlice) -> bool {
        match self.by_uid.get(&slice.metadata.uid) {
            Some(Expected::AtLeast(generation)) => slice.metadata.generation > *generation,
            Some(Expected::Gone) => false,
            None => true,
        }
    }

    /// Forgets slices that exist no more, though nobody saw them disappear: one that was deleted while no watch ran, and
    /// that no cache had heard of, goes without a word.
    pub fn forget_missing(&mut self, exists: impl Fn(&str) -> bool) {
        self.by_uid.retain(|uid, expected| *expected == Expected::Gone || exists(uid));
    }

    /// The first thing that these slices of the Service, deleting ones included, do not show yet.
    pub fn stale(&self, cached: &[&EndpointSlice]) -> Option<Stale> {
        let cached: BTreeMap<&str, &EndpointSlice> =
            cached.iter().map(|slice| (slice.metadata.uid.as_str(), *slice)).collect();
        self.by_uid.iter().find_map(|(uid, expected)| match (expected, cached.get(uid.as_str())) {
            (Expected::AtLeast(_), None) => Some(Stale::Missing(uid.clone())),
            (Expected::AtLeast(generation), Some(slice)) if slice.metadata.generation < *generation => {
                Some(Stale::Old(uid.clone()))
            }
            (Expected::Gone, Some(slice)) if slice.metadata.deletion_timestamp.is_none() => {
                Some(Stale::NotDeleted(uid.clone()))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
