//! Objects for tests, and a packet's way through a Model in short.
//!
//! The scene: this node is `node-a`, 192.168.0.1 and fd00::1, in zone `east`, with Pods in 10.1.0.0/24 and fd01::/64.

use std::net::SocketAddr;
use std::sync::Arc;

use api::{
    AddressType, ClientIp, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, Hint, LoadBalancerIngress,
    Node, NodeAddress, Protocol, Service, ServiceCidr, ServicePort, SessionAffinityConfig,
};
use model::{Client, Family, Packet, Target, Verdict, eval};

use crate::{Config, Detector, Event, Intent};

/// A Service under construction.
#[derive(Clone)]
pub struct Svc(pub Service);

/// `default/NAME` without addresses and ports.
pub fn svc(name: &str) -> Svc {
    let mut service = Service::default();
    service.metadata.name = name.to_owned();
    service.metadata.namespace = "default".to_owned();
    service.metadata.uid = format!("uid-{name}");
    service.metadata.resource_version = "7".to_owned();
    service.metadata.creation_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
    service.spec.r#type = "ClusterIP".to_owned();
    Svc(service)
}

/// `default/web`: every kind of frontend with port 80, the node port being 30080.
pub fn web() -> Svc {
    svc("web").ip("10.96.0.10").external("198.51.100.1").ingress("198.51.100.2").port("http", 80).node_port(30080)
}

impl Svc {
    pub fn with(mut self, edit: impl FnOnce(&mut Service)) -> Svc {
        edit(&mut self.0);
        self
    }

    pub fn ip(self, address: &str) -> Svc {
        self.with(|service| service.spec.cluster_ips.push(address.to_owned()))
    }

    pub fn external(self, address: &str) -> Svc {
        self.with(|service| service.spec.external_ips.push(address.to_owned()))
    }

    pub fn ingress(self, address: &str) -> Svc {
        let ingress = LoadBalancerIngress { ip: address.to_owned(), ..Default::default() };
        self.with(|service| service.status.load_balancer.ingress.push(ingress))
    }

    pub fn range(self, range: &str) -> Svc {
        self.with(|service| service.spec.load_balancer_source_ranges.push(range.to_owned()))
    }

    pub fn port(self, name: &str, port: u16) -> Svc {
        let port = ServicePort { name: name.to_owned(), port, ..Default::default() };
        self.with(|service| service.spec.ports.push(port))
    }

    /// The last port's node port.
    pub fn node_port(self, number: u16) -> Svc {
        self.with(|service| service.spec.ports.last_mut().unwrap().node_port = number)
    }

    /// The last port's protocol.
    pub fn udp(self) -> Svc {
        self.with(|service| service.spec.ports.last_mut().unwrap().protocol = Protocol::Udp)
    }

    pub fn policies(self, internal: &str, external: &str) -> Svc {
        self.with(|service| {
            service.spec.internal_traffic_policy = internal.to_owned();
            service.spec.external_traffic_policy = external.to_owned();
        })
    }

    pub fn affinity(self, timeout_s: Option<u32>) -> Svc {
        self.with(|service| {
            service.spec.session_affinity = "ClientIP".to_owned();
            let client_ip = Some(ClientIp { timeout_seconds: timeout_s });
            service.spec.session_affinity_config = Some(SessionAffinityConfig { client_ip });
        })
    }

    pub fn label(self, key: &str, value: &str) -> Svc {
        self.with(|service| drop(service.metadata.labels.insert(key.to_owned(), value.to_owned())))
    }

    /// Created on this day of January 2026.
    pub fn born(self, day: u32) -> Svc {
        self.with(|service| service.metadata.creation_timestamp = Some(format!("2026-01-{day:02}T00:00:00Z")))
    }

    pub fn event(&self) -> Event {
        Event::Service(Arc::new(self.0.clone()))
    }
}

pub fn service_gone(name: &str) -> Event {
    Event::ServiceGone { namespace: "default".to_owned(), name: name.to_owned() }
}

pub fn slice_gone(name: &str) -> Event {
    Event::SliceGone { namespace: "default".to_owned(), name: name.to_owned() }
}

/// An EndpointSlice under construction.
#[derive(Clone)]
pub struct Slice(pub EndpointSlice);

/// `default/NAME`, a slice of the Service `default/SERVICE`, with port `http` = 8080.
pub fn slice(name: &str, service: &str) -> Slice {
    let mut slice = EndpointSlice::default();
    slice.metadata.name = name.to_owned();
    slice.metadata.namespace = "default".to_owned();
    slice.metadata.labels.insert("kubernetes.io/service-name".to_owned(), service.to_owned());
    slice.ports = vec![EndpointPort { name: Some("http".to_owned()), port: Some(8080), ..Default::default() }];
    Slice(slice)
}

impl Slice {
    pub fn with(mut self, edit: impl FnOnce(&mut EndpointSlice)) -> Slice {
        edit(&mut self.0);
        self
    }

