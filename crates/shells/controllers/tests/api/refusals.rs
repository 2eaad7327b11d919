//! What the server refuses: each refusal holds up only what it is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Plane, pod, ready_node, service, settings};
use crate::tap::{Log, Request, is, refusing, running};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// A Pod and a Service that selects it, whose slices and Endpoints are right.
async fn settled() -> Plane {
    let mut plane = Plane::start().await;
    plane.create(PODS, pod("p", json!({ "app": "a" }))).await;
    plane.merge(&format!("{PODS}/p/status"), running("10.1.0.1", false, "2026-01-01T00:00:00Z")).await;
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    let has = |list: &Value| slice_says(list, "ready", &json!(false));
    plane.wait(SLICES, "the slice has the Pod", has).await;
    let has = |endpoints: &Value| endpoints["subsets"][0]["notReadyAddresses"][0]["ip"] == "10.1.0.1";
    plane.wait(&format!("{ENDPOINTS}/a"), "Endpoints have the Pod", has).await;
    plane.release();
    plane
}

fn slice_says(list: &Value, condition: &str, value: &Value) -> bool {
    list["items"][0]["endpoints"][0]["conditions"][condition] == *value
}

/// Has the Pod change so many times, each time waiting for the slice.
async fn flip(plane: &Plane, count: usize) {
    for number in 1..=count {
        let ready = number % 2 == 1;
        let since = format!("2026-02-01T00:00:{number:02}Z");
        plane.merge(&format!("{PODS}/p/status"), running("10.1.0.1", ready, &since)).await;
        let follows = |list: &Value| slice_says(list, "ready", &json!(ready));
        plane.wait(SLICES, "the slice follows", follows).await;
    }
}

#[tokio::test]
async fn slices_follow_however_often_the_endpoints_are_refused() {
    let mut plane = settled().await;
    let log = Log::default();
    let unprocessable = (StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
    plane.control_through(settings(), &refusing(&log, unprocessable, |it| is(it, &Method::PUT, "endpoints")));
    flip(&plane, 15).await;
    // The last answer may still be on its way through the tap.
    plane.until_run("endpoint-slices", "all writes are answered", |last| last.runs >= 15).await;
    let (slices, refused) = (log.count(&Method::PUT, "endpointslices", 200), log.count(&Method::PUT, "endpoints", 422));
    assert_eq!(slices, 15, "{}", log.text());
    assert!((1..slices).contains(&refused), "slices waited for no pause of the Endpoints:\n{}", log.text());
    assert_eq!(plane.last_run("endpoint-slices").error, None);
    let told = plane.last_run("endpoints").error.expect("a refusal is told");
    assert!(told.contains("refused by the test"), "{told}");
}

#[tokio::test]
async fn s215_a_slice_that_somebody_deleted_is_no_failure() {
    let mut plane = settled().await;
    let log = Log::default();
    let absent = (StatusCode::NOT_FOUND, "NotFound");
    plane.control_through(settings(), &refusing(&log, absent, |it| is(it, &Method::PUT, "endpointslices")));
    plane.merge(&format!("{PODS}/p/status"), running("10.1.0.1", true, "2026-02-01T00:00:00Z")).await;
    let last = plane.until_run("endpoint-slices", "it is tried again", |last| last.runs >= 5).await;
    assert_eq!((last.failures, last.error), (0, None));
}

#[tokio::test]
async fn s214_a_403_that_is_not_of_a_terminating_namespace_is_told_and_tried_again() {
    let mut plane = Plane::without_controllers().await;
    let refuse = Arc::new(AtomicBool::new(true));
    let refuses = refuse.clone();
    let chosen = move |it: &Request| is(it, &Method::POST, "endpointslices") && refuses.load(Ordering::SeqCst);
    plane.control_through(settings(), &refusing(&Log::default(), (StatusCode::FORBIDDEN, "Forbidden"), chosen));
    let made = plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    plane.until_run("endpoint-slices", "the refusal is told", |last| last.error.is_some()).await;
    refuse.store(false, Ordering::SeqCst);
    let has = |list: &Value| list["items"].as_array().is_some_and(|items| !items.is_empty());
    let list = plane.wait(SLICES, "the Service has its slice in the end", has).await;
    // S-211: what the first attempt was to tell is told by the one that succeeds.
    let told = &list["items"][0]["metadata"]["annotations"]["endpoints.kubernetes.io/last-change-trigger-time"];
    assert_eq!(*told, made["metadata"]["creationTimestamp"], "{list:#}");
}

#[tokio::test]
async fn s230_an_address_that_moves_to_another_node_gets_there() {
    let plane = Plane::start().await;
    for node in ["n1", "n2"] {
        plane.create("/api/v1/nodes", ready_node(node)).await;
    }
    let on = |name: &str, node: &str| {
        let mut pod = pod(name, json!({ "app": "a" }));
        pod["spec"]["nodeName"] = node.into();
        pod
    };
    plane.create(PODS, on("p", "n1")).await;
    plane.merge(&format!("{PODS}/p/status"), running("10.1.0.1", true, "2026-01-01T00:00:00Z")).await;
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    let at = |node: &'static str| {
        move |endpoints: &Value| endpoints["subsets"][0]["addresses"][0]["nodeName"].as_str() == Some(node)
    };
    let path = format!("{ENDPOINTS}/a");
    plane.wait(&path, "Endpoints have the Pod", at("n1")).await;
    // In one moment the address is the other Pod's: both changes are seen at once or not, it must come out right.
    plane.create(PODS, on("q", "n2")).await;
    plane.merge(&format!("{PODS}/q/status"), running("10.1.0.1", true, "2026-02-01T00:00:00Z")).await;
    plane.delete(&format!("{PODS}/p"), json!({ "gracePeriodSeconds": 0 })).await;
    let moved = |endpoints: &Value| {
        at("n2")(endpoints) && endpoints["subsets"][0]["addresses"].as_array().is_some_and(|all| all.len() == 1)
    };
    plane.wait(&path, "Endpoints have the other Pod", moved).await;
    plane.assert_healthy();
}
