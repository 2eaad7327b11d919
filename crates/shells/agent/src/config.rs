//! What an agent must know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use pods::{Backoff, Means, Rights};

use crate::DnsEndpoint;

/// Configuration of an agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the Node object.
    pub node_name: String,
    /// Where other nodes reach this one, at most one address per family, the primary family first.
    pub node_addresses: Vec<IpAddr>,
    /// Labels of the Node beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Where each Pod has a directory with its parent's socket and its state; it must outlive agents, not the machine.
    pub run_dir: PathBuf,
    /// Where the output of Pods is kept.
    pub log_dir: PathBuf,
    /// How a Pod's parent process is started.
    pub parent: ParentCommand,
    /// Whom Pods may run as.
    pub rights: Rights,
    /// Where Pods look for programs (`PATH`); the usual places if empty.
    pub path: String,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The addresses of the cluster's DNS; without any, Pods resolve as the host does.
    pub dns_addresses: Vec<IpAddr>,
    /// The node's own DNS server, if it has one: an endpoint of `kube-system/kube-dns`.
    pub dns: Option<DnsEndpoint>,
    /// Between two renewals of the node's Lease; it lasts four times as long.
    pub lease_period: Duration,
    /// How long crashed containers wait.
    pub backoff: Backoff,
    /// How many Pods the node takes.
    pub pods_max: u32,
}

/// The program that becomes a Pod's parent process, by calling [`pod_parent`](crate::pod_parent) with the directory that
/// is the last argument.
#[derive(Clone, Debug)]
pub struct ParentCommand {
    /// The program; this binary itself, as a path that stays.
    pub program: PathBuf,
    /// Arguments before the directory.
    pub arguments: Vec<String>,
    /// Variables beside the agent's own.
    pub env: Vec<(String, String)>,
}

impl Config {
    /// A configuration with Kubernetes' usual times, for a node that is reached at these addresses.
    pub fn new(node_name: &str, node_addresses: Vec<IpAddr>, run_dir: PathBuf, parent: ParentCommand) -> Config {
        Config {
            node_name: node_name.to_owned(),
            node_addresses,
            labels: BTreeMap::new(),
            log_dir: run_dir.join("logs"),
            run_dir,
            parent,
            rights: Rights { root_pods: false, only_uid: only_uid() },
            path: String::new(),
            cluster_domain: "cluster.local".to_owned(),
            dns_addresses: Vec::new(),
            dns: None,
            lease_period: Duration::from_secs(10),
            backoff: Backoff::default(),
            pods_max: 110,
        }
    }

    pub(crate) fn means(&self) -> Means {
        let (node_name, host_ips) = (self.node_name.clone(), self.node_addresses.clone());
        Means { rights: self.rights, node_name, host_ips, path: self.path.clone() }
    }
}

/// What the host's resolver is told, as of now. Where that is a server on the host's own loopback, such as systemd-resolved's,
/// which Pods cannot reach, it is what that server is told.
pub fn host_resolv_conf() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let own = read("/etc/resolv.conf").unwrap_or_default();
    let servers = zone::ResolvConf::parse(&own).nameservers;
    let is_loopback = |server: &String| server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if servers.iter().all(is_loopback) { read("/run/systemd/resolve/resolv.conf").unwrap_or(own) } else { own }
}

/// The uid that this process has, if it cannot take another one: its user namespace maps no other, or it isn't root.
fn only_uid() -> Option<u32> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mapped: u64 = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    let own = kernel::detached::user();
    (mapped <= 1 || own != 0).then_some(own)
}
