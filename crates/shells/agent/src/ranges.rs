//! Which addresses of the node's Pod ranges are in use.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

/// The node's Pod addresses; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    /// A plain lock: held for one look, never across an await.
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    ranges: Vec<IpNet>,
    /// Addresses by the Pod's uid.
    given: BTreeMap<String, Vec<IpAddr>>,
}

/// Why a Pod gets no addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangesError {
    /// Nobody gave the node a range yet.
    #[error("the node has no Pod range yet (spec.podCIDRs)")]
    NoRange,
    /// All are in use.
    #[error("{0}")]
    Exhausted(pods::Exhausted),
}

impl Ranges {
    /// The node's ranges are these.
    pub(crate) fn set(&self, ranges: &[IpNet]) {
        self.book().ranges = ranges.to_vec();
    }

    /// The node's ranges.
    pub(crate) fn ranges(&self) -> Vec<IpNet> {
        self.book().ranges.clone()
    }

    /// These addresses belong to a Pod already.
    pub(crate) fn keep(&self, uid: &str, addresses: &[IpAddr]) {
        if !addresses.is_empty() {
            self.book().given.insert(uid.to_owned(), addresses.to_vec());
        }
    }

    /// The addresses of a Pod: those that it has, or new ones.
    pub(crate) fn give(&self, uid: &str) -> Result<Vec<IpAddr>, RangesError> {
        let mut book = self.book();
        if book.ranges.is_empty() {
            return Err(RangesError::NoRange);
        }
        let inside = |address: &IpAddr| book.ranges.iter().any(|range| range.contains(address));
        if let Some(own) = book.given.get(uid).filter(|own| own.iter().all(inside)) {
            return Ok(own.clone());
        }
        let taken: BTreeSet<IpAddr> = book.given.values().flatten().copied().collect();
        let addresses = pods::allocate(&book.ranges, &taken).map_err(RangesError::Exhausted)?;
        book.given.insert(uid.to_owned(), addresses.clone());
        Ok(addresses)
    }

    /// The Pod is gone.
    pub(crate) fn free(&self, uid: &str) {
        self.book().given.remove(uid);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
