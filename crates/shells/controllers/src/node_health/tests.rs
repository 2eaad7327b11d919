use std::sync::Arc;

use api::Lease;
use cluster::Change;
use runloop::Wake;
use serde_json::{Value, json};

use super::signs::LEASES;
use super::*;
use crate::cache::{Cache, Interest, Named};

fn decode<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).expect("the fixture has the kind's shape"))
}

fn at(time: &str) -> Timestamp {
    format!("2026-01-01T{time}Z").parse().expect("the fixture is a time of day")
}

fn lease_of(node: &str, time: &str) -> Arc<Lease> {
    let spec = json!({ "renewTime": format!("2026-01-01T{time}.000000Z") });
    decode(json!({ "metadata": { "namespace": LEASES, "name": node }, "spec": spec }))
}

fn lease(node: &str, time: &str) -> Change<Lease> {
    Change::Set(lease_of(node, time))
}

fn ready_pod(name: &str, node: &str) -> Change<Pod> {
    Change::Set(decode(json!({
        "metadata": { "namespace": "default", "name": name },
        "spec": { "nodeName": node },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    })))
}

/// The slice in which a node's agent publishes its DNS server.
fn slice(node: &str, ready: bool) -> Change<EndpointSlice> {
    let labels = json!({ "endpointslice.kubernetes.io/managed-by": api::AGENT_SLICE_MANAGER });
    let conditions = json!({ "ready": ready, "serving": ready });
    Change::Set(decode(json!({
        "metadata": { "namespace": "kube-system", "name": format!("kube-dns-{node}"), "labels": labels },
        "endpoints": [{ "addresses": ["192.0.2.1"], "nodeName": node, "conditions": conditions }],
    })))
}

/// A cluster of so many ready nodes, each with a ready Pod and a DNS server, whose Leases were all renewed at noon.
struct Scene {
    caches: Caches,
    ledger: Ledger,
    nodes: Vec<Interest<Node>>,
    pods: Vec<Interest<Pod>>,
    slices: Vec<Interest<EndpointSlice>>,
    marks: Marks,
}

fn scene(nodes: usize) -> Scene {
    let (wake, marks) = (Wake::new(), Marks::default());
    let caches = Caches {
        nodes: Cache::new(None),
        pods: Cache::new(Some(|pod: &Pod| &pod.spec.node_name)),
        slices: Cache::new(Some(node_of)),
        signs: Signs::default(),
    };
    let name: Named<Node> = |node| &node.metadata.name;
    let on_nodes = vec![Interest::new(&wake, node_matters).marking(&marks, name)];
    let on_pods = vec![Interest::new(&wake, pod_matters).marking(&marks, |pod| &pod.spec.node_name)];
    let on_slices = vec![Interest::new(&wake, slice_matters).marking(&marks, node_of)];
    for number in 0..nodes {
        let name = format!("n{number}");
        let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        let node = json!({ "metadata": { "name": name, "uid": name }, "status": ready });
        caches.nodes.apply(Change::Set(decode(node)), &on_nodes);
        caches.pods.apply(ready_pod(&format!("p{number}"), &name), &on_pods);
        caches.slices.apply(slice(&name, true), &on_slices);
        caches.signs.note(lease(&name, "12:00:00"), at("12:00:00"), &marks);
    }
    caches.nodes.apply(Change::Synced, &on_nodes);
    caches.pods.apply(Change::Synced, &on_pods);
    caches.slices.apply(Change::Synced, &on_slices);
    caches.signs.note(Change::Synced, at("12:00:00"), &marks);
    let ledger = Ledger::new(marks.clone(), SignedDuration::from_secs(50));
    Scene { caches, ledger, nodes: on_nodes, pods: on_pods, slices: on_slices, marks }
}

impl Scene {
    /// The nodes that a run looks at, and how many Pods it would write to.
    fn run(&mut self, now: &str) -> (Vec<String>, usize) {
        let plans = self.ledger.judge(&self.caches, at(now));
        self.ledger.pending.clear();
        let pods = plans.iter().map(|(_, plan)| plan.pods.len()).sum();
        (plans.into_iter().map(|(node, _)| node).collect(), pods)
    }
}

