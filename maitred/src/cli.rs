//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use ipnet::IpNet;
use jiff::SignedDuration;

use crate::names;

/// Where control sockets lie.
pub(crate) const RUN_DIR: &str = "/run/maitred";

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
    /// Be a whole cluster on this machine: the API, the controllers, and a node with its Pods, rules and names
    Up(Up),
    /// Serve the API and run the controllers
    Server(Server),
    /// Keep this node's Service rules as an API server says
    Proxy(Proxy),
    /// Show what `maitred proxy` would change on this node; exit code 2 if that is anything
    Plan(Plan),
    /// Serve the cluster's DNS names, and forward the others
    Dns(Dns),
    /// Be a node: run the Pods bound to it, its Service rules and its DNS server
    Agent(Agent),
    /// Say how what runs on this machine is
    Status(Status),
    /// Look whether this machine can do what maitred wants of it, and say what to do if not
    Check(crate::check::Options),
    /// Remove what maitred left on this machine: rules, routes, links; never data
    Cleanup(crate::cleanup::Options),
    /// Show what maitred does, on a lab of network namespaces of this machine
    Demo(Demo),
    /// Answer every connection by who this is and whom it sees: something to put behind a Service
    EchoServer(EchoServer),
    /// Act as the parent process of a Pod
    #[command(hide = true)]
    PodParent {
        /// The Pod's directory
        dir: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Up {
    /// When it ends, remove its rules, routes and Pods from this machine; data stays
    #[arg(long)]
    pub(crate) cleanup: bool,
    /// Start although this check of `maitred check` fails; may be given several times
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(crate) tolerate: Vec<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) node: NodeOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Agent {
    /// How to reach the API server
    #[arg(long, value_name = "FILE", default_value = "/etc/maitred/agent.kubeconfig")]
    pub(crate) kubeconfig: PathBuf,
    /// Domain of the cluster's DNS names
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = names::domain)]
    pub(crate) cluster_domain: String,
    /// The cluster's ranges of Services and Pods, whose reverse names the DNS server answers
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        default_value = "10.96.0.0/16,fd00:10:96::/108,10.244.0.0/16,fd00:10:244::/56"
    )]
    pub(crate) ranges: Vec<IpNet>,
    /// Where control sockets and the state of running Pods lie; it must be empty after a reboot
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    #[command(flatten)]
    pub(crate) node: NodeOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// Whom to ask: agent, up, server, proxy or dns [default: all that run here]
    pub(crate) role: Option<String>,
    /// Where the control sockets lie
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// A table for people or JSON for programs
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// What every node is told, whether its control plane runs in the same process or elsewhere.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Node")]
pub(crate) struct NodeOptions {
    /// The node's name [default: the host's]
    #[arg(long, value_name = "NAME", value_parser = names::own_node_name)]
    pub(crate) node_name: Option<String>,
    /// Where others reach the node, at most one address per family, the primary family first [default: the machine's]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub(crate) node_ip: Vec<IpAddr>,
    /// Labels of the Node object, such as topology.kubernetes.io/zone=a
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = names::label)]
    pub(crate) node_label: Vec<(String, String)>,
    /// Where the output of Pods is kept
    #[arg(long, value_name = "DIR", default_value = "/var/log/maitred/pods")]
    pub(crate) log_dir: PathBuf,
    /// Port of the node's DNS server
    #[arg(long, value_name = "PORT", default_value_t = 53, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) dns_port: u16,
    /// Servers that know names outside the cluster [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(crate) upstream: Vec<SocketAddr>,
    /// Further ranges whose clients may ask for names outside the cluster; private and own ranges always may
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) allow_recursion: Vec<IpNet>,
    /// Name servers of Pods [default: the cluster IP of kube-system/kube-dns]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub(crate) cluster_dns: Vec<IpAddr>,
    /// Let Pods run as user 0
    #[arg(long)]
    pub(crate) allow_root_pods: bool,
    /// Seconds between two renewals of the node's Lease
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) lease_period: u32,
}

