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

/// Agents keep slices of `kube-system/kube-dns`, which nobody owns and which are not ours.
#[tokio::test]
async fn s201_s217_slices_of_the_agents_outlive_the_service_kube_dns() {
    let plane = Plane::start().await;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
    let labels = json!({
        "kubernetes.io/service-name": "kube-dns",
        "endpointslice.kubernetes.io/managed-by": "maitred-agent.maitred.dev",
    });
    let slice = json!({
        "metadata": { "name": "kube-dns-one", "labels": labels }, "addressType": "IPv4",
        "endpoints": [{ "addresses": ["192.0.2.1"], "nodeName": "one" }], "ports": [{ "name": "dns", "port": 53 }],
    });
    let made = plane.create(slices, slice).await;
    let dns = "/api/v1/namespaces/kube-system/services/kube-dns";
    let before = plane.get(dns).await;
    plane.delete(dns, json!({})).await;
    let renewed = |found: &Value| !found.is_null() && found["metadata"]["uid"] != before["metadata"]["uid"];
    let after = plane.wait(dns, "the Service comes back", renewed).await;
    assert_eq!(after["spec"], before["spec"]);
    // Both the endpoint controllers and the garbage collector have looked by the time that they did this.
    plane.create("/api/v1/namespaces/default/services", service("web", json!({ "app": "web" }))).await;
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    plane
        .wait(path, "another Service gets its slice", |list| {
            list["items"].as_array().is_some_and(|all| !all.is_empty())
        })
        .await;
    assert_eq!(plane.get(&format!("{slices}/kube-dns-one")).await, made, "nobody touched it");
    plane.assert_healthy();
}
