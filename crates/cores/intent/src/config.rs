//! Settings that change what Services mean on this node.

use ipnet::IpNet;

/// The proxy's settings, as far as they touch meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// This node's name. Compared in lower case and without surrounding space, as host names are (S-302).
    pub node_name: String,
    /// How a local Pod's packet is known (S-322).
    pub detector: Detector,
    /// Whether every packet to a cluster IP is masqueraded (S-314).
    pub masquerade_all: bool,
    /// Which of the node's addresses accept node ports (S-319).
    pub node_port_addresses: NodePortAddresses,
    /// Which Services are ours: those whose label `service.kubernetes.io/service-proxy-name` has this value; without a
    /// value, those that lack the label (S-300).
    pub service_proxy_name: Option<String>,
}

/// How a packet of a local Pod is known (S-322). A detector without a value is no detector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Detector {
    /// It isn't.
    #[default]
    None,
    /// By a source address in one of these ranges, which are the whole cluster's.
    ClusterCidr(Vec<IpNet>),
    /// By a source address in `Node.spec.podCIDRs`.
    NodeCidr,
    /// By the interface it came in by.
    Interface(String),
    /// By the beginning of the name of the interface it came in by.
    InterfacePrefix(String),
}

/// Which of the node's addresses accept node ports (S-319). Loopback addresses never do (S-320).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// All of them.
    All,
    /// The address by which the cluster knows the node.
    #[default]
    Primary,
    /// Those in these ranges; in a family without a range, all of them.
    Ranges(Vec<IpNet>),
}
