use serde_json::{Value, json};

use super::*;
use crate::fixture;

#[test]
fn s202_candidates_have_an_address_and_have_not_ended() {
    let check = |id: &str, patch: Value, expected: bool| {
        assert_eq!(is_candidate(&fixture::pod("p", "10.1.0.1", patch)), expected, "{id}");
    };
    check("s202-running", json!({}), true);
    check("s202-pending-with-address", json!({"status": {"phase": "Pending"}}), true);
    check("s202-succeeded", json!({"status": {"phase": "Succeeded"}}), false);
    check("s202-failed", json!({"status": {"phase": "Failed"}}), false);
    check("s202-no-address", json!({"status": {"podIP": "", "podIPs": []}}), false);
    check("s202-deleting", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), true);
    check("s202-host-network", json!({"spec": {"hostNetwork": true}}), true);
}

#[test]
fn s202_selected_pods_match_all_pairs_in_the_namespace() {
    let service = fixture::service(json!({"spec": {"selector": {"app": "web", "tier": "front"}}}));
    let check = |id: &str, patch: Value, expected: usize| {
        let pod = fixture::pod("p", "10.1.0.1", patch);
        assert_eq!(selected(&service, &[&pod]).count(), expected, "{id}");
    };
    check("s202-one-pair-missing", json!({}), 0);
    check("s202-other-value", json!({"metadata": {"labels": {"tier": "back"}}}), 0);
    check("s202-all-pairs", json!({"metadata": {"labels": {"tier": "front", "more": "x"}}}), 1);
    check("s202-other-namespace", json!({"metadata": {"namespace": "other", "labels": {"tier": "front"}}}), 0);
}

#[test]
fn s203_addresses_are_canonical_and_of_the_family() {
    let check = |id: &str, ips: &[&str], family: AddressType, expected: &[&str]| {
        let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        let pod = fixture::pod("p", "", json!({"status": {"podIPs": ips}}));
        assert_eq!(addresses_of(&pod, family), expected, "{id}");
    };
    check("s203-v4", &["10.1.0.1", "fd00::1"], AddressType::IPv4, &["10.1.0.1"]);
    check("s203-v6", &["10.1.0.1", "fd00::1"], AddressType::IPv6, &["fd00::1"]);
    check("s203-missing-family", &["10.1.0.1"], AddressType::IPv6, &[]);
    check("s203-long-v6", &["FD00:0:0:0:0:0:0:A"], AddressType::IPv6, &["fd00::a"]);
    check("s203-leading-zeros", &["010.001.000.009"], AddressType::IPv4, &["10.1.0.9"]);
    check("s203-mapped", &["::ffff:10.1.0.1"], AddressType::IPv4, &["10.1.0.1"]);
    check("s203-nonsense", &["10.1.0", "300.0.0.1", "x"], AddressType::IPv4, &[]);
}

#[test]
fn s207_ports_resolve_by_number_or_by_name_and_protocol() {
    let pod = fixture::pod(
        "p",
        "10.1.0.1",
        json!({"spec": {
            "containers": [{"name": "a", "ports": [
                {"name": "dns", "containerPort": 5353, "protocol": "UDP"},
                {"name": "http", "containerPort": 8080}]}],
            "initContainers": [
                {"name": "once", "ports": [{"name": "init", "containerPort": 1}]},
                {"name": "side", "restartPolicy": "Always", "ports": [
                    {"name": "http", "containerPort": 9},
                    {"name": "metrics", "containerPort": 9090}]}],
        }}),
    );
    let check = |id: &str, port: Value, expected: Option<u16>| {
        let service = fixture::service(json!({"spec": {"ports": [port]}}));
        let found: Vec<Option<u16>> = resolve_ports(&service, &pod).into_iter().map(|port| port.port).collect();
        assert_eq!(found, expected.map(Some).into_iter().collect::<Vec<_>>(), "{id}");
    };
    check("s207-unset-is-the-port", json!({"port": 80}), Some(80));
    check("s207-number", json!({"port": 80, "targetPort": 8080}), Some(8080));
    check("s207-number-needs-no-container", json!({"port": 80, "targetPort": 4}), Some(4));
    check("s207-name", json!({"port": 80, "targetPort": "http"}), Some(8080));
    check("s207-name-other-protocol", json!({"port": 53, "targetPort": "dns"}), None);
    check("s207-name-and-protocol", json!({"port": 53, "targetPort": "dns", "protocol": "UDP"}), Some(5353));
    check("s207-sidecar", json!({"port": 90, "targetPort": "metrics"}), Some(9090));
    check("s207-plain-init-container", json!({"port": 90, "targetPort": "init"}), None);
    check("s207-absent", json!({"port": 90, "targetPort": "none"}), None);
}

#[test]
fn s207_a_port_carries_the_services_name_protocol_and_application_protocol() {
    let port = json!({"name": "g", "port": 80, "targetPort": 81, "protocol": "SCTP", "appProtocol": "grpc"});
    let service = fixture::service(json!({"spec": {"ports": [port]}}));
    let found = resolve_ports(&service, &fixture::pod("p", "10.1.0.1", json!({})));
    let expected = EndpointPort {
        name: Some("g".to_owned()),
        protocol: api::Protocol::Sctp,
        port: Some(81),
        app_protocol: Some("grpc".to_owned()),
    };
    assert_eq!(found, [expected]);
}
