//! What maitred is going to want of the machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use model::Family;

/// What is to run here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Ranges of cluster IPs.
    pub service_ranges: Vec<IpNet>,
    /// Ranges of Pod addresses.
    pub pod_ranges: Vec<IpNet>,
    /// Where servers will listen.
    pub listens: Vec<Listen>,
    /// Where the store and the credentials will lie, if they lie here.
    pub data_dir: Option<PathBuf>,
    /// Whether Pods will run here.
    pub runs_pods: bool,
    /// Names of checks whose ✗ counts as a warning, because the operator has seen to it.
    pub tolerated: BTreeSet<String>,
}

/// A server that will listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// What for, e.g. `the API`.
    pub purpose: String,
    /// Where.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
    /// How to choose another place, e.g. `--listen`.
    pub option: String,
    /// How to choose another address, e.g. `--node-ip`.
    pub address_option: String,
}

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        })
    }
}

impl Wanted {
    /// Whether a range of this family is wanted.
    pub(crate) fn wants(&self, family: Family) -> bool {
        self.service_ranges.iter().chain(&self.pod_ranges).any(|range| Family::of_net(range) == family)
    }
}
