use serde_json::json;

use super::*;
use crate::tests::{NOW, changed, created, mistakes, refused};

fn slice(family: &str, endpoint: Value) -> Value {
    json!({"addressType": family, "endpoints": [endpoint]})
}

#[test]
fn s212_defaults() {
    let object = created(&EndpointSlice, json!({"addressType": "IPv4", "ports": [{"port": 80}]}));
    assert_eq!(object["ports"], json!([{"name": "", "protocol": "TCP", "port": 80}]));
}

#[test]
fn s212_what_is_refused() {
    let one = |fields: Value| {
        let mut endpoint = json!({"addresses": ["192.0.2.1"]});
        for (field, value) in fields.as_object().unwrap() {
            endpoint[field] = value.clone();
        }
        slice("IPv4", endpoint)
    };
    let ports = |ports: Value| json!({"addressType": "IPv4", "ports": ports});
    let hints = |count: usize| (0..count).map(|n| json!({"name": format!("z{n}")})).collect::<Vec<_>>();
    #[rustfmt::skip]
    let cases = [
        ("s212_address_type_required", json!({}), "addressType: Required value"),
        ("s212_unknown_address_type", json!({"addressType": "IPv5"}),
            "addressType: Unsupported value: \"IPv5\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""),
        ("s212_no_address", slice("IPv4", json!({"addresses": []})),
            "endpoints[0].addresses: Required value: must contain at least 1 address"),
        ("s212_v6_in_a_v4_slice", slice("IPv4", json!({"addresses": ["fd00::1"]})),
            "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address"),
        ("s212_v4_in_a_v6_slice", slice("IPv6", json!({"addresses": ["192.0.2.1"]})),
            "endpoints[0].addresses[0]: Invalid value: \"192.0.2.1\": must be an IPv6 address"),
        ("s212_loopback", slice("IPv4", json!({"addresses": ["127.0.0.1"]})),
            "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("s212_leading_zeros", slice("IPv4", json!({"addresses": ["192.0.02.1"]})),
            "endpoints[0].addresses[0]: Invalid value: \"192.0.02.1\": must not have leading 0s"),
        ("s212_nine_zone_hints", one(json!({"hints": {"forZones": hints(9)}})),
            "endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"),
        ("s212_nine_node_hints", one(json!({"hints": {"forNodes": hints(9)}})),
            "endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items"),
        ("s212_same_zone_twice", one(json!({"hints": {"forZones": [{"name": "z"}, {"name": "z"}]}})),
            "endpoints[0].hints.forZones[1].name: Duplicate value: \"z\""),
        ("s212_empty_zone_hint", one(json!({"hints": {"forZones": [{}]}})),
            "endpoints[0].hints.forZones[0].name: Required value"),
        ("s212_port_names_are_unique", ports(json!([{"port": 80}, {"name": "", "port": 81}])),
            "ports[1].name: Duplicate value: \"\""),
        ("s212_protocol", ports(json!([{"protocol": "ICMP"}])),
            "ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\""),
        ("s212_port_number", ports(json!([{"port": 0}])),
            "ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ];
    for (id, fields, expected) in cases {
        println!("case {id}");
        assert_eq!(refused(&EndpointSlice, fields), [expected], "{id}");
    }
    for field in ["hostname", "nodeName", "zone"] {
        let found = refused(&EndpointSlice, one(json!({field: "a b"})));
        assert!(found[0].starts_with(&format!("endpoints[0].{field}: Invalid value: \"a b\"")), "{found:?}");
    }
}

#[test]
fn s212_hard_limits() {
    let endpoints = |count: usize| vec![json!({"addresses": ["192.0.2.1"]}); count];
    let addresses = |count: usize| slice("IPv4", json!({"addresses": vec!["192.0.2.1"; count]}));
    let ports = |count: usize| (0..count).map(|n| json!({"name": format!("p{n}")})).collect::<Vec<_>>();
    created(&EndpointSlice, json!({"addressType": "IPv4", "endpoints": endpoints(1000)}));
    created(&EndpointSlice, addresses(100));
    created(&EndpointSlice, json!({"addressType": "IPv4", "ports": ports(20000)}));
    #[rustfmt::skip]
    let cases = [
        (json!({"addressType": "IPv4", "endpoints": endpoints(1001)}), "endpoints: Too many: 1001: must have at most 1000 items"),
        (addresses(101), "endpoints[0].addresses: Too many: 101: must have at most 100 items"),
        (json!({"addressType": "IPv4", "ports": ports(20001)}), "ports: Too many: 20001: must have at most 20000 items"),
    ];
    for (fields, expected) in cases {
        assert_eq!(refused(&EndpointSlice, fields), [expected]);
    }
}

#[test]
fn s212_the_address_type_is_immutable() {
    assert_eq!(
        mistakes(changed(&EndpointSlice, json!({"addressType": "IPv4"}), json!({"/addressType": "IPv6"}))),
        ["addressType: Invalid value: \"IPv6\": field is immutable"],
    );
}

#[test]
fn s212_the_generation_counts_changes_of_content_and_labels() {
    let old = || json!({"addressType": "IPv4", "metadata": {"generation": 4}});
    #[rustfmt::skip]
    let cases = [
        ("s212_endpoints",   json!({"/endpoints": [{"addresses": ["192.0.2.1"]}]}), 5),
        ("s212_ports",       json!({"/ports": [{"port": 80}]}),                     5),
        ("s212_labels",      json!({"/metadata/labels": {"a": "b"}}),               5),
        ("s212_annotations", json!({"/metadata/annotations": {"a": "b"}}),          4),
        ("s212_nothing",     json!({}),                                             4),
    ];
    for (id, change, expected) in cases {
        println!("case {id}");
        let object = changed(&EndpointSlice, old(), change).unwrap();
        assert_eq!(object["metadata"]["generation"], expected, "{id}");
    }
}

#[test]
fn s212_names_as_addresses_are_deprecated() {
    let cluster = crate::tests::Cluster::default();
    let new = crate::tests::object(&EndpointSlice, slice("FQDN", json!({"addresses": ["a.example.com"]})));
    let admitted = EndpointSlice.create(new, &cluster.context()).unwrap();
    assert_eq!(admitted.warnings.len(), 1);
    assert!(!refused(&EndpointSlice, slice("FQDN", json!({"addresses": ["A B"]}))).is_empty());
}

#[test]
fn s104_slice_rows() {
    let row = |fields: Value| {
        let object = crate::tests::object(&EndpointSlice, fields);
        Value::from(EndpointSlice.row(&object, NOW)[1..4].to_vec())
    };
    let endpoint = |address: &str| json!({"addresses": [address]});
    let five: Vec<Value> = (1..=5).map(|n| endpoint(&format!("192.0.2.{n}"))).collect();
    #[rustfmt::skip]
    let cases = [
        ("s104_empty", json!({"addressType": "IPv4"}), json!(["IPv4", "<unset>", "<unset>"])),
        ("s104_ports", json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "any"}, {}]}),
            json!(["IPv4", "80,any,*", "<unset>"])),
        ("s104_more_than_three", json!({"addressType": "IPv4", "endpoints": five}),
            json!(["IPv4", "<unset>", "192.0.2.1,192.0.2.2,192.0.2.3 + 2 more..."])),
    ];
    for (id, fields, expected) in cases {
        println!("case {id}");
        assert_eq!(row(fields), expected, "{id}");
    }
}
