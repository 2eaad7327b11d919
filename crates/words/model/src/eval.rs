//! A packet through a Model: what every data path has to do, in the order in which it has to do it.
//!
//! ```text
//!   frontend? ─ no ─► unused port of a cluster IP: reject; unassigned address of a Service range: drop; else not ours
//!      │ yes
//!   allowed source? ─ no ─► drop                     (before anything else is asked: S-343)
//!      │ yes
//!   near or far client ─► its outcome: reject, drop, or a pool
//!                                                       └─► affinity or chance; masquerade by class, or for hairpin
//! ```
//!
//! The random choice and the memory of affinity are left to the data path: a verdict names every endpoint that the packet
//! may be led to. Established connections meet no rule (S-318).

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::{
    Affinity, Client, Destination, Endpoint, Frontend, LocalPods, Masquerade, Model, Outcome, Packet, Rule, Sources,
    Step, Trace,
};

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The Model has no opinion on it: it goes on unchanged.
    NotOurs,
    /// It is led to an endpoint.
    Forward(Forward),
    /// The client is told: a RST for TCP, else an ICMP port-unreachable (S-311).
    Reject,
    /// Silence.
    Drop,
}

/// Where a packet may be led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// One of these, by chance or by affinity. At least one.
    pub targets: Vec<Target>,
    /// Whether the client stays with its endpoint.
    pub affinity: Option<Affinity>,
}

/// An endpoint, and whether a packet that is led to it gets the node's address as its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whether the source address is rewritten.
    pub masquerade: bool,
}

/// Where a client is, as far as rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// A Pod of this node (S-313 a). This comes first: an address of the host may lie in the Pod range.
    LocalPod,
    /// This node itself (S-313 b).
    Host,
    /// Anywhere else (S-313 c).
    Elsewhere,
}

impl ClientClass {
    /// The class of the client that sent this packet.
    pub fn of(packet: &Packet, local_pods: &LocalPods) -> ClientClass {
        let from_local_pod = match (local_pods, &packet.client) {
            (LocalPods::Ranges(ranges), _) => ranges.iter().any(|range| range.contains(&packet.source)),
            (LocalPods::Interface(name), Client::Interface(from)) => from == name,
            (LocalPods::InterfacePrefix(prefix), Client::Interface(from)) => from.starts_with(prefix),
            (LocalPods::Interface(_) | LocalPods::InterfacePrefix(_), Client::Host) | (LocalPods::Unknown, _) => false,
        };
        match packet.client {
            _ if from_local_pod => ClientClass::LocalPod,
            Client::Host => ClientClass::Host,
            Client::Interface(_) => ClientClass::Elsewhere,
        }
    }

    /// Whether such a client gets the rule's near outcome.
    pub fn is_near(self) -> bool {
        self != ClientClass::Elsewhere
    }

    /// Whether a rule rewrites such a client's source address.
    pub fn is_masqueraded(self, masquerade: Masquerade) -> bool {
        match masquerade {
            Masquerade::Never => false,
            Masquerade::Always => true,
            Masquerade::UnlessLocalPod => self != ClientClass::LocalPod,
            Masquerade::OnlyHost => self == ClientClass::Host,
        }
    }
}

impl fmt::Display for ClientClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ClientClass::LocalPod => "a local Pod",
            ClientClass::Host => "this node itself",
            ClientClass::Elsewhere => "neither a local Pod nor this node",
        })
    }
}

/// Sends the first packet of a connection through the Model. The trace tells every decision on the way.
pub fn eval(packet: &Packet, model: &Model) -> (Verdict, Trace) {
    let mut trace = Trace::default();
    let verdict = match frontend(packet, model, &mut trace) {
        Some((frontend, rule)) => {
            trace.push(Step::Frontend { frontend, role: rule.role, provenance: rule.provenance.clone() });
            at_frontend(packet, model, rule, &mut trace)
        }
        None => elsewhere(packet.destination, model, &mut trace),
    };
    (verdict, trace)
}

/// The frontend at which a packet knocks. Virtual addresses come before node ports: an external IP may be the node's.
fn frontend<'a>(packet: &Packet, model: &'a Model, trace: &mut Trace) -> Option<(Frontend, &'a Rule)> {
    let at = |destination| Frontend { destination, protocol: packet.protocol, port: packet.port };
    let find = |frontend| model.frontends.get(&frontend).map(|rule| (frontend, rule));
    if let Some(found) = find(at(Destination::Address(packet.destination))) {
        return Some(found);
    }
    let node_port = find(at(Destination::Node));
    if model.node_addresses.contains(&packet.destination) {
        return node_port;
    }
    if let Some((frontend, rule)) = node_port {
        let provenance = rule.provenance.clone();
        trace.push(Step::NotANodeAddress { address: packet.destination, frontend, provenance });
    }
    None
}

/// No frontend: silence and refusal inside the Service ranges keep packets from wandering to the default route (S-341).
/// A packet to an address that the node itself has is not asked about here, since a Model does not know those.
fn elsewhere(destination: IpAddr, model: &Model, trace: &mut Trace) -> Verdict {
    if let Some(rule) = model.cluster_ip(destination) {
        trace.push(Step::UnusedPort { address: destination, provenance: rule.provenance.clone() });
        return Verdict::Reject;
    }
    if let Some(range) = model.service_ranges.iter().find(|range| range.contains(&destination)) {
        trace.push(Step::UnassignedAddress { address: destination, range: *range });
        return Verdict::Drop;
    }
    trace.push(Step::NotOurs { address: destination });
    Verdict::NotOurs
}

fn at_frontend(packet: &Packet, model: &Model, rule: &Rule, trace: &mut Trace) -> Verdict {
    if !allowed(packet.source, &rule.sources, trace) {
        return Verdict::Drop;
    }
    let class = ClientClass::of(packet, &model.local_pods);
    trace.push(Step::Client { source: packet.source, class });
    let outcome = if class.is_near() { &rule.near } else { &rule.far };
    trace.push(Step::Outcome { outcome: outcome.clone() });
    match outcome {
        Outcome::Reject => Verdict::Reject,
        Outcome::Drop => Verdict::Drop,
        Outcome::Pool(pool) => Verdict::Forward(forward(packet, model, rule, &pool.endpoints, trace)),
    }
}

fn allowed(source: IpAddr, sources: &Sources, trace: &mut Trace) -> bool {
    let Sources::Only(ranges) = sources else { return true };
    match ranges.iter().find(|range| range.contains(&source)) {
        Some(range) => {
            trace.push(Step::SourceAllowed { source, range: *range });
            true
        }
        None => {
            trace.push(Step::SourceRefused { source, sources: sources.clone() });
            false
        }
    }
}

fn forward(packet: &Packet, model: &Model, rule: &Rule, endpoints: &[Endpoint], trace: &mut Trace) -> Forward {
    if let Some(affinity) = rule.affinity {
        trace.push(Step::Affinity { affinity });
    }
    let masquerade = ClientClass::of(packet, &model.local_pods).is_masqueraded(rule.masquerade);
    trace.push(Step::Masquerade { class: rule.masquerade, masquerade });
    let target = |endpoint: &Endpoint| {
        // The reply of an endpoint to itself would not pass this node's NAT (S-315).
        let hairpin =
            endpoint.address == packet.source && (endpoint.local || model.is_local_endpoint(endpoint.address));
        if hairpin && !masquerade {
            trace.push(Step::Hairpin { endpoint: *endpoint });
        }
        Target { endpoint: *endpoint, masquerade: masquerade || hairpin }
    };
    Forward { targets: endpoints.iter().map(target).collect(), affinity: rule.affinity }
}
