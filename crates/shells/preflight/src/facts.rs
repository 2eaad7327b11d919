//! What the machine is like. Nothing is judged here, and nothing stays changed.

mod machine;
mod ports;
mod trial;

use std::path::PathBuf;

use ipnet::IpNet;
use kernel::chains::{Chain, Table};
use kernel::links::Route;

use crate::Wanted;

pub use ports::{Owner, PortFact, PortProblem};
pub use trial::Trial;

/// What could be learnt, or why it could not.
pub type Learnt<T> = Result<T, String>;

/// A machine, as far as maitred cares.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Whether the kernel takes maitred's own rules, IPv4 first.
    pub rules: [Trial; 2],
    /// Whether connection tracking can be asked.
    pub conntrack: Trial,
    /// The capabilities of this process, as bits.
    pub capabilities: Learnt<u64>,
    /// Everybody's tables.
    pub tables: Learnt<Vec<Table>>,
    /// Everybody's chains.
    pub chains: Learnt<Vec<Chain>>,
    /// Tables of `iptables-legacy`.
    pub legacy_tables: Vec<String>,
    /// The maitred that keeps Service rules here.
    pub programmer: Learnt<Option<control::Found>>,
    /// Virtual services of IPVS.
    pub ipvs_services: usize,
    /// Names of links.
    pub links: Learnt<Vec<String>>,
    /// Bridges among the links.
    pub bridges: Vec<String>,
    /// Whether packets that a bridge passes on meet netfilter, IPv4 first.
    pub bridge_netfilter: [bool; 2],
    /// Cilium's maps and programs.
    pub cilium_pins: Vec<PathBuf>,
    /// Addresses, each with its link's name.
    pub addresses: Learnt<Vec<(String, IpNet)>>,
    /// Routes of the main table.
    pub routes: Learnt<Vec<Route>>,
    /// Whether packets are passed on, IPv4 first; nothing where the kernel lacks the family.
    pub forwarding: [Option<bool>; 2],
    /// Whether links get IPv6 addresses.
    pub ipv6: bool,
    /// The wanted places to listen.
    pub ports: Vec<PortFact>,
    /// Whether the data directory can be written to: the one that is there, or where it would be made.
    pub data_dir: Learnt<()>,
}

/// Looks at the machine from the caller's network namespace.
pub fn gather(wanted: &Wanted) -> Facts {
    let rules = trial::rules();
    Facts {
        rules,
        conntrack: trial::conntrack(),
        capabilities: machine::capabilities(),
        tables: machine::ruleset(kernel::chains::tables),
        chains: machine::ruleset(kernel::chains::chains),
        legacy_tables: machine::legacy_tables(),
        programmer: control::programmer().map_err(|error| runloop::chain(&error)),
        ipvs_services: machine::ipvs_services(),
        links: machine::links(),
        bridges: machine::bridges(),
        bridge_netfilter: ["iptables", "ip6tables"]
            .map(|name| machine::is_on(&format!("bridge/bridge-nf-call-{name}"))),
        cilium_pins: machine::cilium_pins(),
        addresses: machine::addresses(),
        routes: machine::routes(),
        forwarding: ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map(machine::switch),
        ipv6: machine::switch("ipv6/conf/all/disable_ipv6") == Some(false),
        ports: wanted.listens.iter().map(ports::look).collect(),
        data_dir: wanted.data_dir.as_deref().map_or(Ok(()), machine::writable),
    }
}
