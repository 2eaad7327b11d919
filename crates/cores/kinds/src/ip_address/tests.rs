use serde_json::json;

use super::*;
use crate::tests::{Cluster, mistakes};

fn create(object: Value) -> Result<Admitted, Refusal> {
    IpAddress.create(object, &Cluster::default().context())
}

#[test]
fn s142_the_allocators_object() {
    let object = IpAddress::for_service("fd00::9".parse().unwrap(), "default", "web");
    assert_eq!(object["metadata"]["name"], "fd00::9");
    assert_eq!(object["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"], "IPv6");
    assert_eq!(object["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"], "ipallocator.k8s.io");
    let parent = json!({"group": "", "resource": "services", "namespace": "default", "name": "web"});
    assert_eq!(object["spec"]["parentRef"], parent);
    create(object).unwrap();
}

#[test]
fn s142_the_parent_is_required_and_immutable() {
    let object = IpAddress::for_service("10.96.0.9".parse().unwrap(), "default", "web");
    let mut orphan = object.clone();
    orphan["spec"] = json!({});
    assert_eq!(mistakes(create(orphan)), ["spec.parentRef: Required value"]);
    let mut nameless = object.clone();
    nameless["spec"]["parentRef"] = json!({"namespace": "a/b"});
    assert_eq!(
        mistakes(create(nameless)),
        [
            "spec.parentRef.resource: Required value",
            "spec.parentRef.name: Required value",
            "spec.parentRef.namespace: Invalid value: \"a/b\": may not contain '/'",
        ],
    );
    let mut moved = object.clone();
    moved["spec"]["parentRef"]["name"] = json!("other");
    let found = mistakes(IpAddress.update(moved, &object, &Cluster::default().context()));
    assert!(found[0].starts_with("spec.parentRef: Invalid value: ") && found[0].ends_with("field is immutable"));
}

#[test]
fn s104_ip_address_rows() {
    let object = IpAddress::for_service("10.96.0.9".parse().unwrap(), "default", "web");
    assert_eq!(IpAddress.row(&object, crate::tests::NOW), ["10.96.0.9", "services/default/web"]);
    assert_eq!(IpAddress.field(&object, "spec.parentRef.name").as_deref(), Some("web"));
    assert_eq!(IpAddress.field(&object, "spec.parentRef.namespace").as_deref(), Some("default"));
}
