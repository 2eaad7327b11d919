//! Cluster IPs are held by the Services that use them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Plane, service, settings};

const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const CIDRS: &str = "/apis/networking.k8s.io/v1/servicecidrs";

fn address(name: &str, service: &str) -> Value {
    let parent = json!({ "group": "", "resource": "services", "namespace": "default", "name": service });
    let labels = json!({
        "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    });
    json!({ "metadata": { "name": name, "labels": labels }, "spec": { "parentRef": parent } })
}

#[tokio::test]
async fn s145_a_deleted_ipaddress_is_created_again() {
    let plane = Plane::start().await;
    let made = plane.create("/api/v1/namespaces/default/services", service("web", json!({}))).await;
    let ip = made["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let path = format!("{ADDRESSES}/{ip}");
    let before = plane.get(&path).await;
    plane.delete(&path, json!({})).await;
    let renewed = |found: &Value| !found.is_null() && found["metadata"]["uid"] != before["metadata"]["uid"];
    let after = plane.wait(&path, "the address is held again", renewed).await;
    let parent = |address: &Value| {
        let field = |name: &str| address["spec"]["parentRef"][name].as_str().unwrap_or_default().to_owned();
        ["group", "resource", "namespace", "name"].map(field)
    };
    assert_eq!(parent(&after), ["", "services", "default", "web"]);
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    plane.event("default", "web", "ClusterIPNotAllocated").await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s145_an_ipaddress_of_an_absent_service_goes_after_a_minute() {
    let mut plane = Plane::without_controllers().await;
    plane.create(ADDRESSES, address("10.96.0.77", "nobody")).await;
    plane.create(ADDRESSES, address("10.96.0.78", "nobody")).await;
    let path = format!("{ADDRESSES}/10.96.0.77");
    // As far as the loops know, it is a minute and a second later.
    let later = Arc::new(|| Timestamp::now() + SignedDuration::from_secs(61));
    plane.control(controllers::Settings { now: later, ..settings() });
    plane.wait(&path, "the address goes", Value::is_null).await;
    plane.event("default", "10.96.0.77", "IPAddressNotAllocated").await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s145_an_ipaddress_of_an_absent_service_stays_for_the_first_minute() {
    let plane = Plane::start().await;
    plane.create(ADDRESSES, address("10.96.0.77", "nobody")).await;
    // A check ran that saw it: it also repaired what came after it.
    let made = plane.create("/api/v1/namespaces/default/services", service("web", json!({}))).await;
    let ip = made["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    plane.delete(&format!("{ADDRESSES}/{ip}"), json!({})).await;
    plane.wait(&format!("{ADDRESSES}/{ip}"), "the other address is held again", |found| !found.is_null()).await;
    assert_eq!(plane.get(&format!("{ADDRESSES}/10.96.0.77")).await["metadata"]["name"], "10.96.0.77");
}

#[tokio::test]
async fn s144_a_service_cidr_stays_while_addresses_need_it() {
    let plane = Plane::start().await;
    plane.create(CIDRS, json!({ "metadata": { "name": "more" }, "spec": { "cidrs": ["10.200.0.0/24"] } })).await;
    let path = format!("{CIDRS}/more");
    let kept = |cidr: &Value| {
        cidr["metadata"]["finalizers"] == json!(["networking.k8s.io/service-cidr-finalizer"])
            && cidr["status"]["conditions"][0]["status"] == "True"
    };
    plane.wait(&path, "it has its finalizer and is Ready", kept).await;
    let mut fixed = service("web", json!({}));
    fixed["spec"]["clusterIP"] = "10.200.0.9".into();
    plane.create("/api/v1/namespaces/default/services", fixed).await;
    plane.delete(&path, json!({})).await;
    let terminating = |cidr: &Value| cidr["status"]["conditions"][0]["reason"] == "Terminating";
    plane.wait(&path, "it says that it waits", terminating).await;
    plane.delete("/api/v1/namespaces/default/services/web", json!({})).await;
    plane.wait(&path, "it goes ten seconds after its deletion", Value::is_null).await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s143_the_default_service_cidr_gets_its_second_family() {
    let mut plane = Plane::without_controllers().await;
    let both = ["10.96.0.0/16", "fd00:10:96::/108"];
    let service_ranges = both.iter().map(|range| range.parse().expect("a range")).collect();
    plane.control(controllers::Settings { service_ranges, ..settings() });
    plane.wait(&format!("{CIDRS}/kubernetes"), "it has both", |cidr| cidr["spec"]["cidrs"] == json!(both)).await;
    plane.assert_healthy();
}
