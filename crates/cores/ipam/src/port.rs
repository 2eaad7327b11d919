//! Node ports: the range, its two bands, and the next free port (S-138).

use std::fmt;
use std::ops::RangeInclusive;

use crate::scan::first_free;

/// The node ports that may be given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(RangeInclusive<u16>);

impl PortRange {
    /// The ports of `ports`; an empty range offers none.
    pub fn new(ports: RangeInclusive<u16>) -> PortRange {
        PortRange(ports)
    }

    /// Whether `port` is in the range.
    pub fn offers(&self, port: u16) -> bool {
        self.0.contains(&port)
    }

    /// How many ports, from the first on, are left to those who choose one themselves:
    /// `min(max(16, size/32), 128)`, and none in ranges of 16 ports or fewer.
    pub fn lower_band(&self) -> u16 {
        let size = self.size();
        if size <= 16 { 0 } else { (size / 32).clamp(16, 128) as u16 }
    }

    fn size(&self) -> u32 {
        if self.0.is_empty() { 0 } else { u32::from(*self.0.end()) - u32::from(*self.0.start()) + 1 }
    }
}

/// `a-b`, as Kubernetes writes a port range.
impl fmt::Display for PortRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.0.start(), self.0.end())
    }
}

/// A port that is not taken, from the upper band while that has one. `None` if the range is full.
pub fn next_port(range: &PortRange, seed: u64, taken: impl Fn(u16) -> bool) -> Option<u16> {
    let lower = u128::from(range.lower_band());
    let upper = u128::from(range.size()) - lower;
    // Offsets are below the range's size, so they fit.
    let port = |offset: u128| range.0.start() + offset as u16;
    first_free(upper, seed, |offset| !taken(port(lower + offset)))
        .map(|offset| lower + offset)
        .or_else(|| first_free(lower, seed, |offset| !taken(port(offset))))
        .map(port)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn s138_lower_bands() {
        #[rustfmt::skip]
        let cases = [
            ("s138_the_default_range_reserves_86", 30000..=32767, 86),
            ("s138_small_ranges_reserve_16",       30000..=30127, 16),
            ("s138_17_ports_reserve_16",           30000..=30016, 16),
            ("s138_16_ports_reserve_none",         30000..=30015, 0),
            ("s138_large_ranges_reserve_128",      1..=65535,     128),
            ("s138_all_ports",                     0..=65535,     128),
        ];
        for (id, ports, expected) in cases {
            println!("case {id}");
            assert_eq!(PortRange::new(ports).lower_band(), expected, "{id}");
        }
    }

    #[test]
    fn s138_dynamic_ports_come_from_the_upper_band_until_it_is_full() {
        let range = PortRange::new(30000..=32767);
        let mut taken = HashSet::new();
        for count in 0..2768u64 {
            let port = next_port(&range, count, |port| taken.contains(&port)).expect("the range is not full yet");
            assert_eq!(port >= 30086, count < 2682, "port {port} after {count}");
            assert!(taken.insert(port));
        }
        assert_eq!(next_port(&range, 7, |port| taken.contains(&port)), None);
    }

    #[test]
    fn s138_the_choice_is_spread() {
        let range = PortRange::new(30000..=32767);
        let ports: HashSet<_> = (0..50).filter_map(|seed| next_port(&range, seed, |_| false)).collect();
        assert!(ports.len() > 40, "{ports:?}");
    }

    #[test]
    fn an_empty_range_offers_nothing() {
        #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
        let range = PortRange::new(2..=1);
        assert_eq!(next_port(&range, 0, |_| false), None);
        assert!(!range.offers(1));
    }

    #[test]
    fn the_last_port_can_be_given_out() {
        assert_eq!(next_port(&PortRange::new(65535..=65535), 3, |_| false), Some(65535));
    }
}
