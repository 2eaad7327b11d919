//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use ipnet::IpNet;

/// The Kubernetes Service, complete, in one binary.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Log more; up to three times
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and run the controllers
    Server(Server),
    /// Keep this node's Service rules as an API server says
    Proxy(Proxy),
    /// Serve the cluster's DNS names, and forward the others
    Dns(Dns),
    /// Show what maitred does, on a lab of network namespaces of this machine
    Demo(Demo),
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// A table for people or JSON for programs
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Leave the lab up until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// A line per check
    Table,
    /// One JSON object on standard output, and nothing else
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct Server {
    /// Where the store, the certificates and the kubeconfigs lie
    #[arg(long, value_name = "DIR", default_value = "/var/lib/maitred")]
    pub(crate) data_dir: PathBuf,
    /// Where the API listens
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    pub(crate) listen: SocketAddr,
    /// Addresses under which others reach the API [default: the listen address, else the machine's]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub(crate) advertise_address: Vec<IpAddr>,
    /// Ranges of cluster IPs, at most one per family, the primary family first
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/16,fd00:10:96::/108")]
    pub(crate) service_cluster_ip_range: Vec<IpNet>,
    /// Ranges of Pod addresses, at most one per family; each node gets a /24 of IPv4 and a /64 of IPv6
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.244.0.0/16,fd00:10:244::/56")]
    pub(crate) cluster_cidr: Vec<IpNet>,
    /// How long a node may be silent before it counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 50)]
    pub(crate) node_monitor_grace_period: u32,
    /// Range of node ports
    #[arg(long, value_name = "FROM-TO", default_value = "30000-32767", value_parser = port_range)]
    pub(crate) service_node_port_range: RangeInclusive<u16>,
    /// Domain of the cluster's DNS names
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
}

#[derive(Args, Debug)]
pub(crate) struct Proxy {
    /// How to reach the API server
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,
    /// This node's name, as its Node object has it
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: String,
    /// How traffic of this node's Pods is known
    #[arg(long, value_enum, default_value_t = DetectLocal::None)]
    pub(crate) detect_local_mode: DetectLocal,
    /// Pod ranges of the whole cluster, for --detect-local-mode cluster-cidr
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) cluster_cidr: Vec<IpNet>,
    /// Bridge of the Pods, for --detect-local-mode bridge-interface
    #[arg(long, value_name = "NAME")]
    pub(crate) pod_bridge_interface: Option<String>,
    /// Beginning of the names of the Pods' interfaces, for --detect-local-mode interface-name-prefix
    #[arg(long, value_name = "PREFIX")]
    pub(crate) pod_interface_name_prefix: Option<String>,
    /// Rewrite the source of every packet to a cluster IP
    #[arg(long)]
    pub(crate) masquerade_all: bool,
    /// Node addresses that serve node ports: ranges, or `primary`
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "primary")]
    pub(crate) nodeport_addresses: Vec<String>,
    /// Remove all rules of maitred from this machine, and exit
    #[arg(long)]
    pub(crate) cleanup: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Dns {
    /// How to reach the API server
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,
    /// Where to answer, over UDP and TCP; may be given several times
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:53", value_delimiter = ',')]
    pub(crate) listen: Vec<SocketAddr>,
    /// Domain of the cluster's names
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Seconds for which clients may keep an answer, 0 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub(crate) ttl: u32,
    /// Ranges whose reverse names are answered: those of Services and Pods
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        default_value = "10.96.0.0/16,fd00:10:96::/108,10.244.0.0/16,fd00:10:244::/56"
    )]
    pub(crate) reverse: Vec<IpNet>,
    /// Servers that know the other names [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(crate) upstream: Vec<SocketAddr>,
    /// Further ranges whose clients may ask for other names; private and own ranges always may
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) allow_recursion: Vec<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DetectLocal {
    /// It is not known
    None,
    /// By the ranges of --cluster-cidr
    ClusterCidr,
    /// By the Node's spec.podCIDRs
    NodeCidr,
    /// By the interface of --pod-bridge-interface
    BridgeInterface,
    /// By the prefix of --pod-interface-name-prefix
    InterfaceNamePrefix,
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let parsed = text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match parsed {
        Some((from, to)) if 0 < from && from <= to => Ok(from..=to),
        _ => Err(format!("{text:?} is no port range; write FROM-TO with 1 ≤ FROM ≤ TO ≤ 65535")),
    }
}
