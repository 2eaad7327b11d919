use serde_json::json;

use super::*;
use crate::tests::{changed, created, mistakes, object, refused};

fn cidrs(list: &[&str]) -> Value {
    json!({"spec": {"cidrs": list}})
}

#[test]
fn s143_what_is_refused() {
    #[rustfmt::skip]
    let cases = [
        ("s143_none", cidrs(&[]), vec!["spec.cidrs: Required value: at least one CIDR required"]),
        ("s143_three", cidrs(&["10.96.0.0/24", "fd00::/112", "10.97.0.0/24"]),
            vec!["spec.cidrs: Invalid value: [\"10.96.0.0/24\",\"fd00::/112\",\"10.97.0.0/24\"]: may only hold up to 2 values"]),
        ("s143_two_of_a_family", cidrs(&["10.96.0.0/24", "10.97.0.0/24"]),
            vec!["spec.cidrs: Invalid value: [\"10.96.0.0/24\",\"10.97.0.0/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96"]),
        ("s143_not_a_range", cidrs(&["10.96.0.0"]),
            vec!["spec.cidrs[0]: Invalid value: \"10.96.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
        ("s143_host_bits", cidrs(&["10.96.0.1/24"]),
            vec!["spec.cidrs[0]: Invalid value: \"10.96.0.1/24\": must be in canonical form (\"10.96.0.0/24\")"]),
        ("s143_not_canonical", cidrs(&["FD00::/112"]),
            vec!["spec.cidrs[0]: Invalid value: \"FD00::/112\": must be in canonical form (\"fd00::/112\")"]),
        ("s139_too_large", cidrs(&["fd00::/63"]),
            vec!["spec.cidrs[0]: Invalid value: \"fd00::/63\": must not be larger than a /64 network"]),
    ];
    for (id, fields, expected) in cases {
        println!("case {id}");
        assert_eq!(refused(&ServiceCidr, fields), expected, "{id}");
    }
}

#[test]
fn s143_a_range_that_pods_use_is_warned_of() {
    let cluster = crate::tests::Cluster { pod_ranges: vec!["10.244.0.0/16".parse().unwrap()], ..Default::default() };
    let warned =
        |cidr: &str| ServiceCidr.create(object(&ServiceCidr, cidrs(&[cidr])), &cluster.context()).unwrap().warnings;
    for cidr in ["10.244.7.0/24", "10.0.0.0/8"] {
        let [warning] = &warned(cidr)[..] else { panic!("{cidr}") };
        assert!(warning.contains(cidr) && warning.contains("10.244.0.0/16 (--cluster-cidr)"), "{warning}");
    }
    assert_eq!(warned("10.97.0.0/24"), Vec::<String>::new());
    assert_eq!(warned("fd00::/112"), Vec::<String>::new());
}

#[test]
fn s143_only_a_second_family_may_be_added() {
    let to = |list: &[&str]| json!({"/spec/cidrs": list});
    changed(&ServiceCidr, cidrs(&["10.96.0.0/24"]), to(&["10.96.0.0/24", "fd00::/112"])).unwrap();
    changed(&ServiceCidr, cidrs(&["10.96.0.0/24"]), to(&["10.96.0.0/24"])).unwrap();
    #[rustfmt::skip]
    let cases = [
        ("s143_another", vec!["10.96.0.0/24"], vec!["10.97.0.0/24"]),
        ("s143_the_second_first", vec!["10.96.0.0/24"], vec!["fd00::/112", "10.96.0.0/24"]),
        ("s143_one_removed", vec!["10.96.0.0/24", "fd00::/112"], vec!["10.96.0.0/24"]),
    ];
    for (id, old, new) in cases {
        println!("case {id}");
        let found = mistakes(changed(&ServiceCidr, cidrs(&old), to(&new)));
        assert!(found[0].ends_with("field is immutable"), "{id}: {found:?}");
    }
    let same_family = mistakes(changed(&ServiceCidr, cidrs(&["10.96.0.0/24"]), to(&["10.96.0.0/24", "10.97.0.0/24"])));
    assert!(same_family[0].contains("no more than one IP for each IP family"), "{same_family:?}");
}

#[test]
fn s143_s144_what_may_be_drawn_from() {
    let usable = |fields: Value| {
        let mut all = cidrs(&["10.96.0.0/24", "fd00::/112"]);
        for (field, value) in fields.as_object().unwrap() {
            all[field] = value.clone();
        }
        let ranges = ServiceCidr::ranges(&object(&ServiceCidr, all));
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0].usable, ranges[1].usable);
        ranges[0].usable
    };
    let ready = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
    assert!(usable(json!({})), "s143_no_condition_is_ready");
    assert!(usable(ready("True")), "s143_ready");
    assert!(!usable(ready("False")), "s141_not_ready");
    assert!(!usable(json!({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}})), "s144_being_deleted");
}

#[test]
fn s143_the_object_of_the_configured_ranges() {
    let ranges: Vec<IpNet> = vec!["10.96.0.0/24".parse().unwrap(), "fd00::/112".parse().unwrap()];
    let object = ServiceCidr::default_object(&ranges);
    assert_eq!(object["metadata"]["name"], "kubernetes");
    assert_eq!(object["spec"]["cidrs"], json!(["10.96.0.0/24", "fd00::/112"]));
    ServiceCidr.create(object, &crate::tests::Cluster::default().context()).unwrap();
}

#[test]
fn s104_service_cidr_rows() {
    let object = created(&ServiceCidr, cidrs(&["10.96.0.0/24", "fd00::/112"]));
    assert_eq!(ServiceCidr.row(&object, crate::tests::NOW), ["a", "10.96.0.0/24,fd00::/112", "0s"]);
}

#[test]
fn s143_a_plain_write_leaves_the_status() {
    let cluster = crate::tests::Cluster::default();
    let mut old = created(&ServiceCidr, cidrs(&["10.96.0.0/24"]));
    old["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let mut new = old.clone();
    new["status"] = json!({});
    assert_eq!(ServiceCidr.update(new.clone(), &old, &cluster.context()).unwrap().object["status"], old["status"]);
    new["spec"]["cidrs"] = json!(["10.97.0.0/24"]);
    let object = ServiceCidr.update_status(new, &old, &cluster.context()).unwrap().object;
    assert_eq!((&object["spec"], &object["status"]), (&old["spec"], &json!({})));
}
