//! One Pod as one Endpoint (S-205, S-206), with the hints of its traffic distribution (S-219, S-220).

use api::{AddressType, Endpoint, EndpointConditions, EndpointHints, Hint, Node, Pod, Service};

use crate::pod;

/// The Pod's endpoint in one family, or `None` if it has no address there (S-203).
pub fn endpoint(service: &Service, pod: &Pod, node: Option<&Node>, address_type: AddressType) -> Option<Endpoint> {
    let addresses = pod::addresses_of(pod, address_type);
    if addresses.is_empty() {
        return None;
    }
    let conditions = conditions(service, pod);
    let node_name = pod::node_name(pod).map(str::to_owned);
    let zone = node.and_then(Node::zone).filter(|zone| !zone.is_empty()).map(str::to_owned);
    let hints = if conditions.ready == Some(true) {
        Distribution::of(service).hints(zone.as_deref(), node_name.as_deref())
    } else {
        None
    };
    Some(Endpoint {
        addresses,
        conditions,
        hostname: pod::hostname(service, pod).map(str::to_owned),
        target_ref: Some(pod::reference(pod)),
        node_name,
        zone,
        hints,
    })
}

/// All three conditions are always written (S-205).
fn conditions(service: &Service, pod: &Pod) -> EndpointConditions {
    let serving = pod::is_ready(pod);
    let terminating = pod::is_terminating(pod);
    let ready = service.spec.publish_not_ready_addresses || (serving && !terminating);
    EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) }
}

/// Whom an endpoint asks to prefer it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Distribution {
    /// Nobody.
    Cluster,
    /// Clients in its zone.
    Zone,
    /// Clients on its node, else in its zone.
    Node,
}

/// Asks for the proportional algorithm of S-221; the first one wins (S-219).
const TOPOLOGY_ANNOTATIONS: [&str; 2] =
    ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];

impl Distribution {
    fn of(service: &Service) -> Distribution {
        let annotation = TOPOLOGY_ANNOTATIONS.iter().find_map(|key| service.metadata.annotations.get(*key));
        // `Auto` hands the hints to the proportional algorithm, so `trafficDistribution` stays out of its way; every
        // other value only turns that algorithm off.
        if annotation.is_some_and(|value| matches!(value.as_str(), "Auto" | "auto")) {
            return Distribution::Cluster;
        }
        match service.spec.traffic_distribution.as_deref() {
            Some("PreferClose" | "PreferSameZone") => Distribution::Zone,
            Some("PreferSameNode") => Distribution::Node,
            _ => Distribution::Cluster,
        }
    }

    fn hints(self, zone: Option<&str>, node: Option<&str>) -> Option<EndpointHints> {
        let named = |name: Option<&str>| name.map(|name| Hint { name: name.to_owned() }).into_iter().collect();
        let hints = match self {
            Distribution::Cluster => EndpointHints::default(),
            Distribution::Zone => EndpointHints { for_zones: named(zone), for_nodes: Vec::new() },
            Distribution::Node => EndpointHints { for_zones: named(zone), for_nodes: named(node) },
        };
        (hints != EndpointHints::default()).then_some(hints)
    }
}

#[cfg(test)]
mod tests;
