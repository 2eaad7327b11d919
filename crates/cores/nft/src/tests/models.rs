//! Small Models for tests, written by hand or drawn at random.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use model::{
    Affinity, Destination, Endpoint, Family, Frontend, LocalPods, Masquerade, Model, Outcome, Pool, PoolName, Protocol,
    Provenance, Role, Rule, Scope, Sources,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// `address:port` or `node:port`, TCP.
pub fn frontend(text: &str) -> Frontend {
    let (destination, port) = match text.strip_prefix("node:") {
        Some(port) => (Destination::Node, port.parse().unwrap()),
        None => {
            let socket: SocketAddr = text.parse().unwrap();
            (Destination::Address(socket.ip()), socket.port())
        }
    };
    Frontend { destination, protocol: Protocol::Tcp, port }
}

/// A pool of these `address:port`; those that end in `!` are on this node.
pub fn pool(service: &str, scope: Scope, endpoints: &[&str]) -> Outcome {
    let mut endpoints: Vec<Endpoint> = endpoints
        .iter()
        .map(|text| {
            let socket: SocketAddr = text.trim_end_matches('!').parse().unwrap();
            Endpoint { address: socket.ip(), port: socket.port(), local: text.ends_with('!'), weight: 1 }
        })
        .collect();
    endpoints.sort_unstable();
    Outcome::Pool(Pool { name: Arc::new(name(service, scope)), endpoints: endpoints.into() })
}

fn name(service: &str, scope: Scope) -> PoolName {
    PoolName {
        namespace: "default".into(),
        service: service.into(),
        port: String::new(),
        protocol: Protocol::Tcp,
        scope,
    }
}

/// A rule that gives every client the same.
pub fn rule(role: Role, masquerade: Masquerade, outcome: Outcome) -> Rule {
    Rule {
        role,
        sources: Sources::Any,
        near: outcome.clone(),
        far: outcome,
        masquerade,
        affinity: None,
        provenance: Provenance::default(),
    }
}

/// The addresses that random Models speak of. Even endpoints are on this node.
struct World {
    family: Family,
    destinations: [IpAddr; 3],
    endpoints: [IpAddr; 5],
    ranges: Vec<IpNet>,
}

fn world(family: Family) -> World {
    let address = |v4: [u8; 4], v6: &str| match family {
        Family::V4 => IpAddr::from(v4),
        Family::V6 => v6.parse().unwrap(),
    };
    let net = |v4: [u8; 4], v4_bits, v6: &str, v6_bits| {
        let bits = if family == Family::V4 { v4_bits } else { v6_bits };
        IpNet::new(address(v4, v6), bits).unwrap()
    };
    World {
        family,
        destinations: [
            address([10, 96, 0, 1], "fd00:96::1"),
            address([10, 96, 0, 17], "fd00:96::11"),
            address([198, 51, 100, 7], "2001:db8::7"),
        ],
        endpoints: [1, 2, 3, 4, 5].map(|number| address([10, 1, 0, number], &format!("fd00:1::{number}"))),
        // None overlaps another, and no two make up a larger one.
        ranges: vec![
            net([0, 0, 0, 0], 2, "::", 2),
            net([64, 64, 0, 0], 16, "4000:1::", 32),
            net([128, 1, 2, 0], 24, "8000::", 64),
            net([192, 0, 2, 1], 32, "fd00::1", 128),
            net([255, 255, 255, 255], 32, "ffff::", 16),
        ],
    }
}

/// A Model as `intent` would make it.
pub fn models(family: Family) -> impl Strategy<Value = Model> {
    let world = Arc::new(world(family));
    let frontends = btree_map(frontends(&world), 0u8..1, 0..8);
    let (rules, ranges) = (world.clone(), world.ranges.clone());
    let with_rules = frontends.prop_flat_map(move |frontends| {
        let rules: Vec<_> = frontends.into_keys().map(|key| (Just(key), rules_at(&rules, key))).collect();
        rules.prop_map(|rules| rules.into_iter().collect())
    });
    let addresses = btree_set(select(world.endpoints.to_vec()), 0..3);
    let service_ranges = subsequence(ranges.clone(), 0..3);
    (with_rules, addresses, service_ranges, detectors(ranges)).prop_map(
        move |(frontends, node_addresses, service_ranges, local_pods)| Model {
            family,
            frontends,
            node_addresses,
            service_ranges: service_ranges.into_iter().collect(),
            local_pods,
        },
    )
}

