//! Two nodes, three endpoints on each, five kinds of client, and the kernel of `node-0` under test.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use intent::{Config, Detector, Event, Intent};
use ipnet::IpNet;
use kernel::links::Scope;
use lab::{Host, Ips, Lab, LabConfig, Route, SctpServer, Server};
use model::{Change, Client, Family, Model, compare};
use proxy::{Applied, Dataplane, DataplaneError, Nftables};
use serde_json::{from_value, json};

/// Ports that every endpoint serves by TCP and UDP; the first one by SCTP too.
pub const TARGET_PORTS: [u16; 2] = [8080, 8081];

/// Endpoints: those whose name begins with `a` are on node-0, those with `b` on node-1.
pub const ENDPOINTS: [&str; 6] = ["a0", "a1", "a2", "b0", "b1", "b2"];

/// Who asks. All packets of all of them pass node-0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// A Pod on node-0 that is no endpoint.
    LocalPod,
    /// The endpoint `a0` on node-0.
    Endpoint,
    /// node-0 itself.
    Host,
    /// A Pod on node-1.
    RemotePod,
    /// A machine outside the cluster.
    Outside,
}

impl Asker {
    pub const ALL: [Asker; 5] = [Asker::LocalPod, Asker::Endpoint, Asker::Host, Asker::RemotePod, Asker::Outside];
}

/// The lab with its servers.
pub struct Scene {
    pub lab: Lab,
    askers: BTreeMap<Asker, Arc<Host>>,
    endpoints: BTreeMap<&'static str, Arc<Host>>,
    _servers: Vec<Server>,
    _sctp: Vec<SctpServer>,
    ports_given: AtomicU32,
}

/// Where virtual addresses lie: cluster IPs, external IPs, load-balancer IPs.
pub const VIRTUAL: [&str; 6] =
    ["10.96.0.0/16", "198.51.100.0/24", "203.0.113.0/24", "fd00:10:96::/112", "2001:db8:1::/112", "2001:db8:2::/112"];

impl Scene {
    pub fn new() -> Scene {
        let ranges: Vec<IpNet> = VIRTUAL.iter().map(|range| range.parse().unwrap()).collect();
        let client_routes = ranges.iter().map(|range| (*range, 0)).collect();
        let lab = Lab::new(LabConfig { nodes: 2, client_routes, ..LabConfig::default() }).unwrap();
        for range in ranges {
            let via = address(lab.node(0).ips(), Family::of_net(&range));
            lab.node(1).replace_route(&Route::new(range).via(via).link("eth0")).unwrap();
        }
        // The kernel sends at most a thousand ICMPv6 errors a second unless their kind is exempt.
        lab.node(0).namespace().set_sysctls(&[("net/ipv6/icmp/ratemask", "255")]).unwrap();
        let endpoints: BTreeMap<&'static str, Arc<Host>> = ENDPOINTS
            .into_iter()
            .map(|name| {
                let (node, number) = (usize::from(name.starts_with('b')), name[1..].parse().unwrap());
                (name, lab.add_pod(node, name, lab.pod_ips(node, number)).unwrap())
            })
            .collect();
        let servers =
            endpoints.values().flat_map(|pod| TARGET_PORTS.map(|port| Server::start(pod, port).unwrap())).collect();
        let sctp = endpoints.values().map(|pod| SctpServer::start(pod, TARGET_PORTS[0]).unwrap()).collect();
        let askers = BTreeMap::from([
            (Asker::LocalPod, lab.add_pod(0, "a9", lab.pod_ips(0, 9)).unwrap()),
            (Asker::Endpoint, Arc::clone(&endpoints["a0"])),
            (Asker::Host, Arc::clone(lab.node(0))),
            (Asker::RemotePod, lab.add_pod(1, "b9", lab.pod_ips(1, 9)).unwrap()),
            (Asker::Outside, Arc::clone(lab.client())),
        ]);
        // Whoever leaves node-0 for an unassigned address is caught by a server there.
        let mut servers: Vec<Server> = servers;
        for family in Family::ALL {
            let (stray, via) = (unassigned(family), address(lab.control().ips(), family));
            lab.control().links().add_address("eth0", IpNet::from(stray), Scope::Global).unwrap();
            lab.node(0).replace_route(&Route::new(stray.into()).via(via).link("eth0")).unwrap();
            servers.push(Server::start_as(lab.control(), "stray", [stray], 80).unwrap());
        }
        Scene { lab, askers, endpoints, _servers: servers, _sctp: sctp, ports_given: AtomicU32::new(0) }
    }

    pub fn asker(&self, asker: Asker) -> &Host {
        &self.askers[&asker]
    }

    pub fn endpoint(&self, name: &str) -> &Host {
        &self.endpoints[name]
    }

