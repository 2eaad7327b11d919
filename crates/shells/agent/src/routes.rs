//! Routes: to the other nodes' Pod ranges, by host gateway, so that the next hop must be on the link; and to the Service
//! ranges, where the machine has none.
//!
//! A local program's packet to a cluster IP needs a route before it is translated. Usually that is the default route; a
//! machine without one gets a route that leads nowhere else than back, with the node's address as source.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::Node;
use ipnet::IpNet;
use kernel::links::{LinkError, Links, Route};

/// Marks our routes among the machine's (`rtm_protocol`; the numbers above 128 are free for local use).
pub const PROTOCOL: u8 = 157;
const LOOPBACK: &str = "lo";

/// What routes are wanted, and which cannot be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Next hop by Pod range.
    pub(crate) routes: BTreeMap<IpNet, IpAddr>,
    /// Source address by Service range that nothing else leads to.
    pub(crate) services: BTreeMap<IpNet, IpAddr>,
    /// Nodes whose addresses are not on any link of this node.
    pub(crate) out_of_reach: BTreeSet<String>,
}

/// What is to be seen of the machine's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The networks that are on some link: where a next hop may be.
    pub(crate) on_link: Vec<IpNet>,
    /// The machine's own addresses.
    pub(crate) own: Vec<IpAddr>,
    /// Where routes lead that are not ours.
    pub(crate) others: Vec<IpNet>,
}

/// Looks at the machine's network.
pub(crate) fn see(links: &Links) -> Result<Seen, LinkError> {
    let addresses: Vec<IpNet> = links.addresses()?.into_iter().map(|(_, address)| address).collect();
    let routes = links.routes()?.into_iter().filter(|route| route.protocol != PROTOCOL);
    Ok(Seen {
        own: addresses.iter().map(IpNet::addr).collect(),
        on_link: addresses.into_iter().filter(|net| net.prefix_len() < net.max_prefix_len()).collect(),
        others: routes.map(|route| route.to).collect(),
    })
}

/// Decides on the routes to the ranges of all nodes but this one, and to the Service ranges.
pub(crate) fn plan<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    (own, node_addresses): (&str, &[IpAddr]),
    services: &BTreeSet<IpNet>,
    seen: &Seen,
) -> Plan {
    let mut plan = Plan::default();
    for node in nodes.into_iter().filter(|node| node.metadata.name != own) {
        let addresses = internal_addresses(node);
        for range in &node.spec.pod_cidrs {
            let Some(via) = addresses.iter().find(|address| is_of_family(range, address)) else { continue };
            if seen.on_link.iter().any(|net| net.contains(via)) {
                plan.routes.insert(*range, *via);
            } else {
                plan.out_of_reach.insert(node.metadata.name.clone());
            }
        }
    }
    for range in services {
        // The kernel takes only an address of its own as a source.
        let is_fit = |address: &&IpAddr| is_of_family(range, address) && seen.own.contains(address);
        let source = node_addresses.iter().find(is_fit);
        if let Some(source) = source.filter(|_| !seen.others.iter().any(|other| other.contains(range))) {
            plan.services.insert(*range, *source);
        }
    }
    plan
}

/// Where a Node says that it is reached.
pub(crate) fn internal_addresses(node: &Node) -> Vec<IpAddr> {
    let internal = node.status.addresses.iter().filter(|address| address.r#type == "InternalIP");
    internal.filter_map(|address| address.address.parse().ok()).collect()
}

fn is_of_family(range: &IpNet, address: &IpAddr) -> bool {
    range.addr().is_ipv4() == address.is_ipv4()
}

impl Plan {
    fn wanted(&self) -> Vec<Route> {
        let nodes = self.routes.iter().map(|(to, via)| Route::new(*to).via(*via));
        let services = self.services.iter().map(|(to, source)| Route::new(*to).link(LOOPBACK).source(*source));
        nodes.chain(services).map(|route| Route { protocol: PROTOCOL, ..route }).collect()
    }
}

/// Makes the node's routes as planned; routes of others are left alone.
pub(crate) fn apply(plan: &Plan, links: &Links) -> Result<(), LinkError> {
    let ours: Vec<Route> = links.routes()?.into_iter().filter(|route| route.protocol == PROTOCOL).collect();
    let wanted = plan.wanted();
    for route in &ours {
        if !wanted.iter().any(|wanted| wanted.to == route.to) {
            match links.remove_route(route) {
                Err(error) if !error.is_already_so() => return Err(error),
                _ => {}
            }
        }
    }
    for route in &wanted {
        let is_same = |other: &&Route| {
            other.to == route.to
                && other.via == route.via
                && other.source == route.source
                && (route.link.is_none() || other.link == route.link)
        };
        if !ours.iter().any(|ours| is_same(&ours)) {
            links.replace_route(route)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, address: &str, ranges: &[&str]) -> Node {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name},
            "spec": {"podCIDRs": ranges},
            "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]},
        }))
        .expect("a node")
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a range")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn other_nodes_ranges_are_routed_to_them_where_they_are_on_the_link() {
        let nodes = [
            node("self", "192.0.2.1", &["10.244.0.0/24"]),
            node("near", "192.0.2.2", &["10.244.1.0/24", "fd00:10:244:1::/64"]),
            node("far", "198.51.100.7", &["10.244.2.0/24"]),
            node("new", "192.0.2.4", &[]),
        ];
        let seen = Seen { on_link: vec![net("192.0.2.1/24")], ..Seen::default() };
        let plan = plan(&nodes, ("self", &[]), &BTreeSet::new(), &seen);
        assert_eq!(plan.routes, BTreeMap::from([(net("10.244.1.0/24"), address("192.0.2.2"))]));
        assert_eq!(plan.out_of_reach, BTreeSet::from(["far".to_owned()]));
    }

    #[test]
    fn a_service_range_gets_a_route_only_where_the_machine_has_none() {
        let services = BTreeSet::from([net("10.96.0.0/16"), net("fd00:10:96::/108")]);
        let own = [address("192.0.2.1"), address("2001:db8::1")];
        let planned = |others: &[&str]| {
            let others = others.iter().map(|text| net(text)).collect();
            let seen = Seen { own: vec![own[0]], others, ..Seen::default() };
            plan(&[], ("self", &own), &services, &seen).services
        };
        let v4 = BTreeMap::from([(net("10.96.0.0/16"), own[0])]);
        assert_eq!(planned(&["192.0.2.0/24"]), v4, "the machine does not have the IPv6 address");
        assert_eq!(planned(&["0.0.0.0/0"]), BTreeMap::new());
        assert_eq!(planned(&["10.0.0.0/8"]), BTreeMap::new());
        assert_eq!(planned(&["10.96.3.0/24"]), v4);
    }
}
