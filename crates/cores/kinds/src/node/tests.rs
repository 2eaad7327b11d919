use serde_json::json;

use super::*;
use crate::tests::{NOW, changed, created, mistakes, object, refused};

#[test]
fn pod_ranges_are_given_once() {
    let ranges = |list: &[&str]| json!({"spec": {"podCIDRs": list}});
    let to = |list: &[&str]| json!({"/spec/podCIDRs": list, "/spec/podCIDR": list.first()});
    let object = changed(&Node, json!({"spec": {}}), to(&["10.244.0.0/24", "fd00:1::/64"])).unwrap();
    assert_eq!(object["spec"]["podCIDR"], "10.244.0.0/24");
    let found = mistakes(changed(&Node, ranges(&["10.244.0.0/24"]), to(&["10.244.1.0/24"])));
    assert_eq!(found, ["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"]);
    let found = mistakes(changed(&Node, ranges(&["10.244.0.0/24"]), to(&[])));
    assert_eq!(found, ["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"]);
    assert_eq!(
        created(&Node, json!({"spec": {"podCIDR": "10.244.0.0/24"}}))["spec"]["podCIDRs"],
        json!(["10.244.0.0/24"])
    );
}

#[test]
fn what_is_refused() {
    #[rustfmt::skip]
    let cases = [
        (json!({"spec": {"podCIDRs": ["10.244.0.0"]}}),
            "spec.podCIDRs[0]: Invalid value: \"10.244.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        (json!({"spec": {"podCIDRs": ["10.244.0.0/24", "10.245.0.0/24"]}}),
            "spec.podCIDRs: Invalid value: [\"10.244.0.0/24\",\"10.245.0.0/24\"]: may specify no more than one CIDR for each IP family"),
        (json!({"spec": {"taints": [{"key": "a"}]}}), "metadata.taints[0].effect: Required value"),
        (json!({"spec": {"taints": [{"key": "a", "effect": "Never"}]}}),
            "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""),
    ];
    for (fields, expected) in cases {
        assert_eq!(refused(&Node, fields), [expected]);
    }
}

#[test]
fn a_new_node_keeps_its_status_and_a_plain_write_leaves_it() {
    let status = json!({"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]});
    let old = created(&Node, json!({"status": status}));
    assert_eq!(old["status"], status);
    let object = changed(&Node, json!({"status": status}), json!({"/status": {}})).unwrap();
    assert_eq!(object["status"], status);
}

#[test]
fn rows() {
    let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
    let full = json!({
        "metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": ready("True"),
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "ExternalIP", "address": "203.0.113.1"}],
            "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Debian", "kernelVersion": "6.12", "containerRuntimeVersion": "maitred://0.1"},
        },
    });
    #[rustfmt::skip]
    let cases = [
        (full, json!(["a", "Ready,SchedulingDisabled", "control-plane,edge", "0s", "v1.36.0", "192.0.2.1", "203.0.113.1", "Debian", "6.12", "maitred://0.1"])),
        (json!({"status": {"conditions": ready("Unknown")}}),
            json!(["a", "NotReady", "<none>", "0s", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"])),
        (json!({}), json!(["a", "Unknown", "<none>", "0s", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"])),
    ];
    for (fields, expected) in cases {
        assert_eq!(Value::from(Node.row(&object(&Node, fields), NOW)), expected);
    }
}
