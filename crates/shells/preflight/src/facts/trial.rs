//! maitred's own rules, all kinds of them, tried on this kernel where nobody is hurt: in a network namespace that goes at once.

use std::net::IpAddr;

use kernel::conntrack::Conntrack;
use kernel::netns::Namespace;
use model::{
    Affinity, Change, Destination, Endpoint, Family, Frontend, LocalPods, Masquerade, Model, Outcome, Pool, PoolName,
    Protocol, Role, Rule, Scope, Sources,
};
use proxy::{Dataplane, Nftables};

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The kernel did it.
    Works,
    /// The kernel said no: what was tried, and its answer.
    Fails(String),
    /// It could not be tried.
    Untried(String),
}

/// Tries the rules of each family, IPv4 first.
pub(super) fn rules() -> [Trial; 2] {
    Family::ALL.map(|family| in_throw_away_namespace(|| program(&everything(family))))
}

/// Tries to ask for tracked connections.
pub(super) fn conntrack() -> Trial {
    in_throw_away_namespace(|| {
        let entries = Conntrack::open().and_then(|mut conntrack| conntrack.udp_entries(false));
        entries.map(drop).map_err(|error| runloop::chain(&error))
    })
}

fn in_throw_away_namespace(body: impl FnOnce() -> Result<(), String> + Send) -> Trial {
    let tried = Namespace::create().and_then(|namespace| namespace.run(body));
    match tried {
        Ok(Ok(())) => Trial::Works,
        Ok(Err(said)) => Trial::Fails(said),
        Err(error) => Trial::Untried(runloop::chain(&error)),
    }
}

/// Writes a Model and reads it back.
fn program(model: &Model) -> Result<(), String> {
    let change = Change::between(&Model::empty(model.family), model);
    let mut dataplane = Nftables::open().map_err(|error| runloop::chain(&error))?;
    let applied = dataplane.apply(model.family, &change).map_err(|error| runloop::chain(&error))?;
    if let Some(unserved) = applied.unserved.first() {
        return Err(unserved.why.clone());
    }
    let mut fresh = Nftables::open().map_err(|error| runloop::chain(&error))?;
    let observed = fresh.observe_family(model.family).map_err(|error| runloop::chain(&error))?;
    if observed == *model { Ok(()) } else { Err("the kernel reads back other rules than were written".to_owned()) }
}

/// A Model that needs every mechanism: dispatch by number of endpoints, source ranges, affinity, near and far clients, each
/// kind of masquerade, node ports, refusals, unassigned addresses.
fn everything(family: Family) -> Model {
    let at = Addresses::of(family);
    let pool = |scope, count: u16| {
        let endpoint = |port| Endpoint { address: at.node, port, local: true, weight: 1 };
        let name = PoolName {
            namespace: "check".to_owned(),
            service: "check".to_owned(),
            port: String::new(),
            protocol: Protocol::Tcp,
            scope,
        };
        Outcome::Pool(Pool { name: name.into(), endpoints: (1..=count).map(endpoint).collect() })
    };
    let plain = Rule {
        role: Role::ClusterIp,
        sources: Sources::Any,
        near: pool(Scope::Cluster, 3),
        far: pool(Scope::Cluster, 3),
        masquerade: Masquerade::UnlessLocalPod,
        affinity: None,
        provenance: Default::default(),
    };
    let balanced = Rule {
        role: Role::LoadBalancerIp,
        sources: Sources::Only([at.range].into()),
        far: pool(Scope::Local, 1),
        masquerade: Masquerade::OnlyHost,
        affinity: Some(Affinity { timeout_s: 10_800 }),
        ..plain.clone()
    };
    let node_port = Rule { role: Role::NodePort, masquerade: Masquerade::Always, ..plain.clone() };
    let refused = Rule { near: Outcome::Reject, far: Outcome::Drop, ..plain.clone() };
    let front = |address: Option<IpAddr>, protocol, port| Frontend {
        destination: address.map_or(Destination::Node, Destination::Address),
        protocol,
        port,
    };
    Model {
        frontends: [
            (front(Some(at.cluster_ip), Protocol::Udp, 53), plain),
            (front(Some(at.cluster_ip), Protocol::Sctp, 9), refused),
            (front(Some(at.outside), Protocol::Tcp, 443), balanced),
            (front(None, Protocol::Tcp, 30_000), node_port),
        ]
        .into(),
        node_addresses: [at.node].into(),
        service_ranges: [at.range].into(),
        local_pods: LocalPods::Ranges([at.range].into()),
        ..Model::empty(family)
    }
}

/// Addresses of documentation and of private use; no packet is sent.
struct Addresses {
    node: IpAddr,
    cluster_ip: IpAddr,
    outside: IpAddr,
    range: ipnet::IpNet,
}

impl Addresses {
    fn of(family: Family) -> Addresses {
        let (node, cluster_ip, outside, range) = match family {
            Family::V4 => ("192.0.2.1", "10.96.0.10", "198.51.100.7", "10.96.0.0/16"),
            Family::V6 => ("2001:db8::1", "fd00:96::10", "2001:db8:7::7", "fd00:96::/108"),
        };
        let address = |text: &str| text.parse().expect("a literal address");
        Addresses {
            node: address(node),
            cluster_ip: address(cluster_ip),
            outside: address(outside),
            range: range.parse().expect("a literal range"),
        }
    }
}
