//! Cluster IPs: which addresses a range offers, its two bands, and the next free address (S-139, S-140).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::scan::first_free;

/// The addresses that one range of Service addresses offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRange {
    cidr: IpNet,
    /// The lowest address that may be given out.
    first: u128,
    /// How many addresses may be given out.
    size: u128,
    /// How many of them, from `first` on, are the lower band.
    lower: u128,
}

/// Why a range cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// An IPv6 range with a prefix shorter than /64.
    TooLarge(IpNet),
}

impl fmt::Display for RangeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RangeError::TooLarge(cidr) => write!(out, "IPv6 range {cidr} is larger than a /64"),
        }
    }
}

impl std::error::Error for RangeError {}

impl AddressRange {
    /// The range of `cidr`, whose host bits don't matter. IPv4 loses its network and broadcast address, IPv6 only its
    /// first one; so the smallest ranges offer nothing at all.
    pub fn new(cidr: IpNet) -> Result<AddressRange, RangeError> {
        let cidr = cidr.trunc();
        let host_bits = u32::from(cidr.max_prefix_len() - cidr.prefix_len());
        if host_bits > 64 {
            return Err(RangeError::TooLarge(cidr));
        }
        let all = 1u128 << host_bits;
        let excluded = if cidr.network().is_ipv4() { 2 } else { 1 };
        let size = all.saturating_sub(excluded);
        // A band never covers more than there is, which matters for ranges of up to 32 addresses.
        let lower = lower_band(all).min(size);
        Ok(AddressRange { cidr, first: number(cidr.network()).saturating_add(1), size, lower })
    }

    /// The range in CIDR notation.
    pub fn cidr(&self) -> IpNet {
        self.cidr
    }

    /// How many addresses may be given out.
    pub fn size(&self) -> u128 {
        self.size
    }

    /// How many addresses the lower band holds, which dynamic allocation uses last.
    pub fn lower_band(&self) -> u128 {
        self.lower
    }

    /// The lowest address that may be given out.
    pub fn first(&self) -> Option<IpAddr> {
        (self.size > 0).then(|| self.address(0))
    }

    /// Whether `address` may be given out.
    pub fn offers(&self, address: IpAddr) -> bool {
        if address.is_ipv4() != self.cidr.network().is_ipv4() {
            return false;
        }
        number(address).checked_sub(self.first).is_some_and(|offset| offset < self.size)
    }

    fn address(&self, offset: u128) -> IpAddr {
        let number = self.first + offset;
        match self.cidr {
            IpNet::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
            IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
        }
    }
}

/// An address of `range` that is not taken: from the upper band, starting at a random place, or from the lower band
/// once the upper one is full. `None` if the range is full.
///
/// It asks for at most as many addresses as are taken, and one more.
pub fn next_address(range: &AddressRange, seed: u64, taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let free = |offset| !taken(range.address(offset));
    let upper = range.size - range.lower;
    first_free(upper, seed, |offset| free(range.lower + offset))
        .map(|offset| range.lower + offset)
        .or_else(|| first_free(range.lower, seed, free))
        .map(|offset| range.address(offset))
}

