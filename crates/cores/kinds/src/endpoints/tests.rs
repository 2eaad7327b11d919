use serde_json::json;

use super::*;
use crate::tests::{NOW, changed, created, mistakes, object, refused};

fn subset(fields: Value) -> Value {
    let mut subset = json!({"addresses": [{"ip": "192.0.2.1"}]});
    for (field, value) in fields.as_object().unwrap() {
        subset[field] = value.clone();
    }
    json!({"subsets": [subset]})
}

#[test]
fn s230_what_is_refused() {
    #[rustfmt::skip]
    let cases = [
        ("s230_no_addresses", json!({"subsets": [{"ports": [{"port": 80}]}]}),
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
        ("s230_nothing_at_all", json!({"subsets": [{}]}),
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
        ("s230_not_an_address", subset(json!({"addresses": [{"ip": "web"}]})),
            "subsets[0].addresses[0].ip: Invalid value: \"web\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("s230_loopback", subset(json!({"notReadyAddresses": [{"ip": "127.0.0.1"}]})),
            "subsets[0].notReadyAddresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("s230_link_local", subset(json!({"addresses": [{"ip": "fe80::1"}]})),
            "subsets[0].addresses[0].ip: Invalid value: \"fe80::1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("s230_names_required_with_several_ports", subset(json!({"ports": [{"port": 80}, {"name": "b", "port": 81}]})),
            "subsets[0].ports[0].name: Required value"),
        ("s230_port_number", subset(json!({"ports": [{}]})),
            "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ("s230_protocol", subset(json!({"ports": [{"port": 80, "protocol": "X"}]})),
            "subsets[0].ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""),
    ];
    for (id, fields, expected) in cases {
        println!("case {id}");
        assert_eq!(refused(&Endpoints, fields), [expected], "{id}");
    }
    created(&Endpoints, json!({}));
    created(&Endpoints, subset(json!({})));
}

#[test]
fn s230_an_address_may_not_move_to_another_node() {
    let on = |node: &str| json!([{"addresses": [{"ip": "192.0.2.1", "nodeName": node}]}]);
    let old = || json!({"subsets": on("n1")});
    assert_eq!(
        mistakes(changed(&Endpoints, old(), json!({"/subsets": on("n2")}))),
        ["subsets[0].addresses[0].nodeName: Forbidden: Cannot change NodeName for 192.0.2.1 to n2"],
    );
    changed(&Endpoints, old(), json!({"/subsets": on("n1")})).unwrap();
    changed(&Endpoints, old(), json!({"/subsets": []})).unwrap();
    changed(&Endpoints, subset(json!({})), json!({"/subsets": on("n1")})).unwrap();
}

#[test]
fn s229_writes_are_answered_with_a_deprecation_warning() {
    let cluster = crate::tests::Cluster::default();
    let admitted = Endpoints.create(object(&Endpoints, json!({})), &cluster.context()).unwrap();
    assert_eq!(admitted.warnings, ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]);
}

#[test]
fn s104_endpoints_rows() {
    let cell = |fields: Value| Endpoints.row(&object(&Endpoints, fields), NOW)[1].clone();
    let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("192.0.2.{n}")})).collect();
    #[rustfmt::skip]
    let cases = [
        ("s104_no_subsets", json!({}), "<none>"),
        ("s104_without_ports", subset(json!({})), "192.0.2.1"),
        ("s104_three_and_more", json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}),
            "192.0.2.1:80,192.0.2.2:80,192.0.2.3:80 + 2 more..."),
        ("s104_v6", json!({"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]}), "[fd00::1]:80"),
        ("s104_not_ready_only", json!({"subsets": [{"notReadyAddresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]}), ""),
    ];
    for (id, fields, expected) in cases {
        println!("case {id}");
        assert_eq!(cell(fields), expected, "{id}");
    }
}
