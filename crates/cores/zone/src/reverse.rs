//! Reverse names: `d.c.b.a.in-addr.arpa` (RFC 1035) and nibbles below `ip6.arpa` (RFC 3596).
//!
//! A reverse zone can only begin where a label does, so a configured range whose length is no multiple of a label's bits
//! is served as the zones of the next longer length that make it up (S-410): 10.96.0.0/12 as 96.10.in-addr.arpa to
//! 111.10.in-addr.arpa.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::name::QueryName;

/// A name within a served reverse zone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReverseName {
    /// The label of the name at which its zone begins.
    pub zone_label: usize,
    pub kind: ReverseKind,
}

/// What a reverse name is within its zone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReverseKind {
    /// A whole address.
    Address(IpAddr),
    /// The beginning of addresses. It exists as the parent of names, whether or not there are any now: NXDOMAIN here
    /// would tell a resolver that nothing is below (RFC 8020).
    Prefix,
    /// No address: a label that is no number, or one too many.
    Invalid,
}

impl ReverseName {
    /// Nothing if the name is in none of the ranges' zones; of several zones the longest is taken (S-419).
    pub fn parse(name: &QueryName, ranges: &[IpNet]) -> Option<ReverseName> {
        let tree = Tree::of(name)?;
        let prefix = Prefix::parse(name, &tree);
        let zones =
            ranges.iter().filter(|range| range.addr().is_ipv4() == tree.is_v4 && range.contains(&prefix.address));
        let labels = zones.map(|range| (range.prefix_len() as usize).div_ceil(tree.label_bits));
        let zone_labels = labels.filter(|labels| *labels <= prefix.labels).max()?;
        let kind = if prefix.labels < tree.labels {
            ReverseKind::Invalid
        } else if prefix.labels * tree.label_bits == tree.bits {
            ReverseKind::Address(prefix.address)
        } else {
            ReverseKind::Prefix
        };
        Some(ReverseName { zone_label: tree.labels - zone_labels, kind })
    }
}

/// One of the two trees of reverse names.
struct Tree {
    is_v4: bool,
    /// Bits of an address.
    bits: usize,
    /// Bits that one label stands for.
    label_bits: usize,
    /// How many labels the name has below the tree's root.
    labels: usize,
}

impl Tree {
    fn of(name: &QueryName) -> Option<Tree> {
        let labels = name.label_count().checked_sub(2)?;
        match name.suffix(labels) {
            b"\x07in-addr\x04arpa\x00" => Some(Tree { is_v4: true, bits: 32, label_bits: 8, labels }),
            b"\x03ip6\x04arpa\x00" => Some(Tree { is_v4: false, bits: 128, label_bits: 4, labels }),
            _ => None,
        }
    }
}

/// The part of an address that a name's last labels give; the rest of its bits are zero.
struct Prefix {
    address: IpAddr,
    labels: usize,
}

impl Prefix {
    fn parse(name: &QueryName, tree: &Tree) -> Prefix {
        let mut bits: u128 = 0;
        let mut labels = 0;
        while labels < tree.labels && labels * tree.label_bits < tree.bits {
            let label = name.label(tree.labels - 1 - labels);
            let Some(number) = (if tree.is_v4 { octet(label) } else { nibble(label) }) else { break };
            labels += 1;
            bits |= u128::from(number) << (tree.bits - labels * tree.label_bits);
        }
        let address =
            if tree.is_v4 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() };
        Prefix { address, labels }
    }
}

/// A decimal number up to 255 without leading zeros.
fn octet(label: &[u8]) -> Option<u8> {
    let is_canonical = label.iter().all(u8::is_ascii_digit) && (label.len() == 1 || label.first() != Some(&b'0'));
    std::str::from_utf8(label).ok().filter(|_| is_canonical)?.parse().ok()
}

/// One hexadecimal digit in lower case, as names from packets are.
fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [digit @ b'a'..=b'f'] => Some(digit - b'a' + 10),
        _ => None,
    }
}
