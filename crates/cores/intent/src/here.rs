//! What this node contributes: its zone, the addresses that accept node ports (S-319), and how its Pods are known (S-322).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::Node;
use ipnet::IpNet;
use model::{Family, LocalPods};

use crate::addresses::parse_address;
use crate::{Config, Detector, NodePortAddresses};

/// This node as the Services on it see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Its name, as EndpointSlices spell it.
    pub name: String,
    /// Its zone, if it is labelled with one.
    pub zone: Option<String>,
    /// What differs between the families: IPv4, IPv6.
    families: [HereInFamily; 2],
}

/// This node in one IP family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HereInFamily {
    /// Where the cluster reaches the node (S-362).
    pub primary: BTreeSet<IpAddr>,
    /// The addresses that accept node ports.
    pub accepted: BTreeSet<IpAddr>,
    /// How a local Pod's packet is known.
    pub local_pods: LocalPods,
}

impl Here {
    /// Puts together what the settings, the Node object and the host's interfaces say.
    pub fn of(config: &Config, node: Option<&Node>, host: &[IpAddr]) -> Here {
        let in_family = |family| {
            // Loopback addresses never accept node ports (S-320).
            let host: BTreeSet<IpAddr> =
                host.iter().copied().filter(|one| Family::of(*one) == family && !one.is_loopback()).collect();
            let primary = primary(node, family);
            HereInFamily {
                accepted: accepted(&config.node_port_addresses, &primary, &host, family),
                primary,
                local_pods: local_pods(&config.detector, node, family),
            }
        };
        Here {
            name: host_name(&config.node_name),
            zone: node.and_then(Node::zone).filter(|zone| !zone.is_empty()).map(str::to_owned),
            families: Family::ALL.map(in_family),
        }
    }

    /// Whether rules that hold for one hold for the other too: which addresses accept node ports is not their concern.
    pub fn means_the_same_to_services(&self, other: &Here) -> bool {
        let seen = |here: &Here| here.families.clone().map(|family| (family.primary, family.local_pods));
        self.name == other.name && self.zone == other.zone && seen(self) == seen(other)
    }

    /// This node in one family.
    pub fn in_family(&self, family: Family) -> &HereInFamily {
        match family {
            Family::V4 => &self.families[0],
            Family::V6 => &self.families[1],
        }
    }
}

/// A host name in the form in which Nodes are named (S-302).
pub fn host_name(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The Node's first internal address, else its first external one. A family in which the Node names none has no primary
/// address: upstream takes loopback then (S-362), which accepts no node port (S-320).
fn primary(node: Option<&Node>, family: Family) -> BTreeSet<IpAddr> {
    let listed = node.map_or(&[][..], |node| &node.status.addresses);
    let first = |kind: &str| {
        let addresses = listed.iter().filter(|listed| listed.r#type == kind);
        addresses.filter_map(|listed| parse_address(&listed.address)).find(|address| Family::of(*address) == family)
    };
    first("InternalIP").or_else(|| first("ExternalIP")).into_iter().collect()
}

/// Which addresses accept node ports (S-319).
fn accepted(
    wanted: &NodePortAddresses,
    primary: &BTreeSet<IpAddr>,
    host: &BTreeSet<IpAddr>,
    family: Family,
) -> BTreeSet<IpAddr> {
    match wanted {
        NodePortAddresses::Primary => primary.clone(),
        NodePortAddresses::All => host.clone(),
        NodePortAddresses::Ranges(ranges) => {
            let ranges = in_family(ranges, family);
            let inside = |address: &IpAddr| ranges.is_empty() || ranges.iter().any(|range| range.contains(address));
            host.iter().copied().filter(inside).collect()
        }
    }
}

/// The detector with its value; without a value there is none (S-322).
fn local_pods(detector: &Detector, node: Option<&Node>, family: Family) -> LocalPods {
    let ranges = |ranges: &[IpNet]| {
        let ranges = in_family(ranges, family);
        if ranges.is_empty() { LocalPods::Unknown } else { LocalPods::Ranges(ranges) }
    };
    match detector {
        Detector::ClusterCidr(cidrs) => ranges(cidrs),
        Detector::NodeCidr => ranges(node.map_or(&[], |node| &node.spec.pod_cidrs)),
        Detector::Interface(name) if !name.is_empty() => LocalPods::Interface(name.clone()),
        Detector::InterfacePrefix(prefix) if !prefix.is_empty() => LocalPods::InterfacePrefix(prefix.clone()),
        Detector::None | Detector::Interface(_) | Detector::InterfacePrefix(_) => LocalPods::Unknown,
    }
}

pub fn in_family(ranges: &[IpNet], family: Family) -> BTreeSet<IpNet> {
    let ranges: Vec<IpNet> = ranges.iter().filter(|range| Family::of_net(range) == family).copied().collect();
    // Ranges that overlap or join are one: that is how a kernel holds them.
    IpNet::aggregate(&ranges).into_iter().collect()
}
