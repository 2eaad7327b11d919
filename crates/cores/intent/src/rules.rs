//! The frontends of a Service and what happens at each of them.
//!
//! | Frontend | Policy | no endpoint anywhere | policy Local, none here |
//! |---|---|---|---|
//! | cluster IP | internal | reject | drop |
//! | load-balancer ingress IP, unless in mode `Proxy` | external | reject | drop, but near clients go anywhere |
//! | external IP | external | reject | drop, but near clients go anywhere |
//! | node port | external | reject | drop, but near clients go anywhere |
//!
//! Near clients are local Pods and the host itself (S-313).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::{EndpointSlice, Service, ServicePort};
use ipnet::IpNet;
use model::{
    Affinity, Destination, Endpoint, Family, Frontend, LocalPods, Masquerade, Outcome, Pool, PoolName, Protocol,
    Provenance, Role, Rule, Scope, Sources,
};

use crate::addresses::{Addresses, Claimed};
use crate::candidates::candidates;
use crate::here::Here;
use crate::{Choice, Place, Policy, Uses, choose};

/// Everything a Service's rules follow from.
pub struct Ingredients<'a> {
    /// The Service; it is ours and has a cluster IP (S-300, S-301).
    pub service: &'a Service,
    /// Its EndpointSlices in the order of their names.
    pub slices: Vec<&'a EndpointSlice>,
    /// This node.
    pub here: &'a Here,
    /// Whether every packet to a cluster IP is masqueraded.
    pub masquerade_all: bool,
}

/// The rules of a Service in one family. Where two of its own ports or addresses meet in one frontend, the cluster IP
/// comes first, then the load-balancer address, since that one is guarded.
pub fn rules(from: &Ingredients, addresses: &Addresses, family: Family) -> BTreeMap<Frontend, Rule> {
    let mut found = BTreeMap::new();
    let addresses = addresses.in_family(family);
    if addresses.cluster.is_empty() {
        return found;
    }
    for (index, port) in from.service.spec.ports.iter().enumerate() {
        let port = PortRules::of(from, &addresses, family, port, index);
        for (frontend, rule) in port.cluster().chain(port.load_balancer()).chain(port.external()).chain(port.node()) {
            found.entry(frontend).or_insert(rule);
        }
    }
    found
}

/// The port of a Service that answers at a frontend.
pub fn port_at(service: &Service, frontend: Frontend) -> Option<&ServicePort> {
    let number = |port: &ServicePort| match frontend.destination {
        Destination::Address(_) => port.port,
        Destination::Node => port.node_port,
    };
    service.spec.ports.iter().find(|port| protocol(port) == frontend.protocol && number(port) == frontend.port)
}

/// One Service port in one family, its endpoints already chosen.
struct PortRules<'a> {
    from: &'a Ingredients<'a>,
    addresses: &'a Addresses,
    family: Family,
    port: &'a ServicePort,
    index: usize,
    /// What packets get that may go everywhere.
    cluster: Outcome,
    /// What packets get that have to stay on this node.
    local: Outcome,
}

