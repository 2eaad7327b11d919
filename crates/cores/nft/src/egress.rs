//! Masquerading of what a node's Pods send out of the cluster: tables `ip maitred-pods` and `ip6 maitred-pods`, beside the
//! Model and independent of it.
//!
//! ```text
//!   table ip maitred-pods {
//!     set pods    { type ipv4_addr; flags interval; }        this node's Pods
//!     set cluster { type ipv4_addr; flags interval; }        all Pods and all nodes: they see each other's addresses
//!     chain postrouting {
//!       type nat hook postrouting priority srcnat;
//!       ip saddr @pods ip daddr != @cluster masquerade fully-random
//!     }
//!   }
//! ```
//!
//! It comes after the Model's own postrouting chain, so that a packet whose source a Service has rewritten is never seen
//! here. The tables are small and change with the set of nodes only, so that a change writes the whole table, in one
//! transaction: connections that are tracked already do not notice.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;
use model::Family;

use crate::encode::{SUBSYSTEM, edge, head, kind, set_flag, write_range};
use crate::expression::{Expression, Header};
use crate::wire::{Writer, flag};

/// The name of both tables.
pub const EGRESS_TABLE: &str = "maitred-pods";
const CHAIN: &str = "postrouting";
/// `srcnat`: where everybody masquerades.
const PRIORITY: i32 = 100;
const HOOK_POSTROUTING: u32 = 4;
/// Elements of one message; far below what 16 bits of length hold.
const ELEMENTS: usize = 500;

/// What one table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Of which family.
    pub family: Family,
    /// The ranges of this node's Pods.
    pub pods: BTreeSet<IpNet>,
    /// Where Pods are seen under their own addresses. May overlap.
    pub cluster: BTreeSet<IpNet>,
}

/// The two sets of a table.
#[derive(Clone, Copy)]
enum Ranges {
    Pods,
    Cluster,
}

impl Ranges {
    fn name(self) -> &'static str {
        match self {
            Ranges::Pods => "pods",
            Ranges::Cluster => "cluster",
        }
    }
}

impl Egress {
    /// The transaction that makes the table say this, whatever it said before.
    pub fn encode(&self) -> Vec<u8> {
        let mut batch = Transaction::new(self.family);
        batch.replace_table();
        for ranges in [Ranges::Pods, Ranges::Cluster] {
            batch.add_set(ranges);
            for part in self.disjoint(ranges).chunks(ELEMENTS) {
                batch.add_elements(ranges, part);
            }
        }
        batch.add_chain();
        batch.add_rule();
        batch.end()
    }

    /// The ranges of a set, none inside another, in order: what the kernel asks of intervals.
    fn disjoint(&self, ranges: Ranges) -> Vec<IpNet> {
        let list = match ranges {
            Ranges::Pods => &self.pods,
            Ranges::Cluster => &self.cluster,
        };
        let own = |range: &&IpNet| range.addr().is_ipv4() == (self.family == Family::V4);
        IpNet::aggregate(&list.iter().filter(own).copied().collect())
    }
}

/// The transaction that removes the table of a family, if there is one.
pub fn encode_egress_cleanup(family: Family) -> Vec<u8> {
    let mut batch = Transaction::new(family);
    batch.delete_table();
    batch.end()
}

/// As `nft` takes it.
impl fmt::Display for Egress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, address) = match self.family {
            Family::V4 => ("ip", "ipv4_addr"),
            Family::V6 => ("ip6", "ipv6_addr"),
        };
        writeln!(out, "table {ip} {EGRESS_TABLE} {{")?;
        for ranges in [Ranges::Pods, Ranges::Cluster] {
            let list: Vec<String> = self.disjoint(ranges).iter().map(ToString::to_string).collect();
            let name = ranges.name();
            writeln!(out, "  set {name} {{ type {address}; flags interval; elements = {{ {} }} }}", list.join(", "))?;
        }
        writeln!(out, "  chain {CHAIN} {{")?;
        writeln!(out, "    type nat hook postrouting priority srcnat;")?;
        writeln!(out, "    {ip} saddr @pods {ip} daddr != @cluster masquerade fully-random")?;
        writeln!(out, "  }}\n}}")
    }
}

/// A transaction in the making.
struct Transaction {
    family: Family,
    out: Writer,
    sequence: u32,
}

