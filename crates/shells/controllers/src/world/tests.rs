use serde_json::{Value, json};

use super::*;

fn decode<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).expect("the fixture has the kind's shape"))
}

fn service(name: &str, selector: Value) -> Input {
    let metadata = json!({ "namespace": "default", "name": name });
    Input::Service(Change::Set(decode(json!({ "metadata": metadata, "spec": { "selector": selector } }))))
}

fn pod(name: &str, labels: Value, node: &str) -> Arc<Pod> {
    let metadata = json!({ "namespace": "default", "name": name, "labels": labels });
    decode(json!({ "metadata": metadata, "spec": { "nodeName": node } }))
}

fn set(name: &str, labels: Value, node: &str) -> Input {
    Input::Pod(Change::Set(pod(name, labels, node)))
}

fn node(name: &str, zone: &str) -> Input {
    let labels = json!({ "topology.kubernetes.io/zone": zone });
    Input::Node(Change::Set(decode(json!({ "metadata": { "name": name, "labels": labels } }))))
}

/// The Services that a change touches.
fn touched(world: &mut World, input: Input) -> Vec<String> {
    world.dirty.clear();
    world.apply(input);
    world.dirty.iter().map(|key| key.1.clone()).collect()
}

#[test]
fn a_pod_touches_the_services_that_selected_it_and_those_that_do_now() {
    let mut world = World::default();
    world.apply(service("a", json!({ "app": "web", "tier": "front" })));
    world.apply(service("b", json!({ "app": "web" })));
    world.apply(service("c", json!({ "app": "shop" })));
    world.apply(service("none", json!({})));
    assert_eq!(touched(&mut world, set("p", json!({ "app": "web" }), "")), ["b"]);
    assert_eq!(touched(&mut world, set("p", json!({ "app": "web", "tier": "front" }), "")), ["a", "b"]);
    assert_eq!(touched(&mut world, set("p", json!({ "app": "shop", "x": "y" }), "")), ["a", "b", "c"]);
    world.apply(service("c", json!({ "x": "z" })));
    assert_eq!(touched(&mut world, set("p", json!({ "app": "shop", "x": "y" }), "")), [""; 0]);
    assert_eq!(touched(&mut world, set("p", json!({ "x": "z" }), "")), ["c"]);
    let gone = Input::Pod(Change::Gone(pod("p", json!({ "x": "z" }), "")));
    assert_eq!(touched(&mut world, gone), ["c"]);
    assert!(world.pods.on_node("").is_empty());
}

#[test]
fn a_node_touches_the_services_of_its_own_pods() {
    let mut world = World::default();
    world.apply(service("a", json!({ "app": "a" })));
    world.apply(service("b", json!({ "app": "b" })));
    world.apply(set("p", json!({ "app": "a" }), "n1"));
    world.apply(set("q", json!({ "app": "b" }), "n2"));
    assert_eq!(touched(&mut world, node("n1", "z1")), ["a"]);
    assert_eq!(touched(&mut world, node("n1", "z1")), [""; 0], "nothing changed that endpoints show");
    world.apply(set("q", json!({ "app": "b" }), "n1"));
    assert_eq!(touched(&mut world, node("n1", "z2")), ["a", "b"]);
}

/// What is looked at for one Pod, and for one Service, in a cluster of so many Services with two Pods each, all of one
/// namespace, which share a label with all others.
fn looked_at(services: usize) -> (usize, usize) {
    let mut world = World::default();
    let labels = |number: usize| json!({ "app": format!("s{number}"), "team": "shop" });
    for number in 0..services {
        world.apply(service(&format!("s{number}"), labels(number)));
        world.apply(set(&format!("s{number}-a"), labels(number), "n"));
        world.apply(set(&format!("s{number}-b"), labels(number), "n"));
    }
    let one = pod("s7-a", labels(7), "n");
    let candidates = world.selectors.candidates("default", &one.metadata.labels).count();
    let service = world.services[&("default".to_owned(), "s7".to_owned())].clone();
    (candidates, world.pods.candidates(&service).len())
}

#[test]
fn a_change_costs_what_it_touches_however_many_services_there_are() {
    let few = looked_at(10);
    assert_eq!(few, (1, 2));
    assert_eq!(looked_at(1_000), few);
    assert_eq!(looked_at(10_000), few);
}