impl<'a> PortRules<'a> {
    fn of(
        from: &'a Ingredients<'a>,
        addresses: &'a Addresses,
        family: Family,
        port: &'a ServicePort,
        index: usize,
    ) -> PortRules<'a> {
        let service = from.service;
        let external = port.node_port != 0 || !addresses.external.is_empty() || !addresses.load_balancer.is_empty();
        let uses = Uses::of(internal_policy(service), external_policy(service), external);
        let place = Place { node: &from.here.name, zone: from.here.zone.as_deref() };
        let offered = candidates(from.slices.iter().copied(), port, family, &from.here.name);
        let Choice { cluster, local, anywhere } = choose(&offered, uses, place);
        PortRules {
            from,
            addresses,
            family,
            port,
            index,
            cluster: outcome(service, port, Scope::Cluster, cluster, anywhere),
            local: outcome(service, port, Scope::Local, local, anywhere),
        }
    }

    /// The cluster IP. Its policy is the internal one, its masquerade that of S-314.
    fn cluster(&self) -> impl Iterator<Item = (Frontend, Rule)> {
        let outcome = match internal_policy(self.from.service) {
            Policy::Cluster => &self.cluster,
            Policy::Local => &self.local,
        };
        let detector = &self.from.here.in_family(self.family).local_pods;
        let masquerade = match (self.from.masquerade_all, detector) {
            (true, _) => Masquerade::Always,
            (false, LocalPods::Unknown) => Masquerade::Never,
            (false, _) => Masquerade::UnlessLocalPod,
        };
        self.addresses.cluster.iter().map(move |claimed| {
            let provenance = self.provenance(&claimed.field);
            (self.at(claimed.address), self.rule(Role::ClusterIp, [outcome, outcome], masquerade, provenance))
        })
    }

    fn external(&self) -> impl Iterator<Item = (Frontend, Rule)> {
        self.addresses
            .external
            .iter()
            .map(|claimed| (self.at(claimed.address), self.outside(Role::ExternalIp, &claimed.field)))
    }

    /// Load-balancer addresses are the only ones with a guard (S-316).
    fn load_balancer(&self) -> impl Iterator<Item = (Frontend, Rule)> {
        self.addresses.load_balancer.iter().map(|claimed| {
            let rule = self.outside(Role::LoadBalancerIp, &claimed.field);
            (self.at(claimed.address), Rule { sources: self.sources(claimed), ..rule })
        })
    }

    fn node(&self) -> impl Iterator<Item = (Frontend, Rule)> {
        let field = format!("spec.ports[{}].nodePort", self.index);
        (self.port.node_port != 0).then(|| (self.on_node(), self.outside(Role::NodePort, &field))).into_iter()
    }

    /// A frontend for clients outside the cluster: S-312 under policy Cluster, S-313 under policy Local.
    fn outside(&self, role: Role, field: &str) -> Rule {
        let provenance = self.provenance(field);
        match external_policy(self.from.service) {
            Policy::Cluster => self.rule(role, [&self.cluster, &self.cluster], Masquerade::Always, provenance),
            Policy::Local => self.rule(role, [&self.cluster, &self.local], Masquerade::OnlyHost, provenance),
        }
    }

    /// A rule that leads to no endpoint says nothing of masquerade and affinity: a kernel would not keep them.
    fn rule(&self, role: Role, [near, far]: [&Outcome; 2], masquerade: Masquerade, provenance: Provenance) -> Rule {
        let leads_somewhere = [near, far].iter().any(|outcome| matches!(outcome, Outcome::Pool(_)));
        Rule {
            role,
            sources: Sources::Any,
            near: near.clone(),
            far: far.clone(),
            masquerade: if leads_somewhere { masquerade } else { Masquerade::Never },
            affinity: if leads_somewhere { affinity(self.from.service) } else { None },
            provenance,
        }
    }

    /// Who may use a load-balancer address (S-316). If a range contains the node's own address, the host may also come
    /// from the load-balancer address itself: it does when that address is bound on this node.
    fn sources(&self, vip: &Claimed) -> Sources {
        let ranges: BTreeSet<IpNet> = self.addresses.source_ranges.iter().copied().collect();
        if ranges.is_empty() || ranges.iter().any(|range| range.prefix_len() == 0) {
            return Sources::Any;
        }
        let node = &self.from.here.in_family(self.family).primary;
        let contains_node = ranges.iter().any(|range| node.iter().any(|address| range.contains(address)));
        let vip = contains_node.then(|| IpNet::from(vip.address));
        // Ranges that overlap or join are one: that is how a kernel holds them.
        let ranges: Vec<IpNet> = ranges.into_iter().chain(vip).collect();
        Sources::Only(IpNet::aggregate(&ranges).into_iter().collect())
    }

    fn at(&self, address: IpAddr) -> Frontend {
        let destination = Destination::Address(address);
        Frontend { destination, protocol: protocol(self.port), port: self.port.port }
    }

    fn on_node(&self) -> Frontend {
        Frontend { destination: Destination::Node, protocol: protocol(self.port), port: self.port.node_port }
    }

    fn provenance(&self, field: &str) -> Provenance {
        let metadata = &self.from.service.metadata;
        Provenance::new("Service", metadata.key(), field.to_owned(), metadata.resource_version.clone())
    }
}

/// What a set of endpoints means: a pool, or how to turn clients away (S-311).
fn outcome(service: &Service, port: &ServicePort, scope: Scope, endpoints: Vec<Endpoint>, anywhere: bool) -> Outcome {
    if endpoints.is_empty() {
        return if anywhere { Outcome::Drop } else { Outcome::Reject };
    }
    let name = PoolName {
        namespace: service.metadata.namespace.clone(),
        service: service.metadata.name.clone(),
        port: port.name.clone(),
        protocol: protocol(port),
        scope,
    };
    Outcome::Pool(Pool { name: Arc::new(name), endpoints: endpoints.into() })
}

fn internal_policy(service: &Service) -> Policy {
    policy(&service.spec.internal_traffic_policy)
}

fn external_policy(service: &Service) -> Policy {
    policy(&service.spec.external_traffic_policy)
}

fn policy(text: &str) -> Policy {
    if text == "Local" { Policy::Local } else { Policy::Cluster }
}

/// `sessionAffinity: ClientIP` (S-324), three hours unless the Service says otherwise (S-111).
fn affinity(service: &Service) -> Option<Affinity> {
    let configured = || service.spec.session_affinity_config.as_ref()?.client_ip.as_ref()?.timeout_seconds;
    (service.spec.session_affinity == "ClientIP")
        .then(|| Affinity { timeout_s: configured().unwrap_or(10_800).clamp(1, 86_400) })
}

fn protocol(port: &ServicePort) -> Protocol {
    match port.protocol {
        api::Protocol::Tcp => Protocol::Tcp,
        api::Protocol::Udp => Protocol::Udp,
        api::Protocol::Sctp => Protocol::Sctp,
    }
}
