//! Pods get nodes.

use serde_json::json;

use crate::harness::{Plane, pod, ready_node};

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
