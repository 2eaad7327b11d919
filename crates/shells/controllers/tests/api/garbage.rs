//! What nobody owns any more goes.

use serde_json::{Value, json};

use crate::harness::{Plane, pod, service};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn owned(name: &str, owners: &[&Value]) -> Value {
    let reference = |owner: &&Value| {
        json!({
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
        })
    };
    let owners: Vec<Value> = owners.iter().map(reference).collect();
    json!({ "metadata": { "name": name, "ownerReferences": owners } })
}

fn of_service(list: &Value, name: &str) -> usize {
    let slices = list["items"].as_array().expect("a list").iter();
    slices.filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name).count()
}

#[tokio::test]
async fn the_slices_of_a_deleted_service_go() {
    let plane = Plane::start().await;
    plane.create("/api/v1/namespaces/default/pods", pod("p", json!({ "app": "a" }))).await;
    for name in ["a", "b"] {
        plane.create("/api/v1/namespaces/default/services", service(name, json!({ "app": "a" }))).await;
    }
    let there = |list: &Value| of_service(list, "a") == 1 && of_service(list, "b") == 1;
    plane.wait(SLICES, "both Services have slices", there).await;
    plane.delete("/api/v1/namespaces/default/services/a", json!({})).await;
    plane.wait(SLICES, "its slices go", |list| of_service(list, "a") == 0).await;
    assert_eq!(of_service(&plane.get(SLICES).await, "b"), 1, "the other Service's slices stay");
    plane.assert_healthy();
}

#[tokio::test]
async fn what_lost_its_owner_before_the_start_goes_too() {
    let mut plane = Plane::without_controllers().await;
    let owner = plane.create(CONFIG_MAPS, json!({ "metadata": { "name": "owner" } })).await;
    let other = plane.create(CONFIG_MAPS, json!({ "metadata": { "name": "other" } })).await;
    plane.create(CONFIG_MAPS, owned("orphan", &[&owner])).await;
    plane.create(CONFIG_MAPS, owned("shared", &[&owner, &other])).await;
    plane.delete(&format!("{CONFIG_MAPS}/owner"), json!({})).await;
    plane.control(crate::harness::settings());
    plane.wait(&format!("{CONFIG_MAPS}/orphan"), "it goes", Value::is_null).await;
    let one_left = |map: &Value| map["metadata"]["ownerReferences"].as_array().is_some_and(|owners| owners.len() == 1);
    let shared = plane.wait(&format!("{CONFIG_MAPS}/shared"), "it forgets the owner", one_left).await;
    assert_eq!(shared["metadata"]["ownerReferences"][0]["name"], "other");
}

#[tokio::test]
async fn foreground_deletion_takes_dependents_first_and_orphaning_leaves_them() {
    let plane = Plane::start().await;
    let first = plane.create(CONFIG_MAPS, json!({ "metadata": { "name": "first" } })).await;
    let middle = plane.create(CONFIG_MAPS, owned("middle", &[&first])).await;
    plane.create(CONFIG_MAPS, owned("last", &[&middle])).await;
    plane.delete(&format!("{CONFIG_MAPS}/first"), json!({ "propagationPolicy": "Foreground" })).await;
    for name in ["first", "middle", "last"] {
        plane.wait(&format!("{CONFIG_MAPS}/{name}"), "it goes", Value::is_null).await;
    }

    let owner = plane.create(CONFIG_MAPS, json!({ "metadata": { "name": "owner" } })).await;
    plane.create(CONFIG_MAPS, owned("left", &[&owner])).await;
    plane.delete(&format!("{CONFIG_MAPS}/owner"), json!({ "propagationPolicy": "Orphan" })).await;
    plane.wait(&format!("{CONFIG_MAPS}/owner"), "it goes", Value::is_null).await;
    let left = plane.get(&format!("{CONFIG_MAPS}/left")).await;
    assert_eq!(left["metadata"]["name"], "left");
    assert!(left["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty), "{left:#}");
    plane.assert_healthy();
}