#[test]
fn a_run_looks_at_what_changed_however_many_nodes_there_are() {
    for nodes in [10, 1_000, 10_000] {
        let mut scene = scene(nodes);
        assert_eq!(scene.run("12:00:01").0.len(), nodes, "at the start all nodes are looked at");
        assert_eq!(scene.run("12:00:02"), (Vec::new(), 0), "nothing happened");
        scene.caches.pods.apply(ready_pod("another", "n3"), &scene.pods);
        assert_eq!(scene.run("12:00:03"), (vec!["n3".to_owned()], 0), "a Pod became ready");
        for number in (0..nodes).filter(|number| *number != 7) {
            scene.caches.signs.note(lease(&format!("n{number}"), "12:00:10"), at("12:00:10"), &scene.marks);
        }
        assert_eq!(scene.run("12:00:11"), (Vec::new(), 0), "renewals are nobody's business");
        // All grace periods that began at noon are over: each node is looked at once, and one of them is lost.
        let (looked_at, pods) = scene.run("12:00:51");
        assert_eq!((looked_at.len(), pods), (nodes, 1));
        assert_eq!(scene.run("12:00:52"), (Vec::new(), 0));
        scene.caches.pods.apply(ready_pod("late", "n7"), &scene.pods);
        assert_eq!(scene.run("12:00:53"), (vec!["n7".to_owned()], 2), "no Pod is ready on a lost node");
        scene.caches.signs.note(lease("n7", "12:00:54"), at("12:00:54"), &scene.marks);
        assert_eq!(scene.run("12:00:55"), (vec!["n7".to_owned()], 0), "it is back");
    }
}

#[test]
fn the_endpoints_of_a_lost_nodes_agent_are_withdrawn_whenever_they_become_ready() {
    let mut scene = scene(10);
    scene.run("12:00:01");
    let withdrawn = |scene: &mut Scene, now: &str| -> Vec<(String, Vec<String>)> {
        let plans = scene.ledger.judge(&scene.caches, at(now));
        scene.ledger.pending.clear();
        let names = |plan: NodeHealthPlan| plan.slices.into_iter().map(|(slice, _)| slice.name).collect();
        plans.into_iter().map(|(node, plan)| (node, names(plan))).collect()
    };
    let of = |node: &str, slices: &[&str]| (node.to_owned(), slices.iter().map(|&name| name.to_owned()).collect());
    for number in (0..10).filter(|number| *number != 7) {
        scene.caches.signs.note(lease(&format!("n{number}"), "12:00:10"), at("12:00:10"), &scene.marks);
    }
    let lost = withdrawn(&mut scene, "12:00:51");
    assert_eq!(lost.len(), 10, "all grace periods that began at noon are over");
    assert_eq!(lost.iter().map(|(_, slices)| slices.len()).sum::<usize>(), 1);
    assert!(lost.contains(&of("n7", &["kube-dns-n7"])), "{lost:?}");
    scene.caches.slices.apply(slice("n7", false), &scene.slices);
    assert_eq!(withdrawn(&mut scene, "12:00:52"), [], "our own write is no news");
    scene.caches.slices.apply(slice("n3", false), &scene.slices);
    scene.caches.slices.apply(slice("n3", true), &scene.slices);
    assert_eq!(withdrawn(&mut scene, "12:00:53"), [of("n3", &[])], "that one lives");
    scene.caches.slices.apply(slice("n7", true), &scene.slices);
    assert_eq!(withdrawn(&mut scene, "12:00:54"), [of("n7", &["kube-dns-n7"])], "nothing on a lost node is ready");
    scene.caches.signs.note(lease("n7", "12:00:55"), at("12:00:55"), &scene.marks);
    assert_eq!(withdrawn(&mut scene, "12:00:56"), [of("n7", &[])], "it is back");
}

#[test]
fn a_lost_node_that_is_removed_is_forgotten() {
    let mut scene = scene(3);
    scene.run("12:00:01");
    assert_eq!(scene.run("12:00:51").1, 3, "all are lost");
    let gone = scene.caches.nodes.get("n1").expect("it is there");
    scene.caches.nodes.apply(Change::Gone(gone.clone()), &scene.nodes);
    assert_eq!(scene.run("12:00:52"), (vec!["n1".to_owned()], 0));
    // Registered anew, it counts from its Lease, of which there is none yet, and not from its earlier life.
    scene.caches.signs.note(Change::Gone(lease_of("n1", "12:00:00")), at("12:00:53"), &scene.marks);
    scene.caches.nodes.apply(Change::Set(gone), &scene.nodes);
    assert_eq!(scene.run("12:00:54"), (vec!["n1".to_owned()], 0), "it has its grace period");
}
