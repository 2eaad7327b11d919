//! The reverse names of a shard: which Services have something at an address (S-410).
//!
//! Only the Service's hash stands here; the name is read from the Service's own shard, which says whether it has the
//! address still. So an address costs a dozen bytes, and two Services whose hashes collide do no harm.
//!
//! The part is its own record of facts: a change is applied to the old list, and since the list is sorted the result
//! is the same as if it had been made from scratch.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A Service has something at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    pub address: IpAddr,
    /// The hash of the Service's key.
    pub service: u64,
}

/// The reverse names of a shard, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    v4: Box<[(Ipv4Addr, Hash)]>,
    v6: Box<[(Ipv6Addr, Hash)]>,
}

/// A hash in halves, which need no alignment to eight bytes.
type Hash = [u32; 2];

fn halves(hash: u64) -> Hash {
    [(hash >> 32) as u32, hash as u32]
}

fn whole([high, low]: Hash) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl Addresses {
    /// The hashes of the Services at an address.
    pub fn find(&self, address: IpAddr) -> impl Iterator<Item = u64> {
        let (v4, v6) = match address {
            IpAddr::V4(ip) => (range(&self.v4, ip), &[][..]),
            IpAddr::V6(ip) => (&[][..], range(&self.v6, ip)),
        };
        v4.iter().map(|(_, hash)| *hash).chain(v6.iter().map(|(_, hash)| *hash)).map(whole)
    }

    /// The same list without some entries and with some others.
    pub fn changed(&self, removed: &[Pointer], added: &[Pointer]) -> Addresses {
        let mut v4: BTreeSet<_> = self.v4.iter().copied().collect();
        let mut v6: BTreeSet<_> = self.v6.iter().copied().collect();
        for pointer in removed {
            match pointer.address {
                IpAddr::V4(ip) => v4.remove(&(ip, halves(pointer.service))),
                IpAddr::V6(ip) => v6.remove(&(ip, halves(pointer.service))),
            };
        }
        for pointer in added {
            match pointer.address {
                IpAddr::V4(ip) => v4.insert((ip, halves(pointer.service))),
                IpAddr::V6(ip) => v6.insert((ip, halves(pointer.service))),
            };
        }
        Addresses { v4: v4.into_iter().collect(), v6: v6.into_iter().collect() }
    }
}

/// The entries of one address.
fn range<A: Ord + Copy>(entries: &[(A, Hash)], address: A) -> &[(A, Hash)] {
    let start = entries.partition_point(|(other, _)| *other < address);
    let count = entries[start..].partition_point(|(other, _)| *other == address);
    &entries[start..start + count]
}
