//! Whatever the history, the Models are those of the objects that exist at its end.
//!
//! A history is drawn as numbers, each of which stands for an event about one of a few objects, so that objects meet:
//! same names, same addresses, same frontends. `PROPTEST_RNG_SEED` draws other histories than the printed seed does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use api::{EndpointHints, Hint};
use model::{Change, Destination, Family, Frontend, Model, Protocol};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config as Runs, RngSeed, TestRunner};

use crate::sample::{config, node, service_cidr, service_gone, slice, slice_gone, svc};
use crate::{Event, Intent, NodePortAddresses};

/// One step: which event it is, and whether the Models are brought up to date after it.
type Step = (u64, bool);

#[test]
fn the_models_depend_on_the_objects_and_not_on_their_history() {
    let seed = match Runs::default().rng_seed {
        RngSeed::Random => 317,
        RngSeed::Fixed(seed) => seed,
    };
    println!("seed {seed}");
    let runs = Runs { cases: 400, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Runs::default() };
    let histories = (vec((any::<u64>(), any::<bool>()), 0..60), vec(any::<u32>(), 40));
    let result = TestRunner::new(runs).run(&histories, |(history, order)| {
        check(&history, &order);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
}

fn check(history: &[Step], order: &[u32]) {
    let mut intent = Intent::new(settings());
    let mut followed = Family::ALL.map(Model::empty);
    let mut last = BTreeMap::new();
    for (position, (number, pause)) in history.iter().enumerate() {
        let (object, event) = event(*number, position);
        last.insert(object, event.clone());
        intent.apply(event);
        if *pause {
            let before = Family::ALL.map(|family| answering(&intent, family));
            follow(&mut followed, intent.take_changes());
            check_untouched(&mut intent, &before);
        }
    }
    follow(&mut followed, intent.take_changes());

    let mut events: Vec<(u32, Event)> = order.iter().copied().cycle().zip(last.values().cloned()).collect();
    events.sort_by_key(|(key, _)| *key);
    let mut scratch = Intent::new(settings());
    events.iter().for_each(|(_, event)| scratch.apply(event.clone()));
    scratch.take_changes();

    for (family, followed) in Family::ALL.into_iter().zip(&followed) {
        assert_eq!(followed, intent.model(family), "changes lead to the Model");
        // As text, so that names and provenance are compared too.
        assert_eq!(format!("{:#?}", intent.model(family)), format!("{:#?}", scratch.model(family)), "{family:?}");
    }
    assert_eq!(intent.problems(), scratch.problems());
    events.iter().for_each(|(_, event)| intent.apply(event.clone()));
    assert!(intent.take_changes().iter().all(Change::is_empty), "the same objects again are no change");
}

/// Where UDP flows may go and who answers for them there.
type Answering = BTreeMap<SocketAddr, BTreeSet<SocketAddr>>;

fn answering(intent: &Intent, family: Family) -> Answering {
    let model = intent.model(family);
    // Addresses after the node's own, whose ports they hide.
    let udp = model.frontends.keys().rev().filter(|frontend| frontend.protocol == Protocol::Udp);
    let at = |frontend: &Frontend| match frontend.destination {
        Destination::Address(address) => vec![address],
        Destination::Node => model.node_addresses.iter().copied().collect(),
    };
    let flows = udp.flat_map(|frontend| at(frontend).into_iter().map(move |address| (address, frontend)));
    flows
        .map(|(address, frontend)| (SocketAddr::new(address, frontend.port), intent.serving(family, frontend)))
        .collect()
}

/// Where it is said that no flow can have become stale, each destination is an old one and kept who answers for it (S-330,
/// S-331).
fn check_untouched(intent: &mut Intent, before: &[Answering; 2]) {
    let touched = intent.take_udp_touched();
    for (family, before, touched) in Family::ALL.into_iter().zip(before).zip(touched).map(|((f, b), t)| (f, b, t)) {
        for (to, now) in answering(intent, family) {
            let kept = before.get(&to).is_some_and(|old| old.is_subset(&now) && old.is_empty() == now.is_empty());
            assert!(touched || kept, "{to}: {:?} became {now:?}", before.get(&to));
        }
    }
}

fn follow(models: &mut [Model; 2], changes: [Change; 2]) {
    models.iter_mut().zip(changes).for_each(|(model, change)| model.apply(change));
}

fn settings() -> crate::Config {
    crate::Config { node_port_addresses: NodePortAddresses::All, ..config() }
}

/// Hands out a number bit by bit.
struct Bits(u64);

impl Bits {
    fn below(&mut self, end: u64) -> u64 {
        let drawn = self.0 % end;
        self.0 /= end;
        drawn
    }

    fn often(&mut self) -> bool {
        self.below(2) == 0
    }

    fn seldom(&mut self) -> bool {
        self.below(5) == 0
    }
}

/// The object that a number is about, and what happens to it.
fn event(number: u64, position: usize) -> (String, Event) {
    let mut bits = Bits(number);
    match bits.below(10) {
        0..4 => service(&mut bits, position),
        4..8 => endpoint_slice(&mut bits),
        8 => own_node(&mut bits),
        _ => surroundings(&mut bits),
    }
}

fn service(bits: &mut Bits, position: usize) -> (String, Event) {
    let number = bits.below(4);
    let name = format!("s{number}");
    if bits.seldom() {
        return (format!("service {name}"), service_gone(&name));
    }
    let mut service = svc(&name).born(u32::try_from(bits.below(3)).unwrap() + 1);
    service = if bits.seldom() { service.ip("10.96.0.99") } else { service.ip(&format!("10.96.0.{number}")) };
    if bits.often() {
        service = service.ip(&format!("fd96::{number}"));
    }
    if bits.often() {
        service = service.external(["198.51.100.1", "10.96.0.0", "2001:db8::1", "nonsense"][bits.below(4) as usize]);
    }
    if bits.often() {
        service = service.ingress(["198.51.100.1", "198.51.100.2"][bits.below(2) as usize]);
    }
    if bits.seldom() {
        service = service.range("203.0.113.0/24");
    }
    service = service.port("http", 80);
    if bits.often() {
        service = service.node_port(30080 + u16::try_from(bits.below(2)).unwrap());
    }
    if bits.seldom() {
        service = service.port("dns", 53).udp();
    }
    let policy = ["Cluster", "Local"];
    service = service.policies(policy[bits.below(2) as usize], policy[bits.below(2) as usize]);
    if bits.seldom() {
        service = service.affinity(None);
    }
    if bits.seldom() {
        service = service.label("service.kubernetes.io/service-proxy-name", "other");
    }
    service = service.with(|service| service.metadata.resource_version = position.to_string());
    (format!("service {name}"), service.event())
}

fn endpoint_slice(bits: &mut Bits) -> (String, Event) {
    let name = format!("e{}", bits.below(5));
    if bits.seldom() {
        return (format!("slice {name}"), slice_gone(&name));
    }
    let v6 = bits.seldom();
    let mut slice = slice(&name, &format!("s{}", bits.below(4)));
    for _ in 0..bits.below(4) {
        let address = if v6 { "fd01::" } else { "10.1.0." };
        let node = ["node-a", "node-b"][bits.below(2) as usize];
        let state = ["ready", "draining", "down", "ready zone=east"][bits.below(4) as usize];
        slice = slice.on(&format!("{address}{} {node} {state}", bits.below(3)));
    }
    if v6 {
        slice = slice.v6();
    }
    slice = slice.with(|slice| {
        if bits.seldom() {
            slice.ports[0].name = Some("dns".to_owned());
            slice.ports[0].protocol = api::Protocol::Udp;
        }
        if bits.seldom() {
            drop(slice.metadata.labels.insert("service.kubernetes.io/headless".to_owned(), String::new()));
        }
        if let Some(endpoint) = slice.endpoints.first_mut().filter(|_| bits.seldom()) {
            let for_nodes = vec![Hint { name: "node-a".to_owned() }];
            endpoint.hints = Some(EndpointHints { for_nodes, for_zones: Vec::new() });
        }
    });
    (format!("slice {name}"), slice.event())
}

fn own_node(bits: &mut Bits) -> (String, Event) {
    let object = "node".to_owned();
    if bits.seldom() {
        return (object, Event::NodeGone { name: "node-a".to_owned() });
    }
    let mut node = node();
    if bits.often() {
        node.metadata.labels.clear();
    }
    if bits.seldom() {
        node.spec.pod_cidrs.truncate(1);
    }
    if bits.often() {
        node.status.addresses[0].address = "203.0.113.7".to_owned();
    }
    (object, Event::Node(Arc::new(node)))
}

fn surroundings(bits: &mut Bits) -> (String, Event) {
    let name = format!("c{}", bits.below(2));
    match bits.below(3) {
        0 => (
            name.clone(),
            service_cidr(&name, [&["10.96.0.0/16"][..], &["10.97.0.0/16", "fd96::/112"]][bits.below(2) as usize]),
        ),
        1 => (name.clone(), Event::ServiceCidrGone { name }),
        _ => {
            let addresses = ["192.168.0.1", "192.168.0.2", "fd00::1"];
            let addresses = addresses.iter().filter(|_| bits.often()).map(|address| address.parse().unwrap());
            ("host".to_owned(), Event::HostAddresses(addresses.collect()))
        }
    }
}
