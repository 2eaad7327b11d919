//! EndpointSlices and Endpoints that people touch.

use serde_json::{Value, json};

use crate::harness::{Plane, pod, service};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

fn endpoints(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }], "ports": [{ "port": 1 }] }] })
}

/// The slices that name this Service.
fn of<'a>(list: &'a Value, service: &str) -> Vec<&'a Value> {
    let slices = list["items"].as_array().expect("a list").iter();
    slices.filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service).collect()
}

#[tokio::test]
async fn s229_endpoints_prepared_for_a_service_stay_and_orphans_go_at_the_start() {
    let mut plane = Plane::without_controllers().await;
    plane.create(ENDPOINTS, endpoints("orphan")).await;
    plane.control(crate::harness::settings());
    plane.wait(&format!("{ENDPOINTS}/orphan"), "the scan at the start takes it", Value::is_null).await;
    plane.create(ENDPOINTS, endpoints("prepared")).await;
    // What comes later has been seen to, so the controller has seen the prepared ones, too.
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    plane.wait(SLICES, "the Service has a slice", |list| of(list, "a").len() == 1).await;
    plane.wait(&format!("{ENDPOINTS}/a"), "and Endpoints", |object| !object.is_null()).await;
    let prepared = plane.get(&format!("{ENDPOINTS}/prepared")).await;
    assert_eq!(prepared["subsets"][0]["addresses"], json!([{ "ip": "192.0.2.1" }]));
}

#[tokio::test]
async fn s217_a_slice_that_is_given_to_another_service_is_replaced() {
    let plane = Plane::start().await;
    plane.create(PODS, pod("p", json!({ "app": "a" }))).await;
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    let list = plane.wait(SLICES, "the Service has a slice", |list| of(list, "a").len() == 1).await;
    let name = of(&list, "a")[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let label = json!({ "metadata": { "labels": { "kubernetes.io/service-name": "other" } } });
    plane.merge(&format!("{SLICES}/{name}"), label).await;
    let replaced = |list: &Value| of(list, "a").iter().any(|slice| slice["metadata"]["name"] != name.as_str());
    plane.wait(SLICES, "the Service has a slice again", replaced).await;
}
