//! Pods of nodes that no longer exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Plane, pod, ready_node, settings};

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn bound(plane: &Plane, name: &str, node: &str) {
    let mut object = pod(name, json!({}));
    object["spec"]["nodeName"] = node.into();
    plane.create(PODS, object).await;
}

#[tokio::test]
async fn pods_of_a_node_that_is_gone_are_deleted_after_forty_seconds() {
    let ahead_s = Arc::new(AtomicI64::new(0));
    let clock = ahead_s.clone();
    let now = Arc::new(move || Timestamp::now() + SignedDuration::from_secs(clock.load(Ordering::Relaxed)));
    let mut plane = Plane::without_controllers().await;
    for node in ["stays", "goes", "returns"] {
        plane.create("/api/v1/nodes", ready_node(node)).await;
        bound(&plane, &format!("on-{node}"), node).await;
    }
    bound(&plane, "on-nothing", "never-was").await;
    plane.control(controllers::Settings { now, ..settings() });
    for node in ["goes", "returns"] {
        plane.delete(&format!("/api/v1/nodes/{node}"), json!({})).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    plane.create("/api/v1/nodes", ready_node("returns")).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(plane.list(PODS).await.len(), 4, "nobody is hasty");
    // As far as the loops know, 41 seconds pass; a Pod that is bound there has them look.
    ahead_s.store(41, Ordering::Relaxed);
    bound(&plane, "late", "goes").await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list").iter();
        items.filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect()
    };
    plane.wait(PODS, "the orphans go", |list| names(list) == ["on-returns", "on-stays"]).await;
    plane.assert_healthy();
}
