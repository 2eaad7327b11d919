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
    world.dirty = Dirty::default();
    world.apply(input);
    assert_eq!(world.dirty.slices, world.dirty.endpoints);
    world.dirty.slices.iter().map(|key| key.1.clone()).collect()
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

/// Whether the Service's Endpoints are to be planned after this change of them.
fn planned(world: &mut World, change: Change<Endpoints>) -> bool {
    world.dirty = Dirty::default();
    world.apply(Input::Endpoints(change));
    assert!(world.dirty.slices.is_empty(), "slices have nothing to do with it");
    !world.dirty.endpoints.is_empty()
}

fn endpoints(version: &str) -> Arc<Endpoints> {
    decode(json!({ "metadata": { "namespace": "default", "name": "a", "uid": "u", "resourceVersion": version } }))
}

#[test]
fn s215_our_own_write_of_endpoints_is_planned_again_only_if_something_waited_for_it() {
    let key = ("default".to_owned(), "a".to_owned());
    let own = |held: bool| OwnWrite { uid: "u".into(), replaced: Some("1".into()), made: "2".into(), held };
    let mut world = World::default();
    world.apply(service("a", json!({ "app": "a" })));
    assert!(planned(&mut world, Change::Set(endpoints("1"))), "somebody's object");
    let mut after = |held: bool, change: Change<Endpoints>| {
        world.endpoints.insert(key.clone(), endpoints("1"));
        let memory = world.memories.entry(key.clone()).or_default();
        memory.own_write = Some(own(held));
        assert!(memory.own_write.as_ref().is_some_and(|own| own.is_hidden(Some(&endpoints("1")))));
        let planned = planned(&mut world, change);
        assert_eq!(world.memories[&key].own_write, None, "whatever comes, the cache moves");
        planned
    };
    assert!(!after(false, Change::Set(endpoints("2"))), "it is what we wrote");
    assert!(after(true, Change::Set(endpoints("2"))), "a plan was held back");
    assert!(after(false, Change::Set(endpoints("3"))), "somebody wrote later");
    assert!(after(false, Change::Gone(endpoints("1"))), "somebody deleted it");
}

#[test]
fn s229_a_service_leaves_the_endpoints_that_we_created_and_the_cache_does_not_show() {
    let key = ("default".to_owned(), "a".to_owned());
    let mut world = World::default();
    world.apply(service("a", json!({ "app": "a" })));
    let own = OwnWrite { uid: "u".into(), replaced: None, made: "2".into(), held: false };
    assert!(!own.is_hidden(None), "it may have been deleted");
    world.memories.entry(key.clone()).or_default().own_write = Some(own);
    let gone = decode(json!({ "metadata": { "namespace": "default", "name": "a" } }));
    world.apply(Input::Service(Change::Gone(gone)));
    assert_eq!(world.orphaned.get(&key).map(String::as_str), Some("u"));
    world.apply(Input::Endpoints(Change::Set(endpoints("2"))));
    assert!(world.orphaned.contains_key(&key), "the mark stays until it is deleted");
    world.apply(Input::Endpoints(Change::Gone(endpoints("2"))));
    assert!(world.orphaned.is_empty());
}

#[test]
fn s229_endpoints_that_may_have_been_created_are_orphans_if_they_appear_after_their_service() {
    let key = ("default".to_owned(), "a".to_owned());
    let ours = |by: &str| {
        let labels = json!({ "endpoints.kubernetes.io/managed-by": by });
        let metadata = json!({ "namespace": "default", "name": "a", "uid": "u", "labels": labels });
        Input::Endpoints(Change::Set(decode(json!({ "metadata": metadata }))))
    };
    let gone = || Input::Service(Change::Gone(decode(json!({ "metadata": { "namespace": "default", "name": "a" } }))));
    type Step<'a> = &'a dyn Fn(&mut World);
    let unanswered: Step = &|world| world.perhaps_made(&key);
    let service_goes: Step = &|world| world.apply(gone());
    let appears: Step = &|world| world.apply(ours("endpoint-controller"));
    let somebody_makes: Step = &|world| world.apply(ours("me"));
    let cases: [(&str, &[Step], bool); 5] = [
        ("the answer is lost, the Service goes, they appear", &[unanswered, service_goes, appears], true),
        ("the Service goes, the answer is lost, they appear", &[service_goes, unanswered, appears], true),
        ("the Service goes, they appear, the answer is lost", &[service_goes, appears, unanswered], true),
        ("they appear while the Service is there", &[unanswered, appears], false),
        ("somebody else's", &[unanswered, service_goes, somebody_makes], false),
    ];
    for (case, steps, orphaned) in cases {
        let mut world = World::default();
        world.apply(service("a", json!({ "app": "a" })));
        steps.iter().for_each(|step| step(&mut world));
        assert_eq!(world.orphaned.contains_key(&key), orphaned, "{case}");
        assert!(!orphaned || world.dirty.endpoints.contains(&key), "{case}: it is planned");
        assert!(world.perhaps_made.is_empty(), "{case}");
    }
}

#[test]
fn a_slice_of_no_service_is_no_reason_to_remember_one() {
    let mut world = World::default();
    let labels = json!({ "kubernetes.io/service-name": "none" });
    let slice = decode(json!({ "metadata": { "namespace": "default", "name": "none-1", "labels": labels } }));
    world.apply(Input::Slice(Change::Set(slice)));
    assert!(world.memories.is_empty());
}
