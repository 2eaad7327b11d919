//! Ranges of Pod addresses for nodes: `spec.podCIDRs`.
//!
//! One writer gives each node the lowest free range of every pool, once; the field cannot change afterwards, so a node
//! gets all of its ranges or none. Ranges that are in use, whoever gave them, are never given again.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::{Node, ObjectReference};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::event::{Event, reference};

/// A range that nodes' ranges are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    range: IpNet,
    prefix_len: u8,
}

/// Why a [`Pool`] cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// A node's range would be longer than an address, or larger than the pool.
    #[error("a node's range of /{prefix_len} cannot be taken from {range}")]
    PrefixLength {
        /// The pool.
        range: IpNet,
        /// What a node was to get.
        prefix_len: u8,
    },
}

impl Pool {
    /// A pool that gives each node a range of this prefix length.
    pub fn new(range: IpNet, prefix_len: u8) -> Result<Pool, PoolError> {
        if prefix_len < range.prefix_len() || prefix_len > range.max_prefix_len() {
            return Err(PoolError::PrefixLength { range, prefix_len });
        }
        Ok(Pool { range: range.trunc(), prefix_len })
    }

    /// A /24 out of 10.244.0.0/16 and a /64 out of fd00:10:244::/56 for each node.
    pub fn defaults() -> [Pool; 2] {
        let v4 = IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(10, 244, 0, 0)), 16);
        let v6 = IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0)), 56);
        [Pool { range: v4, prefix_len: 24 }, Pool { range: v6, prefix_len: 64 }]
    }

    /// The lowest range that overlaps none of the taken ones.
    fn lowest_free(&self, taken: &Taken) -> Option<IpNet> {
        let (pool_start, pool_end) = bounds(&self.range);
        let mut start = pool_start;
        loop {
            let range = IpNet::new_assert(address(start, &self.range), self.prefix_len);
            let Some(taken_end) = taken.overlapping(&range) else { return Some(range) };
            let (first, last) = bounds(&range);
            // The next start behind what is taken; it may have ended inside a range of ours.
            start = (taken_end | (last - first)).checked_add(1).filter(|next| *next <= pool_end)?;
        }
    }
}

/// Addresses in use: disjoint intervals with a gap between any two, first to last address.
#[derive(Default)]
struct Taken {
    v4: BTreeMap<u128, u128>,
    v6: BTreeMap<u128, u128>,
}

impl Taken {
    fn insert(&mut self, range: &IpNet) {
        let (mut start, mut end) = bounds(range);
        let known = if range.addr().is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        // Swallows every interval that overlaps or touches, from the last one on.
        while let Some((&known_start, &known_end)) = known.range(..=end.saturating_add(1)).next_back() {
            if known_end.saturating_add(1) < start {
                break;
            }
            known.remove(&known_start);
            (start, end) = (start.min(known_start), end.max(known_end));
        }
        known.insert(start, end);
    }

    /// The end of the taken interval that overlaps this range.
    fn overlapping(&self, range: &IpNet) -> Option<u128> {
        let (start, end) = bounds(range);
        let known = if range.addr().is_ipv4() { &self.v4 } else { &self.v6 };
        known.range(..=end).next_back().map(|(_, known_end)| *known_end).filter(|known_end| *known_end >= start)
    }
}

/// First and last address.
fn bounds(range: &IpNet) -> (u128, u128) {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    (number(range.network()), number(range.broadcast()))
}

/// The address with this number, of the family of the range.
fn address(number: u128, of: &IpNet) -> IpAddr {
    match of {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).expect("within an IPv4 range"))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// What becomes of a node without ranges.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It gets these, one per pool.
    Assign {
        /// The node.
        node: ObjectReference,
        /// Its ranges, in the order of the pools.
        ranges: Vec<IpNet>,
        /// Merge patch of the node's spec, with the resource version that it follows from.
        patch: Value,
    },
    /// A pool has nothing left for it.
    Exhausted {
        /// The node.
        node: ObjectReference,
        /// The pool.
        pool: IpNet,
        /// What to tell.
        event: Event,
    },
}

/// Says which ranges the nodes without any get, the oldest node first.
pub fn plan_pod_ranges(nodes: &[&Node], pools: &[Pool]) -> Vec<Outcome> {
    let mut taken = Taken::default();
    nodes.iter().flat_map(|node| &node.spec.pod_cidrs).for_each(|range| taken.insert(range));
    let needs = |node: &&&Node| node.spec.pod_cidrs.is_empty() && node.metadata.deletion_timestamp.is_none();
    let mut waiting: Vec<&Node> = nodes.iter().filter(needs).copied().collect();
    waiting.sort_by_key(|node| (&node.metadata.creation_timestamp, &node.metadata.name));
    waiting.into_iter().map(|node| assign(node, pools, &mut taken)).collect()
}

fn assign(node: &Node, pools: &[Pool], taken: &mut Taken) -> Outcome {
    let metadata = &node.metadata;
    let node = reference("Node", metadata);
    let mut ranges = Vec::new();
    for pool in pools {
        let Some(range) = pool.lowest_free(taken) else {
            let message = format!("No Pod range of /{} is left in {}", pool.prefix_len, pool.range);
            let event = Event::warning(node.clone(), "CIDRNotAvailable", message);
            return Outcome::Exhausted { node, pool: pool.range, event };
        };
        ranges.push(range);
    }
    ranges.iter().for_each(|range| taken.insert(range));
    let spec = json!({"podCIDR": ranges.first(), "podCIDRs": ranges});
    let patch = json!({"metadata": {"resourceVersion": metadata.resource_version}, "spec": spec});
    Outcome::Assign { node, ranges, patch }
}

#[cfg(test)]
mod tests;