#[derive(Args, Debug)]
pub(crate) struct EchoServer {
    /// Port, over TCP (HTTP or lines) and UDP
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// What it calls itself [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
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
    /// Lines for people
    Table,
    /// One JSON object on standard output, and nothing else
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct Server {
    /// Where the store, the certificates and the kubeconfigs lie
    #[arg(long, value_name = "DIR", default_value = "/var/lib/maitred")]
    pub(crate) data_dir: PathBuf,
    /// Where control sockets lie, and in `up` the state of running Pods; it must be empty after a reboot
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    pub(crate) run_dir: PathBuf,
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
    /// How long a node may be silent before it counts as lost; longer than its --lease-period
    #[arg(long, value_name = "SECONDS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) node_monitor_grace_period: u32,
    /// Range of node ports
    #[arg(long, value_name = "FROM-TO", default_value = "30000-32767", value_parser = port_range)]
    pub(crate) service_node_port_range: RangeInclusive<u16>,
    /// Domain of the cluster's DNS names
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = names::domain)]
    pub(crate) cluster_domain: String,
    /// How long an Event is kept after it was last told
    #[arg(long, value_name = "DURATION", default_value = "1h0m0s", value_parser = positive_duration)]
    pub(crate) event_ttl: SignedDuration,
}

#[derive(Args, Debug)]
pub(crate) struct Proxy {
    #[command(flatten)]
    pub(crate) node: ProxiedNode,
    /// Where the control socket lies
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// Remove all rules of maitred from this machine, and exit
    #[arg(long)]
    pub(crate) cleanup: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) node: ProxiedNode,
}

/// Which node's rules, and by which settings.
#[derive(Args, Debug)]
pub(crate) struct ProxiedNode {
    /// How to reach the API server
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,
    /// This node's name, as its Node object has it
    #[arg(long, value_name = "NAME", value_parser = names::node_name)]
    pub(crate) node_name: String,
    /// How traffic of this node's Pods is known
    #[arg(long, value_enum, default_value_t = DetectLocal::ClusterCidr)]
    pub(crate) detect_local_mode: DetectLocal,
    /// Pod ranges of the whole cluster, for --detect-local-mode ClusterCIDR; without one no packet counts as a local Pod's
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) cluster_cidr: Vec<IpNet>,
    /// Bridge of the Pods, for --detect-local-mode BridgeInterface
    #[arg(long, value_name = "NAME")]
    pub(crate) pod_bridge_interface: Option<String>,
    /// Beginning of the names of the Pods' interfaces, for --detect-local-mode InterfaceNamePrefix
    #[arg(long, value_name = "PREFIX")]
    pub(crate) pod_interface_name_prefix: Option<String>,
    /// Rewrite the source of every packet to a cluster IP
    #[arg(long)]
    pub(crate) masquerade_all: bool,
    /// Node addresses that serve node ports: ranges, or `primary`
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "primary")]
    pub(crate) nodeport_addresses: Vec<String>,
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
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = names::domain)]
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
    /// Where the control socket lies
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    pub(crate) run_dir: PathBuf,
}

/// By kube-proxy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DetectLocal {
    /// By the ranges of --cluster-cidr
    #[value(name = "ClusterCIDR", alias = "cluster-cidr")]
    ClusterCidr,
    /// By the Node's spec.podCIDRs
    #[value(name = "NodeCIDR", alias = "node-cidr")]
    NodeCidr,
    /// By the interface of --pod-bridge-interface
    #[value(name = "BridgeInterface", alias = "bridge-interface")]
    BridgeInterface,
    /// By the prefix of --pod-interface-name-prefix
    #[value(name = "InterfaceNamePrefix", alias = "interface-name-prefix")]
    InterfaceNamePrefix,
}

fn positive_duration(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration.is_positive() => Ok(duration),
        _ => Err(format!("{text:?} is no duration; write one such as 1h0m0s or 90s")),
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let parsed = text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match parsed {
        Some((from, to)) if 0 < from && from <= to => Ok(from..=to),
        _ => Err(format!("{text:?} is no port range; write FROM-TO with 1 ≤ FROM ≤ TO ≤ 65535")),
    }
}