impl Transaction {
    fn new(family: Family) -> Transaction {
        let mut out = Writer::default();
        out.message(edge(crate::encode::BATCH_BEGIN, 0), |_| ());
        Transaction { family, out, sequence: 0 }
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer)) {
        self.sequence += 1;
        let mut head = head(SUBSYSTEM << 8 | kind, flags | flag::ACK, self.family);
        head.sequence = self.sequence;
        self.out.message(head, body);
    }

    fn delete_table(&mut self) {
        // One that is not there cannot be deleted, so it is made sure that it is.
        self.message(kind::NEW_TABLE, flag::CREATE, |out| out.text(1, EGRESS_TABLE));
        self.message(kind::DELETE_TABLE, 0, |out| out.text(1, EGRESS_TABLE));
    }

    fn replace_table(&mut self) {
        self.delete_table();
        self.message(kind::NEW_TABLE, flag::CREATE, |out| out.text(1, EGRESS_TABLE));
    }

    fn add_set(&mut self, ranges: Ranges) {
        let (number, length) = match self.family {
            Family::V4 => (7, 4),
            Family::V6 => (8, 16),
        };
        self.message(kind::NEW_SET, flag::CREATE, |out| {
            out.text(1, EGRESS_TABLE);
            out.text(2, ranges.name());
            out.be32(3, set_flag::INTERVAL);
            out.be32(4, number);
            out.be32(5, length);
            out.be32(10, ranges as u32 + 1);
        });
    }

    fn add_elements(&mut self, ranges: Ranges, list: &[IpNet]) {
        self.message(kind::NEW_ELEMENT, flag::CREATE, |out| {
            out.text(1, EGRESS_TABLE);
            out.text(2, ranges.name());
            out.nest(3, |out| list.iter().for_each(|range| write_net(out, range)));
        });
    }

    fn add_chain(&mut self) {
        self.message(kind::NEW_CHAIN, flag::CREATE, |out| {
            out.text(1, EGRESS_TABLE);
            out.text(3, CHAIN);
            out.nest(4, |out| {
                out.be32(1, HOOK_POSTROUTING);
                out.be32(2, PRIORITY as u32);
            });
            out.text(7, "nat");
        });
    }

    fn add_rule(&mut self) {
        // Where source and destination stand in the header, and how long an address is.
        let (source, destination, length) = match self.family {
            Family::V4 => (12, 16, 4),
            Family::V6 => (8, 24, 16),
        };
        let v6 = self.family == Family::V6;
        let load = |offset| Expression::Payload { register: ADDRESS_REGISTER, header: Header::Network, offset, length };
        self.message(kind::NEW_RULE, flag::CREATE | flag::APPEND, |out| {
            out.text(1, EGRESS_TABLE);
            out.text(2, CHAIN);
            out.nest(4, |out| {
                load(source).encode(out, v6);
                look_up(out, Ranges::Pods, false);
                load(destination).encode(out, v6);
                look_up(out, Ranges::Cluster, true);
                Expression::Masquerade.encode(out, v6);
            });
        });
    }

    fn end(mut self) -> Vec<u8> {
        self.out.message(edge(crate::encode::BATCH_END, self.sequence + 1), |_| ());
        self.out.bytes
    }
}

/// The register that holds an address of either family.
const ADDRESS_REGISTER: u32 = 1;

/// Ends the rule unless the address is in the set, or is not in it.
fn look_up(out: &mut Writer, ranges: Ranges, inverted: bool) {
    out.nest(1, |out| {
        out.text(1, "lookup");
        out.nest(2, |out| {
            out.text(1, ranges.name());
            out.be32(2, ADDRESS_REGISTER);
            out.be32(5, u32::from(inverted));
        });
    });
}

fn write_net(out: &mut Writer, range: &IpNet) {
    match range {
        IpNet::V4(range) => write_range(out, &range.network().octets(), &range.broadcast().octets()),
        IpNet::V6(range) => write_range(out, &range.network().octets(), &range.broadcast().octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_prints_as_nft_takes_it_without_ranges_inside_others_or_of_the_other_family() {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().expect("a range")).collect::<BTreeSet<IpNet>>();
        let egress = Egress {
            family: Family::V4,
            pods: nets(&["10.244.1.0/24", "fd00:10:244:1::/64"]),
            cluster: nets(&["10.244.0.0/24", "10.244.1.0/24", "10.244.1.7/32", "192.0.2.1/32", "fd00::/64"]),
        };
        let expected = "table ip maitred-pods {\n  \
              set pods { type ipv4_addr; flags interval; elements = { 10.244.1.0/24 } }\n  \
              set cluster { type ipv4_addr; flags interval; elements = { 10.244.0.0/23, 192.0.2.1/32 } }\n  \
              chain postrouting {\n    \
                type nat hook postrouting priority srcnat;\n    \
                ip saddr @pods ip daddr != @cluster masquerade fully-random\n  }\n}\n";
        assert_eq!(egress.to_string(), expected);
    }
}
