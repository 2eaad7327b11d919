//! The data path as a value: which packets maitred has an opinion on, and what it does with them.
//!
//! A [`Model`] describes one node in one IP family. It is computed from the API by `intent`, read back from a kernel by
//! a backend's `observe`, and the two are compared; [`eval()`] sends a packet through it. Nothing here names a chain, a
//! map or a scheduler: a backend that needs a semantic decision is a sign that the Model lacks a field.
//!
//! ```text
//!   packet ──► Frontend? ──► allowed source? ──► near or far client ──► Outcome: pool, reject, drop
//!                 │                                                        │
//!                 no: unused port of a cluster IP, or unassigned           affinity, else a random endpoint;
//!                     address of a Service range (S-341)                   masquerade by class (S-312…S-315)
//! ```

mod change;
mod compare;
mod eval;
mod local;
mod packet;
mod provenance;
mod rule;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

pub use change::Change;
pub use compare::{Difference, FieldDifference, FrontendDifference, SetDifference, compare};
pub use eval::{ClientClass, Forward, Target, Verdict, eval};
pub use packet::{Client, Packet};
pub use provenance::{Origin, Provenance};
pub use rule::{Affinity, Endpoint, Masquerade, Outcome, Pool, PoolName, Role, Rule, Scope, Sources};
pub use step::{Step, Trace};

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// Where its part of a pair is that has IPv4 first, as [`Family::ALL`] has.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The family of a range.
    pub fn of_net(range: &IpNet) -> Family {
        Family::of(range.addr())
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Protocol number 6.
    Tcp,
    /// Protocol number 17.
    Udp,
    /// Protocol number 132.
    Sctp,
}

impl Protocol {
    /// The number in the IP header (IANA).
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// The protocol with this number, if Services know it.
    pub fn from_number(number: u8) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// Where a packet is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A virtual address: a cluster IP, an external IP or a load-balancer IP.
    Address(IpAddr),
    /// Any of the node's accepted addresses ([`Model::node_addresses`]).
    Node,
}

/// The place where clients knock: destination, protocol and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// Virtual address, or the node itself.
    pub destination: Destination,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port, 1 to 65535.
    pub port: u16,
}

impl std::fmt::Display for Frontend {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.destination {
            Destination::Address(IpAddr::V4(address)) => write!(out, "{address}:{}", self.port)?,
            Destination::Address(IpAddr::V6(address)) => write!(out, "[{address}]:{}", self.port)?,
            Destination::Node => write!(out, "node:{}", self.port)?,
        }
        write!(out, "/{}", self.protocol)
    }
}

/// Which packets come from Pods of this node: the local-traffic detector (S-322).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalPods {
    /// Nothing is known: no packet counts as a local Pod's.
    #[default]
    Unknown,
    /// The source address is in one of these ranges.
    Ranges(BTreeSet<IpNet>),
    /// The packet came in by this interface.
    Interface(String),
    /// The packet came in by an interface whose name starts so.
    InterfacePrefix(String),
}

impl std::fmt::Display for LocalPods {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LocalPods::Unknown => out.write_str("unknown"),
            LocalPods::Ranges(ranges) => write!(out, "source in {}", rule::List(ranges)),
            LocalPods::Interface(name) => write!(out, "interface {name}"),
            LocalPods::InterfacePrefix(prefix) => write!(out, "interface {prefix}*"),
        }
    }
}

/// The data path of one node in one IP family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Which family.
    pub family: Family,
    /// What happens at each frontend.
    pub frontends: BTreeMap<Frontend, Rule>,
    /// The node addresses that accept node ports (S-319).
    pub node_addresses: BTreeSet<IpAddr>,
    /// The Service ranges; a packet to an unassigned address in them is dropped (S-341).
    pub service_ranges: BTreeSet<IpNet>,
    /// How a local Pod's packet is known.
    pub local_pods: LocalPods,
}

impl Model {
    /// A Model that has no opinion on any packet.
    pub fn empty(family: Family) -> Model {
        Model {
            family,
            frontends: BTreeMap::new(),
            node_addresses: BTreeSet::new(),
            service_ranges: BTreeSet::new(),
            local_pods: LocalPods::Unknown,
        }
    }

    /// Whether this address is some Service's cluster IP: its unused ports are refused, not dropped (S-341).
    pub fn is_cluster_ip(&self, address: IpAddr) -> bool {
        self.cluster_ip(address).is_some()
    }

    /// The first rule of this cluster IP, if the address is one.
    pub fn cluster_ip(&self, address: IpAddr) -> Option<&Rule> {
        let at = |protocol, port| Frontend { destination: Destination::Address(address), protocol, port };
        self.frontends
            .range(at(Protocol::Tcp, 0)..=at(Protocol::Sctp, u16::MAX))
            .map(|(_, rule)| rule)
            .find(|rule| rule.role == Role::ClusterIp)
    }
}
