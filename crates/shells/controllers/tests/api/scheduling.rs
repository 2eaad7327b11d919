//! Pods get nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Plane, pod, ready_node, settings};
use crate::tap::{Log, Request, is, refusing};

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why_and_is_bound_when_a_node_appears() {
    let plane = Plane::start().await;
    plane.create("/api/v1/namespaces/default/pods", pod("a", json!({}))).await;
    let message = plane.event("default", "a", "FailedScheduling").await;
    assert_eq!(message, "no nodes available to schedule pods");
    let path = "/api/v1/namespaces/default/pods/a";
    let waiting = plane.get(path).await;
    assert_eq!(waiting["status"]["conditions"][0]["reason"], "Unschedulable", "{waiting:#}");

    plane.create("/api/v1/nodes", ready_node("n1")).await;
    let bound = plane.wait(path, "the Pod is bound", |pod| pod["spec"]["nodeName"] == "n1").await;
    let conditions = bound["status"]["conditions"].as_array().expect("conditions");
    let scheduled: Vec<_> = conditions.iter().filter(|condition| condition["type"] == "PodScheduled").collect();
    assert_eq!((scheduled.len(), &scheduled[0]["status"]), (1, &json!("True")), "{bound:#}");
    plane.assert_healthy();
}

#[tokio::test]
async fn pods_made_at_once_are_spread_evenly() {
    let plane = Plane::start().await;
    for node in ["n1", "n2", "n3"] {
        plane.create("/api/v1/nodes", ready_node(node)).await;
    }
    for index in 0..30 {
        plane.create("/api/v1/namespaces/default/pods", pod(&format!("p{index}"), json!({}))).await;
    }
    let node = |pod: &serde_json::Value| pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    let all_bound = |list: &serde_json::Value| {
        let pods = list["items"].as_array().expect("a list");
        pods.iter().all(|pod| !node(pod).is_empty())
    };
    let list = plane.wait("/api/v1/namespaces/default/pods", "all are bound", all_bound).await;
    let pods = list["items"].as_array().expect("a list");
    let count = |name: &str| pods.iter().filter(|pod| node(pod) == name).count();
    assert_eq!([count("n1"), count("n2"), count("n3")], [10, 10, 10]);
}

#[tokio::test]
async fn a_pod_waits_for_a_node_that_its_selector_matches() {
    let plane = Plane::start().await;
    plane.create("/api/v1/nodes", ready_node("n1")).await;
    let mut picky = pod("a", json!({}));
    picky["spec"]["nodeSelector"] = json!({ "disk": "fast" });
    plane.create("/api/v1/namespaces/default/pods", picky).await;
    let message = plane.event("default", "a", "FailedScheduling").await;
    assert!(message.starts_with("0/1 nodes are available: 1 node(s) didn't match"), "{message}");
    plane.merge("/api/v1/nodes/n1", json!({ "metadata": { "labels": { "disk": "fast" } } })).await;
    let path = "/api/v1/namespaces/default/pods/a";
    plane.wait(path, "the Pod is bound", |pod| pod["spec"]["nodeName"] == "n1").await;
}

#[tokio::test]
async fn a_pod_that_asks_for_what_is_not_implemented_is_told_so_and_a_gated_one_waits() {
    let plane = Plane::start().await;
    plane.create("/api/v1/nodes", ready_node("n1")).await;
    let pods = "/api/v1/namespaces/default/pods";
    let make = async |name: &str, field: &str, value: serde_json::Value| {
        let mut object = pod(name, json!({}));
        object["spec"][field] = value;
        plane.create(pods, object).await;
    };
    let term = json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "web" } } });
    let apart = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
    make("apart", "affinity", json!({ "podAntiAffinity": apart })).await;
    make("gated", "schedulingGates", json!([{ "name": "example.com/quota" }])).await;
    make("foreign", "schedulerName", json!("mine")).await;
    let here = json!({ "key": "metadata.name", "operator": "In", "values": ["n1"] });
    let required = json!({ "nodeSelectorTerms": [{ "matchFields": [here] }] });
    let attracted = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
    make("attracted", "affinity", attracted).await;

    let message = plane.event("default", "apart", "FailedScheduling").await;
    let field = "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution";
    assert_eq!(message, format!("{field}: maitred does not implement this field"));
    let says = |reason: &'static str| {
        move |pod: &serde_json::Value| {
            let condition = &pod["status"]["conditions"][0];
            condition["type"] == "PodScheduled" && condition["status"] == "False" && condition["reason"] == reason
        }
    };
    plane.wait(&format!("{pods}/apart"), "it says why it waits", says("Unschedulable")).await;
    plane.wait(&format!("{pods}/gated"), "it says why it waits", says("SchedulingGated")).await;
    plane.wait(&format!("{pods}/attracted"), "it is bound", |pod| pod["spec"]["nodeName"] == "n1").await;
    // The others came before it, so they have been looked at.
    for name in ["apart", "gated", "foreign"] {
        let pod = plane.get(&format!("{pods}/{name}")).await;
        assert!(pod["spec"]["nodeName"].is_null() && pod["status"]["phase"] == "Pending", "{pod:#}");
    }
    let foreign = plane.get(&format!("{pods}/foreign")).await;
    assert!(foreign["status"]["conditions"].is_null(), "it is left alone: {foreign:#}");
    let told: Vec<_> = plane.list("/api/v1/namespaces/default/events").await;
    let about = |event: &serde_json::Value| event["involvedObject"]["name"].clone();
    assert!(told.iter().all(|event| about(event) == "apart"), "nobody else needs an Event: {told:#?}");

    plane.merge(&format!("{pods}/gated"), json!({ "spec": { "schedulingGates": null } })).await;
    plane.wait(&format!("{pods}/gated"), "it is bound", |pod| pod["spec"]["nodeName"] == "n1").await;
    plane.assert_healthy();
}

#[tokio::test]
async fn a_binding_that_lost_to_other_writers_is_tried_again() {
    let mut plane = Plane::without_controllers().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let first = move |it: &Request| is(it, &Method::POST, "binding") && count.fetch_add(1, Ordering::SeqCst) == 0;
    plane.create("/api/v1/nodes", ready_node("n1")).await;
    plane.control_through(settings(), &refusing(&Log::default(), (StatusCode::CONFLICT, "Conflict"), first));
    plane.create("/api/v1/namespaces/default/pods", pod("p", json!({}))).await;
    plane.wait("/api/v1/namespaces/default/pods/p", "the Pod is bound", |pod| pod["spec"]["nodeName"] == "n1").await;
    assert!(tries.load(Ordering::SeqCst) >= 2);
    plane.assert_healthy();
}
