use serde_json::{Value, json};

use super::*;
use crate::fixture;

/// The endpoint of a ready Pod `p` at 10.1.0.1 on node `n1` in zone `a`, both changed by patches, as JSON.
fn written(service: Value, pod: Value) -> Value {
    let node = fixture::node();
    let service = fixture::service(service);
    let pod = fixture::pod("p", "10.1.0.1", pod);
    let endpoint = endpoint(&service, &pod, Some(&node), AddressType::IPv4).expect("the Pod has an IPv4 address");
    serde_json::to_value(endpoint).expect("endpoints encode")
}

#[test]
fn s205_ready_is_serving_and_not_terminating() {
    let check = |id: &str, publish: bool, ready: bool, deleting: bool, expected: [bool; 3]| {
        let mut pod = if ready { json!({}) } else { fixture::not_ready() };
        if deleting {
            pod = fixture::merge(pod, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        }
        let found = written(json!({"spec": {"publishNotReadyAddresses": publish}}), pod);
        let expected = json!({"ready": expected[0], "serving": expected[1], "terminating": expected[2]});
        assert_eq!(found["conditions"], expected, "{id}");
    };
    check("s205-ready", false, true, false, [true, true, false]);
    check("s205-not-ready", false, false, false, [false, false, false]);
    check("s205-terminating", false, true, true, [false, true, true]);
    check("s205-terminating-not-ready", false, false, true, [false, false, true]);
    check("s205-publish", true, false, false, [true, false, false]);
    check("s205-publish-terminating", true, true, true, [true, true, true]);
}

#[test]
fn s206_an_endpoint_names_its_pod_node_and_zone() {
    let expected = json!({
        "addresses": ["10.1.0.1"],
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "p", "uid": "uid-p"},
        "nodeName": "n1",
        "zone": "a",
    });
    assert_eq!(written(json!({}), json!({})), expected);
}

#[test]
fn s206_a_hostname_needs_the_services_subdomain() {
    let check = |id: &str, spec: Value, expected: Value| {
        assert_eq!(written(json!({}), json!({"spec": spec}))["hostname"], expected, "{id}");
    };
    check("s206-governed", json!({"hostname": "h", "subdomain": "web"}), json!("h"));
    check("s206-other-subdomain", json!({"hostname": "h", "subdomain": "db"}), Value::Null);
    check("s206-no-subdomain", json!({"hostname": "h"}), Value::Null);
    check("s206-no-hostname", json!({"subdomain": "web"}), Value::Null);
}

#[test]
fn s219_s220_hints_follow_the_traffic_distribution() {
    let zone = || json!({"forZones": [{"name": "a"}]});
    let both = || json!({"forZones": [{"name": "a"}], "forNodes": [{"name": "n1"}]});
    let check = |id: &str, service: Value, pod: Value, expected: Value| {
        assert_eq!(written(service, pod)["hints"], expected, "{id}");
    };
    let distribution = |value: &str| json!({"spec": {"trafficDistribution": value}});
    let annotated = |key: &str, value: &str| {
        let annotations = json!({"metadata": {"annotations": {format!("service.kubernetes.io/{key}"): value}}});
        fixture::merge(annotations, distribution("PreferSameZone"))
    };
    check("s219-none", json!({}), json!({}), Value::Null);
    check("s220-close", distribution("PreferClose"), json!({}), zone());
    check("s220-zone", distribution("PreferSameZone"), json!({}), zone());
    check("s220-node", distribution("PreferSameNode"), json!({}), both());
    check("s220-unknown", distribution("PreferMoon"), json!({}), Value::Null);
    check("s220-not-ready", distribution("PreferSameNode"), fixture::not_ready(), Value::Null);
    check("s219-auto", annotated("topology-mode", "Auto"), json!({}), Value::Null);
    check("s219-auto-older", annotated("topology-aware-hints", "auto"), json!({}), Value::Null);
    check("s219-disabled", annotated("topology-mode", "Disabled"), json!({}), zone());
}

#[test]
fn s220_a_node_without_a_zone_gives_only_a_node_hint() {
    let service = fixture::service(json!({"spec": {"trafficDistribution": "PreferSameNode"}}));
    let pod = fixture::pod("p", "10.1.0.1", json!({}));
    let found = endpoint(&service, &pod, Some(&Node::default()), AddressType::IPv4).expect("it has an address");
    let hints = serde_json::to_value(found.hints).expect("hints encode");
    assert_eq!(hints, json!({"forNodes": [{"name": "n1"}]}));
    assert_eq!(found.zone, None);
}