    /// A client's port. They come in turn, for one that is used again while node-0's connection tracking remembers its last
    /// flow would meet no rule.
    pub fn next_port(&self) -> u16 {
        12_000 + (self.ports_given.fetch_add(1, Ordering::Relaxed) % 48_000) as u16
    }

    /// The address that a client's packets carry when they reach node-0.
    pub fn source(&self, asker: Asker, family: Family) -> IpAddr {
        address(self.asker(asker).ips(), family)
    }

    /// Where a client's packets come from, as node-0 sees it.
    pub fn client(&self, asker: Asker) -> Client {
        match asker {
            Asker::LocalPod | Asker::Endpoint => {
                let octets = self.asker(asker).ips().v4.unwrap().octets();
                Client::Interface(format!("pod{}-{}", octets[2], octets[3]))
            }
            Asker::Host => Client::Host,
            Asker::RemotePod | Asker::Outside => Client::Interface("eth0".to_owned()),
        }
    }

    /// node-0's address: where node ports are, and what masqueraded packets carry.
    pub fn node_address(&self, family: Family) -> IpAddr {
        address(self.lab.node(0).ips(), family)
    }

    /// What node-0 knows of itself and of the cluster: zone `east`, its Pod ranges, its address, the Service ranges.
    pub fn base(&self) -> Vec<Event> {
        let (v4, v6) = self.lab.pod_ranges(0);
        let addresses = Family::ALL.map(|family| self.node_address(family));
        let node = json!({
            "metadata": {"name": "node-0", "labels": {"topology.kubernetes.io/zone": "east"}},
            "spec": {"podCIDRs": [v4, v6]},
            "status": {"addresses": addresses.map(|address| json!({"type": "InternalIP", "address": address}))},
        });
        let range = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [VIRTUAL[0], VIRTUAL[3]]}});
        vec![
            Event::Node(Arc::new(from_value(node).unwrap())),
            Event::HostAddresses(addresses.to_vec()),
            Event::ServiceCidr(Arc::new(from_value(range).unwrap())),
        ]
    }

    /// A socket to node-0's nftables.
    pub fn nftables(&self) -> Nftables {
        self.lab.node(0).run(Nftables::open).unwrap().unwrap()
    }
}

/// An address in a Service range that no Service here has.
pub fn unassigned(family: Family) -> IpAddr {
    crate::objects::cluster_ip(200, family)
}

/// Local Pods are known by the node's Pod ranges.
pub fn config() -> Config {
    Config { node_name: "node-0".to_owned(), detector: Detector::NodeCidr, ..Config::default() }
}

/// node-0 as a proxy keeps it.
pub struct Node {
    pub intent: Intent,
    pub dataplane: Nftables,
}

impl Node {
    /// A proxy starts on node-0, whatever an earlier one left there.
    pub fn start(scene: &Scene, config: Config) -> Node {
        let mut node = Node { intent: Intent::new(config), dataplane: scene.nftables() };
        node.dataplane.cleanup().unwrap();
        node.hear(scene.base());
        node
    }

    /// What happened goes to the kernel as one change.
    pub fn hear(&mut self, events: impl IntoIterator<Item = Event>) -> Applied {
        events.into_iter().for_each(|event| self.intent.apply(event));
        let changes = self.intent.take_changes();
        let applied = program(&mut self.dataplane, &changes).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(applied.unserved, [], "nftables expresses every Model of these tests");
        applied
    }

    /// What Services mean on node-0.
    pub fn model(&self, family: Family) -> &Model {
        self.intent.model(family)
    }

    /// How the kernel differs from what is intended, read over a socket of its own; empty if it doesn't.
    pub fn difference(&self, scene: &Scene) -> String {
        let observed = scene.nftables().observe().unwrap();
        let of = |observed: &Model| compare(self.model(observed.family), observed).to_string();
        observed.iter().map(of).collect()
    }

    /// Another process takes over: it reads the kernel and writes what differs.
    pub fn restart(&mut self, scene: &Scene) -> Applied {
        self.dataplane = scene.nftables();
        let observed = self.dataplane.observe().unwrap();
        Family::ALL.into_iter().for_each(|family| self.dataplane.recognize(self.intent.model(family)));
        let changes = observed.each_ref().map(|observed| Change::between(observed, self.model(observed.family)));
        program(&mut self.dataplane, &changes).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }
}

/// Carries out both families' changes.
pub fn program(dataplane: &mut Nftables, changes: &[Change; 2]) -> Result<Applied, DataplaneError> {
    let [v4, v6] = changes;
    Ok(dataplane.apply(Family::V4, v4)?.and(dataplane.apply(Family::V6, v6)?))
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The address of one family.
pub fn address(ips: Ips, family: Family) -> IpAddr {
    match family {
        Family::V4 => ips.v4.unwrap().into(),
        Family::V6 => ips.v6.unwrap().into(),
    }
}
