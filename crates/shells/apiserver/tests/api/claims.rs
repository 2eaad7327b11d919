//! Who holds an address or a port.

use std::collections::BTreeSet;

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::rig::{ADDRESSES, Api, SERVICES, service};

#[tokio::test]
async fn s117_of_many_who_ask_for_one_address_exactly_one_gets_it() {
    let api = Api::start().await;
    let wanted: Vec<Value> = (0..16).map(|n| service(&format!("s{n}"), Some("10.96.0.80"))).collect();
    let answers = join_all(wanted.iter().map(|service| api.post(SERVICES, service))).await;
    let codes: Vec<u16> = answers.iter().map(|answer| answer.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1, "{codes:?}");
    for answer in answers.iter().filter(|answer| answer.code != 201) {
        let causes = json!([{
            "reason": "FieldValueInvalid", "field": "spec.clusterIPs",
            "message": "Invalid value: [\"10.96.0.80\"]: failed to allocate IP 10.96.0.80: provided IP is already allocated",
        }]);
        assert_eq!((answer.code, &answer.body["details"]["causes"]), (422, &causes), "{}", answer.body);
    }
    let winner = answers.iter().find(|answer| answer.code == 201).expect("one won");
    let address = api.get(&format!("{ADDRESSES}/10.96.0.80")).await.expect(200);
    assert_eq!(address["spec"]["parentRef"]["name"], winner.body["metadata"]["name"]);
}

#[tokio::test]
async fn s140_many_at_once_get_addresses_of_their_own() {
    let api = Api::start().await;
    let wanted: Vec<Value> = (0..64).map(|n| service(&format!("s{n}"), None)).collect();
    let answers = join_all(wanted.iter().map(|service| api.post(SERVICES, service))).await;
    let address = |answer: &crate::rig::Answer| answer.body["spec"]["clusterIP"].as_str().map(str::to_owned);
    let addresses: BTreeSet<String> = answers.iter().filter_map(address).collect();
    assert!(answers.iter().all(|answer| answer.code == 201));
    assert_eq!(addresses.len(), 64);
    let listed = api.get(ADDRESSES).await.expect(200);
    // The 64, and those of the Services `kubernetes` and `kube-dns`.
    assert_eq!(crate::rig::names(&listed).len(), 66);
}

#[tokio::test]
async fn s137_one_port_goes_to_one_service() {
    let api = Api::start().await;
    let wanted = |name: &str, protocol: &str| {
        let ports = json!([{ "port": 80, "nodePort": 30080, "protocol": protocol }]);
        json!({ "metadata": { "name": name }, "spec": { "type": "NodePort", "ports": ports } })
    };
    let (tcp, udp) = (wanted("tcp", "TCP"), wanted("udp", "UDP"));
    let (first, second) = tokio::join!(api.post(SERVICES, &tcp), api.post(SERVICES, &udp));
    let mut codes = [first.code, second.code];
    codes.sort_unstable();
    assert_eq!(codes, [201, 422], "{} {}", first.body, second.body);
}

#[tokio::test]
async fn s106_a_deletion_releases_addresses_and_ports() {
    let api = Api::start().await;
    let mut wanted = service("web", Some("10.96.0.80"));
    wanted["spec"]["type"] = "NodePort".into();
    wanted["spec"]["ports"][0]["nodePort"] = 30080.into();
    let endpoints = json!({ "metadata": { "name": "web" }, "subsets": [] });
    for _ in 0..3 {
        api.post(SERVICES, &wanted).await.expect(201);
        api.post("/api/v1/namespaces/default/endpoints", &endpoints).await.expect(201);
        api.get(&format!("{ADDRESSES}/10.96.0.80")).await.expect(200);
        let deleted = api.delete(&format!("{SERVICES}/web")).await.expect(200);
        assert_eq!(deleted["status"], "Success");
        let address = api.get(&format!("{ADDRESSES}/10.96.0.80")).await;
        address.refused(404, "NotFound", "ipaddresses.networking.k8s.io \"10.96.0.80\" not found");
        let endpoints = api.get("/api/v1/namespaces/default/endpoints/web").await;
        endpoints.refused(404, "NotFound", "endpoints \"web\" not found");
    }
}

#[tokio::test]
async fn s107_the_last_finalizer_dropped_by_a_status_patch_completes_the_deletion() {
    let api = Api::start().await;
    let mut wanted = service("web", Some("10.96.0.80"));
    wanted["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    api.post(SERVICES, &wanted).await.expect(201);
    let path = format!("{SERVICES}/web");
    let marked = api.delete(&path).await.expect(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    api.get(&format!("{ADDRESSES}/10.96.0.80")).await.expect(200);
    api.patch(&format!("{path}/status"), &json!({ "metadata": { "finalizers": null } })).await.expect(200);
    api.get(&path).await.refused(404, "NotFound", "services \"web\" not found");
    api.get(&format!("{ADDRESSES}/10.96.0.80")).await.expect(404);
}

/// Of a /29's eight addresses, network and broadcast are no one's (S-139), and one is that of `kubernetes`.
#[tokio::test]
async fn s117_a_full_range_is_an_internal_error() {
    let api = Api::with_range("10.97.0.0/29").await;
    for n in 0..5 {
        api.post(SERVICES, &service(&format!("s{n}"), None)).await.expect(201);
    }
    let full = api.post(SERVICES, &service("late", None)).await;
    assert_eq!((full.code, &full.body["reason"]), (500, &json!("InternalError")), "{}", full.body);
    api.get(&format!("{SERVICES}/late")).await.expect(404);
    api.delete(&format!("{SERVICES}/s3")).await.expect(200);
    api.post(SERVICES, &service("late", None)).await.expect(201);
}

#[tokio::test]
async fn s140_a_dry_run_stores_and_claims_nothing() {
    let api = Api::start().await;
    let before = api.version().await;
    let dry = format!("{SERVICES}?dryRun=All");
    let shown = api.post(&dry, &service("web", Some("10.96.0.80"))).await.expect(201);
    assert_eq!(shown["spec"]["clusterIP"], "10.96.0.80");
    // Which address would be chosen is not known without claiming it; the range's first stands for it.
    let shown = api.post(&dry, &service("web", None)).await.expect(201);
    assert_eq!(shown["spec"]["clusterIP"], "10.96.0.0");
    api.delete(&format!("{SERVICES}/kubernetes?dryRun=All")).await.expect(200);
    // kubectl says it in the body.
    let json = [("content-type", "application/json")];
    let body = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"] }).to_string();
    for path in [format!("{SERVICES}/kubernetes"), SERVICES.to_owned()] {
        api.send(Method::DELETE, &path, &json, body.clone()).await.expect(200);
    }
    api.patch(&format!("{SERVICES}/kubernetes?dryRun=All"), &json!({ "spec": { "type": "NodePort" } }))
        .await
        .expect(200);
    assert_eq!(api.version().await, before);
    let kubernetes = api.get(&format!("{SERVICES}/kubernetes")).await.expect(200);
    assert_eq!(kubernetes["spec"]["type"], "ClusterIP");
    api.post(SERVICES, &service("web", Some("10.96.0.80"))).await.expect(201);
    let again = api.post(&dry, &service("web", None)).await;
    again.refused(409, "AlreadyExists", "services \"web\" already exists");
}
