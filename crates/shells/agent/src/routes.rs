//! Routes to the other nodes' Pod ranges, by host gateway: the next hop is the node itself, so it must be on the link.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::Node;
use ipnet::IpNet;
use kernel::links::{LinkError, Links, Route};

/// Marks our routes among the machine's (`rtm_protocol`; the numbers above 128 are free for local use).
const PROTOCOL: u8 = 157;

/// What routes are wanted, and which cannot be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Next hop by Pod range.
    pub(crate) routes: BTreeMap<IpNet, IpAddr>,
    /// Nodes whose addresses are not on any link of this node.
    pub(crate) out_of_reach: BTreeSet<String>,
}

/// Decides on the routes to the ranges of all nodes but this one.
pub(crate) fn plan<'a>(nodes: impl IntoIterator<Item = &'a Node>, own: &str, on_link: &[IpNet]) -> Plan {
    let mut plan = Plan::default();
    for node in nodes.into_iter().filter(|node| node.metadata.name != own) {
        let internal = node.status.addresses.iter().filter(|address| address.r#type == "InternalIP");
        let addresses: Vec<IpAddr> = internal.filter_map(|address| address.address.parse().ok()).collect();
        for range in &node.spec.pod_cidrs {
            let of_family = |address: &&IpAddr| address.is_ipv4() == range.addr().is_ipv4();
            let Some(via) = addresses.iter().find(of_family) else { continue };
            if on_link.iter().any(|net| net.contains(via)) {
                plan.routes.insert(*range, *via);
            } else {
                plan.out_of_reach.insert(node.metadata.name.clone());
            }
        }
    }
    plan
}

/// Makes the node's routes as planned; routes of others are left alone.
pub(crate) fn apply(plan: &Plan, links: &Links) -> Result<(), LinkError> {
    let ours: Vec<Route> = links.routes()?.into_iter().filter(|route| route.protocol == PROTOCOL).collect();
    for route in &ours {
        if !plan.routes.contains_key(&route.to) {
            match links.remove_route(route) {
                Err(error) if !error.is_already_so() => return Err(error),
                _ => {}
            }
        }
    }
    for (to, via) in &plan.routes {
        if !ours.iter().any(|route| route.to == *to && route.via == Some(*via)) {
            links.replace_route(&Route { protocol: PROTOCOL, ..Route::new(*to).via(*via) })?;
        }
    }
    Ok(())
}

/// The networks that are on some link: where a next hop may be.
pub(crate) fn on_link(links: &Links) -> Result<Vec<IpNet>, LinkError> {
    Ok(links
        .addresses()?
        .into_iter()
        .map(|(_, address)| address)
        .filter(|net| net.prefix_len() < net.max_prefix_len())
        .collect())
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

    #[test]
    fn other_nodes_ranges_are_routed_to_them_where_they_are_on_the_link() {
        let nodes = [
            node("self", "192.0.2.1", &["10.244.0.0/24"]),
            node("near", "192.0.2.2", &["10.244.1.0/24", "fd00:10:244:1::/64"]),
            node("far", "198.51.100.7", &["10.244.2.0/24"]),
            node("new", "192.0.2.4", &[]),
        ];
        let plan = plan(&nodes, "self", &["192.0.2.1/24".parse().expect("a net")]);
        let expected = [("10.244.1.0/24".parse().expect("a range"), "192.0.2.2".parse().expect("an address"))];
        assert_eq!(plan.routes, BTreeMap::from(expected));
        assert_eq!(plan.out_of_reach, BTreeSet::from(["far".to_owned()]));
    }
}