fn frontends(world: &World) -> impl Strategy<Value = Frontend> + use<> {
    let destinations: Vec<Destination> =
        world.destinations.into_iter().map(Destination::Address).chain([Destination::Node]).collect();
    (select(destinations), select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]), 80u16..82)
        .prop_map(|(destination, protocol, port)| Frontend { destination, protocol, port })
}

fn detectors(ranges: Vec<IpNet>) -> impl Strategy<Value = LocalPods> {
    prop_oneof![
        Just(LocalPods::Unknown),
        subsequence(ranges, 0..4).prop_map(|ranges| LocalPods::Ranges(ranges.into_iter().collect())),
        Just(LocalPods::Interface("cbr0".into())),
        Just(LocalPods::InterfacePrefix("cali".into())),
    ]
}

fn rules_at(world: &Arc<World>, key: Frontend) -> impl Strategy<Value = Rule> + use<> {
    let roles = match key.destination {
        Destination::Node => vec![Role::NodePort],
        Destination::Address(_) => vec![Role::ClusterIp, Role::ExternalIp, Role::LoadBalancerIp],
    };
    let is_node = key.destination == Destination::Node;
    let classes = [Masquerade::Never, Masquerade::Always, Masquerade::UnlessLocalPod, Masquerade::OnlyHost];
    let sources = prop_oneof![
        3 => Just(Sources::Any),
        1 => subsequence(world.ranges.clone(), 0..4).prop_map(|ranges| Sources::Only(ranges.into_iter().collect())),
    ];
    let near = outcomes(world, Scope::Cluster);
    let far = prop_oneof![2 => Just(None), 1 => outcomes(world, Scope::Local).prop_map(Some)];
    let affinity = select(vec![None, None, Some(10), Some(10800)]);
    (select(roles), sources, near, far, select(classes.to_vec()), affinity).prop_map(
        move |(role, sources, near, far, masquerade, timeout_s)| {
            let far = far.unwrap_or_else(|| near.clone());
            let leads_to_pool = [&near, &far].into_iter().any(|outcome| matches!(outcome, Outcome::Pool(_)));
            Rule {
                role,
                sources: if is_node { Sources::Any } else { sources },
                near,
                far,
                masquerade,
                affinity: timeout_s.filter(|_| leads_to_pool).map(|timeout_s| Affinity { timeout_s }),
                provenance: Provenance::default(),
            }
        },
    )
}

fn outcomes(world: &Arc<World>, scope: Scope) -> impl Strategy<Value = Outcome> + use<> {
    let pools = (select(vec!["a", "b"]), vec((0usize..5, 80u16..82, 1u16..3), 1..6));
    let world = world.clone();
    prop_oneof![
        1 => Just(Outcome::Reject),
        1 => Just(Outcome::Drop),
        4 => pools.prop_map(move |(service, chosen)| Outcome::Pool(Pool {
            name: Arc::new(name(service, scope)),
            endpoints: endpoints(&world, &chosen),
        })),
    ]
}

fn endpoints(world: &World, chosen: &[(usize, u16, u16)]) -> Arc<[Endpoint]> {
    assert!(world.endpoints.iter().all(|address| Family::of(*address) == world.family));
    let sockets: BTreeSet<(usize, u16)> = chosen.iter().map(|(index, port, _)| (*index, *port)).collect();
    let weight = |socket| chosen.iter().find(|(index, port, _)| (*index, *port) == socket).map_or(1, |(.., w)| *w);
    sockets
        .into_iter()
        .map(|(index, port)| Endpoint {
            address: world.endpoints[index],
            port,
            local: index % 2 == 0,
            weight: weight((index, port)),
        })
        .collect()
}
