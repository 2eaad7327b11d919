//! The canonical form of Endpoints subsets (S-226), and their truncation (S-228).
//!
//! A subset says that each of its addresses serves each of its ports. The canonical form joins the ports that the very
//! same addresses serve: `{a, b}: 80` and `{a}: 443`, not `{a}: 80, 443` and `{b}: 80`.

use std::collections::BTreeMap;

use api::{EndpointAddress, EndpointPort, EndpointSubset};

/// One address that serves one port, or that has no ports to serve.
pub struct Offer {
    /// The address.
    pub address: EndpointAddress,
    /// The port.
    pub port: Option<EndpointPort>,
    /// Whether it may get traffic.
    pub ready: bool,
}

/// What tells two addresses apart, and orders them: the address and the Pod's uid.
type Key = (String, String);

fn key(address: &EndpointAddress) -> Key {
    let uid = address.target_ref.as_ref().map(|target| target.uid.clone()).unwrap_or_default();
    (address.ip.clone(), uid)
}

/// Puts offers into canonical form. An address that is both ready and not on one port is not ready.
pub fn repack(offers: Vec<Offer>) -> Vec<EndpointSubset> {
    let mut addresses: BTreeMap<Key, EndpointAddress> = BTreeMap::new();
    let mut by_port: BTreeMap<Option<EndpointPort>, BTreeMap<Key, bool>> = BTreeMap::new();
    for Offer { address, port, ready } in offers {
        let key = key(&address);
        addresses.entry(key.clone()).or_insert(address);
        *by_port.entry(port).or_default().entry(key).or_insert(true) &= ready;
    }
    let mut by_addresses: BTreeMap<BTreeMap<Key, bool>, Vec<EndpointPort>> = BTreeMap::new();
    for (port, keys) in by_port {
        by_addresses.entry(keys).or_default().extend(port);
    }
    let side = |keys: &BTreeMap<Key, bool>, side: bool| {
        keys.iter().filter(|(_, ready)| **ready == side).map(|(key, _)| addresses[key].clone()).collect()
    };
    let mut subsets: Vec<EndpointSubset> = by_addresses
        .into_iter()
        .map(|(keys, ports)| EndpointSubset {
            addresses: side(&keys, true),
            not_ready_addresses: side(&keys, false),
            ports,
        })
        .collect();
    sort(&mut subsets);
    subsets
}

/// Orders subsets and everything in them.
pub fn sort(subsets: &mut [EndpointSubset]) {
    for subset in subsets.iter_mut() {
        subset.addresses.sort_by_key(key);
        subset.not_ready_addresses.sort_by_key(key);
        subset.ports.sort();
    }
    let order = |subset: &EndpointSubset| {
        let keys = |addresses: &[EndpointAddress]| addresses.iter().map(key).collect::<Vec<Key>>();
        (subset.ports.clone(), keys(&subset.addresses), keys(&subset.not_ready_addresses))
    };
    subsets.sort_by_cached_key(order);
}

/// Cuts down to so many addresses and returns whether that was necessary. Ready ones are kept before those that are not,
/// and each subset gives up its share.
pub fn truncate(subsets: &mut Vec<EndpointSubset>, addresses_max: usize) -> bool {
    let ready: usize = subsets.iter().map(|subset| subset.addresses.len()).sum();
    let not_ready: usize = subsets.iter().map(|subset| subset.not_ready_addresses.len()).sum();
    if ready + not_ready <= addresses_max {
        return false;
    }
    if ready > addresses_max {
        subsets.iter_mut().for_each(|subset| subset.not_ready_addresses.clear());
        keep_shares(subsets.iter_mut().map(|subset| &mut subset.addresses), ready, addresses_max);
    } else {
        let room = addresses_max - ready;
        keep_shares(subsets.iter_mut().map(|subset| &mut subset.not_ready_addresses), not_ready, room);
    }
    // Ports without any address would promise what nobody serves.
    subsets.retain(|subset| !subset.addresses.is_empty() || !subset.not_ready_addresses.is_empty());
    true
}

/// Keeps `room` of `total` addresses. Shares are rounded up, so the last lists get what the first ones leave.
fn keep_shares<'a>(lists: impl Iterator<Item = &'a mut Vec<EndpointAddress>>, total: usize, room: usize) {
    let mut left = room;
    for list in lists {
        let share = (list.len() * room).div_ceil(total).min(left);
        list.truncate(share);
        left -= share;
    }
}