/// `min(max(16, size/16), 256)`, and nothing for ranges of 16 addresses or fewer.
fn lower_band(all: u128) -> u128 {
    if all <= 16 { 0 } else { (all / 16).clamp(16, 256) }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn range(cidr: &str) -> AddressRange {
        AddressRange::new(cidr.parse().unwrap()).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn s139_bands_and_sizes() {
        #[rustfmt::skip]
        let cases = [
            // id,                                    range,           addresses, lower band
            ("s139_a_24_reserves_16",                 "10.96.0.0/24",  254,       16),
            ("s139_a_20_reserves_256",                "10.96.0.0/20",  4094,      256),
            ("s139_larger_ranges_reserve_256",        "10.96.0.0/12",  1048574,   256),
            ("s139_a_22_reserves_a_sixteenth",        "10.96.0.0/22",  1022,      64),
            ("s139_16_addresses_reserve_none",        "10.96.0.0/28",  14,        0),
            ("s139_32_addresses_reserve_16",          "10.96.0.0/27",  30,        16),
            ("s139_a_single_address_offers_none",     "10.96.0.7/32",  0,         0),
            ("s139_two_v4_addresses_offer_none",      "10.96.0.6/31",  0,         0),
            ("s139_v6_excludes_only_the_first",       "fd00::/112",    65535,     256),
            ("s139_v6_108",                           "fd00::/108",    1048575,   256),
            ("s139_v6_64",                            "fd00::/64",     (1 << 64) - 1, 256),
            ("s139_v6_single_address",                "fd00::1/128",   0,         0),
            ("s139_v4_whole_space",                   "0.0.0.0/0",     (1 << 32) - 2, 256),
            ("s139_v6_end_of_space",                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 0, 0),
        ];
        for (id, cidr, size, lower) in cases {
            println!("case {id}");
            assert_eq!((range(cidr).size(), range(cidr).lower_band()), (size, lower), "{id}");
        }
    }

    #[test]
    fn s139_network_and_broadcast_are_not_offered() {
        #[rustfmt::skip]
        let cases = [
            ("s139_v4_network",       "10.96.0.0/24", "10.96.0.0",   false),
            ("s139_v4_first",         "10.96.0.0/24", "10.96.0.1",   true),
            ("s139_v4_last",          "10.96.0.0/24", "10.96.0.254", true),
            ("s139_v4_broadcast",     "10.96.0.0/24", "10.96.0.255", false),
            ("s139_v4_below",         "10.96.0.0/24", "10.95.255.255", false),
            ("s139_v6_first",         "fd00::/112",   "fd00::",      false),
            ("s139_v6_last",          "fd00::/112",   "fd00::ffff",  true),
            ("s139_v6_beyond",        "fd00::/112",   "fd00::1:0",   false),
            ("s139_other_family",     "0.0.0.0/0",    "::1",         false),
        ];
        for (id, cidr, address, expected) in cases {
            println!("case {id}");
            assert_eq!(range(cidr).offers(ip(address)), expected, "{id}");
        }
    }

    #[test]
    fn s148_the_first_address() {
        assert_eq!(range("10.96.0.0/24").first(), Some(ip("10.96.0.1")));
        assert_eq!(range("fd00::/112").first(), Some(ip("fd00::1")));
        assert_eq!(range("10.96.0.0/32").first(), None);
    }

    #[test]
    fn s139_v6_ranges_larger_than_a_64_are_refused() {
        let cidr: IpNet = "fd00::/63".parse().unwrap();
        assert_eq!(AddressRange::new(cidr), Err(RangeError::TooLarge(cidr)));
    }

    #[test]
    fn s140_the_upper_band_is_used_up_before_the_lower_one() {
        let range = range("10.96.0.0/27");
        let mut taken = HashSet::new();
        let mut given = Vec::new();
        while let Some(address) = next_address(&range, given.len() as u64, |address| taken.contains(&address)) {
            assert!(taken.insert(address), "{address} was given out twice");
            given.push(address);
        }
        let (upper, lower) = given.split_at(14);
        assert!(upper.iter().all(|address| (ip("10.96.0.17")..=ip("10.96.0.30")).contains(address)), "{upper:?}");
        assert!(lower.iter().all(|address| (ip("10.96.0.1")..=ip("10.96.0.16")).contains(address)), "{lower:?}");
        assert_eq!(lower.len(), 16);
    }

    #[test]
    fn s140_scanning_wraps_around_within_the_band() {
        let range = range("10.96.0.0/24");
        let only = ip("10.96.0.100");
        for seed in 0..200 {
            assert_eq!(next_address(&range, seed, |address| address != only), Some(only), "seed {seed}");
        }
    }

    #[test]
    fn s140_different_seeds_start_at_different_places() {
        for cidr in ["10.96.0.0/16", "fd00::/108", "fd00::/64"] {
            let range = range(cidr);
            let starts: HashSet<_> = (0..100).filter_map(|seed| next_address(&range, seed, |_| false)).collect();
            assert!(starts.len() > 80, "{cidr}: {} starts", starts.len());
            assert!(starts.iter().all(|&address| range.offers(address)), "{cidr}");
        }
    }

    #[test]
    fn s140_a_full_or_empty_range_has_no_next_address() {
        for cidr in ["10.96.0.0/24", "10.96.0.0/30", "10.96.0.0/32", "fd00::/120", "fd00::/128"] {
            assert_eq!(next_address(&range(cidr), 1, |_| true), None, "{cidr}");
        }
    }

    #[test]
    fn s140_every_prefix_length_is_served_without_overflow() {
        for prefix in 0..=32 {
            let range = range(&format!("255.255.255.255/{prefix}"));
            assert_eq!(next_address(&range, u64::MAX, |_| false).is_some(), prefix <= 30, "/{prefix}");
        }
        for prefix in 64..=128 {
            let range = range(&format!("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/{prefix}"));
            assert_eq!(next_address(&range, u64::MAX, |_| false).is_some(), prefix <= 127, "/{prefix}");
        }
    }
}
