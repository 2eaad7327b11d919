//! Namespaces end when they are empty.

use serde_json::{Value, json};

use crate::harness::{Plane, pod, service};

#[tokio::test]
async fn a_deleted_namespace_is_emptied_and_vanishes() {
    let plane = Plane::start().await;
    plane.create("/api/v1/namespaces", json!({ "metadata": { "name": "shop" } })).await;
    let core = "/api/v1/namespaces/shop";
    plane.create(&format!("{core}/services"), service("web", json!({ "app": "web" }))).await;
    plane.create(&format!("{core}/pods"), pod("web", json!({ "app": "web" }))).await;
    plane.create(&format!("{core}/configmaps"), json!({ "metadata": { "name": "settings" } })).await;
    plane.event("shop", "web", "FailedScheduling").await;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
    let some = |list: &Value| list["items"].as_array().is_some_and(|items| !items.is_empty());
    plane.wait(slices, "there are slices", some).await;
    plane.delete(core, json!({})).await;
    plane.wait(core, "the namespace goes", Value::is_null).await;
    for resource in ["services", "pods", "configmaps", "events", "endpoints"] {
        assert_eq!(
            plane.list(&format!("/api/v1/{resource}?fieldSelector=metadata.namespace%3Dshop")).await,
            [] as [Value; 0]
        );
    }
    assert_eq!(plane.list(slices).await, [] as [Value; 0]);
    plane.create("/api/v1/namespaces", json!({ "metadata": { "name": "shop" } })).await;
    plane.assert_healthy();
}

#[tokio::test]
async fn a_namespace_says_what_it_waits_for() {
    let plane = Plane::start().await;
    plane.create("/api/v1/namespaces", json!({ "metadata": { "name": "held" } })).await;
    let held = json!({ "metadata": { "name": "m", "finalizers": ["example.com/audit"] } });
    plane.create("/api/v1/namespaces/held/configmaps", held).await;
    plane.delete("/api/v1/namespaces/held", json!({})).await;
    let says = |namespace: &Value| {
        let conditions = namespace["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| {
            condition["type"] == "NamespaceFinalizersRemaining"
                && condition["status"] == "True"
                && condition["message"].as_str().is_some_and(|message| message.contains("example.com/audit"))
        })
    };
    let namespace = plane.wait("/api/v1/namespaces/held", "it says what it waits for", says).await;
    assert_eq!(namespace["status"]["phase"], "Terminating");
    plane.merge("/api/v1/namespaces/held/configmaps/m", json!({ "metadata": { "finalizers": null } })).await;
    plane.wait("/api/v1/namespaces/held", "it goes", Value::is_null).await;
}