    pub fn v6(self) -> Slice {
        self.with(|slice| slice.address_type = AddressType::IPv6)
    }

    /// An endpoint in the words of [`endpoint`].
    pub fn on(self, text: &str) -> Slice {
        self.with(|slice| slice.endpoints.push(endpoint(text)))
    }

    pub fn event(&self) -> Event {
        Event::Slice(Arc::new(self.0.clone()))
    }
}

/// `ADDRESS NODE [ready|draining|down|unready|published] [zone=NAME]`: `unready` is serving but not ready, `published` is
/// ready but not serving. Without a word all conditions are unset. Node `-` is none.
fn endpoint(text: &str) -> api::Endpoint {
    let mut words = text.split(' ');
    let (address, node) = (words.next().unwrap(), words.next().unwrap());
    let mut endpoint = api::Endpoint { addresses: vec![address.to_owned()], ..Default::default() };
    endpoint.node_name = (node != "-").then(|| node.to_owned());
    let conditions = |ready, serving, terminating| EndpointConditions {
        ready: Some(ready),
        serving: Some(serving),
        terminating: Some(terminating),
    };
    for word in words {
        match word {
            "ready" => endpoint.conditions = conditions(true, true, false),
            "draining" => endpoint.conditions = conditions(false, true, true),
            "down" => endpoint.conditions = conditions(false, false, false),
            "unready" => endpoint.conditions = conditions(false, true, false),
            "published" => endpoint.conditions = conditions(true, false, false),
            hint => {
                let name = hint.strip_prefix("zone=").unwrap().to_owned();
                endpoint.hints = Some(EndpointHints { for_zones: vec![Hint { name }], for_nodes: Vec::new() });
            }
        }
    }
    endpoint
}

/// An endpoint on this node and one elsewhere, for `default/web`.
pub fn here_and_there() -> Slice {
    slice("web-1", "web").on("10.1.0.5 node-a").on("10.1.1.6 node-b")
}

/// This node.
pub fn node() -> Node {
    let mut node = Node::default();
    node.metadata.name = "node-a".to_owned();
    node.metadata.labels.insert("topology.kubernetes.io/zone".to_owned(), "east".to_owned());
    node.spec.pod_cidrs = ["10.1.0.0/24", "fd01::/64"].map(|range| range.parse().unwrap()).to_vec();
    let internal = |address: &str| NodeAddress { r#type: "InternalIP".to_owned(), address: address.to_owned() };
    node.status.addresses = vec![internal("192.168.0.1"), internal("fd00::1")];
    node
}

pub fn node_event() -> Event {
    Event::Node(Arc::new(node()))
}

pub fn service_cidr(name: &str, ranges: &[&str]) -> Event {
    let mut cidr = ServiceCidr::default();
    cidr.metadata.name = name.to_owned();
    cidr.spec.cidrs = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Event::ServiceCidr(Arc::new(cidr))
}

/// Local Pods are known by the Node's Pod ranges; node ports are on its primary addresses.
pub fn config() -> Config {
    Config { node_name: "node-a".to_owned(), detector: Detector::NodeCidr, ..Default::default() }
}

/// This node after these events.
pub fn intent(events: impl IntoIterator<Item = Event>) -> Intent {
    intent_of(config(), events)
}

pub fn intent_of(config: Config, events: impl IntoIterator<Item = Event>) -> Intent {
    let mut intent = Intent::new(config);
    intent.apply(node_event());
    events.into_iter().for_each(|event| intent.apply(event));
    intent.take_changes();
    intent
}

/// The three places a client can be.
pub const POD: &str = "10.1.0.9%veth1";
pub const HOST: &str = "192.168.0.1";
pub const OUTSIDE: &str = "203.0.113.9%eth0";

/// What becomes of a packet, in short: `→ 10.1.0.5 10.1.1.6*`, where `*` means that the source is rewritten. `from` is
/// `ADDRESS` for the host and `ADDRESS%INTERFACE` for everybody else; `to` is `ADDRESS:PORT`, with `/udp` for UDP.
pub fn verdict(intent: &Intent, from: &str, to: &str) -> String {
    let (source, client) = match from.split_once('%') {
        Some((source, interface)) => (source, Client::Interface(interface.to_owned())),
        None => (from, Client::Host),
    };
    let (to, protocol) = match to.strip_suffix("/udp") {
        Some(to) => (to, model::Protocol::Udp),
        None => (to, model::Protocol::Tcp),
    };
    let to: SocketAddr = to.parse().unwrap();
    let packet = Packet { source: source.parse().unwrap(), client, destination: to.ip(), protocol, port: to.port() };
    match eval(&packet, intent.model(Family::of(to.ip()))).0 {
        Verdict::NotOurs => "not ours".to_owned(),
        Verdict::Reject => "reject".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Forward(forward) => forward.targets.iter().fold("→".to_owned(), |text, target| {
            let Target { endpoint, masquerade } = target;
            format!("{text} {}{}", endpoint.address, if *masquerade { "*" } else { "" })
        }),
    }
}
