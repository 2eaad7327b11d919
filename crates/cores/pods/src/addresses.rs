//! Addresses of Pods within the node's ranges.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A range has no address left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The range.
    pub range: IpNet,
}

impl std::fmt::Display for Exhausted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "no address is left in the node's Pod range {}", self.range)
    }
}

/// The node's own address towards its Pods: the first of the range after the one that names the network.
pub fn gateway(range: &IpNet) -> IpAddr {
    numbered(range, 1)
}

/// The lowest free address of each range. The network's own address, the gateway and an IPv4 range's broadcast address are
/// never given.
pub fn allocate(ranges: &[IpNet], taken: &BTreeSet<IpAddr>) -> Result<Vec<IpAddr>, Exhausted> {
    ranges.iter().map(|range| lowest_free(range, taken).ok_or(Exhausted { range: *range })).collect()
}

fn lowest_free(range: &IpNet, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let host_bits = range.max_prefix_len() - range.prefix_len();
    let size = if host_bits >= 64 { u64::MAX } else { 1u64 << host_bits };
    let end = if range.addr().is_ipv4() { size.saturating_sub(1) } else { size };
    // At most one more candidate than addresses are taken: this ends soon, whatever the range's size.
    (2..end).map(|number| numbered(range, number)).find(|address| !taken.contains(address))
}

fn numbered(range: &IpNet, number: u64) -> IpAddr {
    match range.network() {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).wrapping_add(number as u32)).into(),
        IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).wrapping_add(u128::from(number))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranges: &[&str], taken: &[&str], expected: Result<&[&str], &str>) {
        let ranges: Vec<IpNet> = ranges.iter().map(|range| range.parse().expect("a range")).collect();
        let taken = taken.iter().map(|address| address.parse().expect("an address")).collect();
        let found = allocate(&ranges, &taken);
        let found = found.map(|list| list.iter().map(IpAddr::to_string).collect::<Vec<_>>());
        let expected = expected.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found.map_err(|Exhausted { range }| range.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn the_lowest_free_address_of_each_family_is_given() {
        let both = ["10.244.3.0/24", "fd00:10:244:3::/64"];
        check(&both, &[], Ok(&["10.244.3.2", "fd00:10:244:3::2"]));
        check(&both, &["10.244.3.2", "10.244.3.4", "fd00:10:244:3::2"], Ok(&["10.244.3.3", "fd00:10:244:3::3"]));
        check(&["10.0.0.0/30"], &[], Ok(&["10.0.0.2"]));
        check(&["10.0.0.0/30"], &["10.0.0.2"], Err("10.0.0.0/30"));
        check(&["10.0.0.0/31"], &[], Err("10.0.0.0/31"));
        check(&["fd00::/126"], &["fd00::2", "fd00::3"], Err("fd00::/126"));
        check(&[], &[], Ok(&[]));
    }

    #[test]
    fn the_gateway_is_the_first_address() {
        for (range, expected) in [("10.244.3.0/24", "10.244.3.1"), ("fd00:10:244::/64", "fd00:10:244::1")] {
            assert_eq!(gateway(&range.parse().expect("a range")).to_string(), expected);
        }
    }
}
