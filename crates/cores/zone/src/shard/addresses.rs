//! The reverse names of a shard: which names an address leads to (S-410).
//!
//! The part is its own record of facts: a change is applied to the old list, and since the list is sorted the result
//! is the same as if it had been made from scratch.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Which answer wins for an address: a virtual address hides endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    ClusterIp,
    Endpoint,
}

/// An address leads to a name: labels below `svc.Z`, with their length bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    pub address: IpAddr,
    pub rank: Rank,
    pub target: Box<[u8]>,
}

impl Pointer {
    pub fn new(address: IpAddr, rank: Rank, target: &[u8]) -> Pointer {
        Pointer { address, rank, target: target.into() }
    }
}

/// The reverse names of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Sorted by address, rank and target.
    entries: Box<[Entry]>,
    /// The targets, in the order of the entries.
    arena: Box<[u8]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    address: IpAddr,
    rank: Rank,
    length: u8,
    start: u32,
}

impl Addresses {
    /// The targets of an address, those of the best rank only.
    pub fn find(&self, address: IpAddr) -> impl ExactSizeIterator<Item = &[u8]> {
        let start = self.entries.partition_point(|entry| entry.address < address);
        let rank = self.entries.get(start).filter(|entry| entry.address == address).map(|entry| entry.rank);
        let rest = &self.entries[start..];
        let count = rest.iter().take_while(|entry| entry.address == address && Some(entry.rank) == rank).count();
        rest[..count].iter().map(|entry| self.target(entry))
    }

    /// The same list without some entries and with some others.
    pub fn changed(&self, removed: &[Pointer], added: &[Pointer]) -> Addresses {
        let mut set: BTreeSet<(IpAddr, Rank, &[u8])> =
            self.entries.iter().map(|entry| (entry.address, entry.rank, self.target(entry))).collect();
        for pointer in removed {
            set.remove(&(pointer.address, pointer.rank, &*pointer.target));
        }
        set.extend(added.iter().map(|pointer| (pointer.address, pointer.rank, &*pointer.target)));
        let mut arena = Vec::new();
        let entries = set
            .into_iter()
            .map(|(address, rank, target)| {
                let start = arena.len() as u32;
                arena.extend_from_slice(target);
                // Three labels have at most 192 bytes.
                Entry { address, rank, length: target.len() as u8, start }
            })
            .collect();
        Addresses { entries, arena: arena.into() }
    }

    fn target(&self, entry: &Entry) -> &[u8] {
        &self.arena[entry.start as usize..][..entry.length as usize]
    }
}
