use serde_json::json;

use super::*;
use crate::tests::{Cluster, NOW};

fn service(name: &str, spec: Value) -> Value {
    let metadata = json!({"namespace": "default", "name": name, "creationTimestamp": "2026-03-01T11:00:00Z"});
    json!({"kind": "Service", "metadata": metadata, "spec": spec})
}

fn with_address(name: &str, address: &str) -> Value {
    service(name, json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address]}))
}

/// An IPAddress of this Service that was made so many seconds ago.
fn claim(address: &str, owner: &str, age_seconds: i64) -> Value {
    let mut claim = IpAddress::for_service(address.parse().unwrap(), "default", owner);
    claim["metadata"]["creationTimestamp"] = json!(crate::age::later(NOW, -age_seconds));
    claim
}

fn reasons(reports: &[Report]) -> Vec<(&str, &str)> {
    reports.iter().map(|report| (report.name.as_str(), report.reason)).collect()
}

fn check(services: &[Value], claims: &[Value]) -> AddressRepair {
    addresses(services, claims, &Cluster::with(&["10.96.0.0/24", "fd00::/112"]).ranges, NOW)
}

#[test]
fn s145_services() {
    #[rustfmt::skip]
    let cases = [
        ("s145_all_is_well", with_address("web", "10.96.0.9"), vec![claim("10.96.0.9", "web", 100)], None, 0),
        ("s145_unparsable", with_address("web", "x"), vec![], Some("ClusterIPNotValid"), 0),
        ("s145_out_of_range", with_address("web", "10.97.0.9"), vec![], Some("ClusterIPOutOfRange"), 0),
        ("s145_not_allocated", with_address("web", "10.96.0.9"), vec![], Some("ClusterIPNotAllocated"), 1),
        ("s145_headless", with_address("web", "None"), vec![], None, 0),
        ("s145_external_name", service("web", json!({"type": "ExternalName"})), vec![], None, 0),
    ];
    for (id, service, claims, reason, created) in cases {
        let repair = check(&[service], &claims);
        assert_eq!(
            reasons(&repair.reports),
            reason.map(|reason| ("web", reason)).into_iter().collect::<Vec<_>>(),
            "{id}"
        );
        assert_eq!((repair.create.len(), repair.delete.len()), (created, 0), "{id}");
    }
    let recreated = check(&[with_address("web", "fd00::9")], &[]).create;
    assert_eq!(recreated, [IpAddress::for_service("fd00::9".parse().unwrap(), "default", "web")]);
}

#[test]
fn s145_an_address_of_two_services_is_reported_and_not_moved() {
    let repair = check(
        &[with_address("web", "10.96.0.9"), with_address("other", "10.96.0.9")],
        &[claim("10.96.0.9", "web", 100)],
    );
    assert_eq!(reasons(&repair.reports), [("other", "ClusterIPAlreadyAllocated")]);
    assert_eq!((repair.create.len(), repair.delete.len()), (0, 0));
}

#[test]
fn s145_addresses() {
    let mut foreign = claim("10.96.0.9", "web", 0);
    foreign["spec"]["parentRef"]["resource"] = json!("gateways");
    let mut unmanaged = claim("10.96.0.9", "gone", 1000);
    unmanaged["metadata"]["labels"] = json!({});
    let other = || vec![with_address("web", "10.96.0.8"), with_address("x", "fd00::9")];
    let claims_of_other = || vec![claim("10.96.0.8", "web", 1000), claim("fd00::9", "x", 1000)];
    let name = || vec![service("web", json!({"type": "ExternalName"}))];
    #[rustfmt::skip]
    let cases = [
        ("s145_parent_is_no_service", vec![], foreign, Some("IPAddressNotAllocated")),
        ("s145_service_is_absent", vec![], claim("10.96.0.9", "gone", 61), Some("IPAddressNotAllocated")),
        ("s145_service_may_not_be_seen_yet", vec![], claim("10.96.0.9", "gone", 59), None),
        ("s145_somebody_elses_claim", vec![], unmanaged, None),
        ("s145_older_than_the_service_and_not_listed", other(), claim("10.96.0.9", "web", 4000), Some("IPAddressWrongReference")),
        ("s145_newer_and_not_listed", other(), claim("10.96.0.9", "web", 6), Some("IPAddressWrongReference")),
        ("s145_newer_and_just_made", other(), claim("10.96.0.9", "web", 4), None),
        ("s145_external_name_after_a_minute", name(), claim("10.96.0.9", "web", 61), Some("IPAddressWrongReference")),
        ("s145_external_name_before", name(), claim("10.96.0.9", "web", 59), None),
    ];
    for (id, services, claim, reason) in cases {
        let mut claims = if services.len() == 2 { claims_of_other() } else { vec![] };
        claims.push(claim);
        let repair = check(&services, &claims);
        let expected: Vec<_> = reason.map(|reason| ("10.96.0.9", reason)).into_iter().collect();
        assert_eq!(reasons(&repair.reports), expected, "{id}");
        assert_eq!(repair.delete.len(), expected.len(), "{id}");
        assert_eq!(repair.create.len(), 0, "{id}");
    }
}

fn with_port(name: &str, port: u16) -> Value {
    service(name, json!({"type": "NodePort", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": port}]}))
}

#[test]
fn s146_ports() {
    let owned = |owner: &str| BTreeMap::from([(30080, format!("default/{owner}"))]);
    #[rustfmt::skip]
    let cases = [
        ("s146_all_is_well", vec![with_port("web", 30080)], owned("web"), None, 0),
        ("s146_not_allocated", vec![with_port("web", 30080)], BTreeMap::new(), Some(("web", "PortNotAllocated")), 1),
        ("s146_somebody_elses", vec![with_port("web", 30080)], owned("other"), Some(("web", "PortAlreadyAllocated")), 0),
        ("s146_out_of_range", vec![with_port("web", 80)], BTreeMap::new(), Some(("web", "PortOutOfRange")), 0),
        ("s146_two_services", vec![with_port("web", 30080), with_port("x", 30080)], owned("web"), Some(("x", "PortAlreadyAllocated")), 0),
    ];
    for (id, services, claimed, report, created) in cases {
        let repair = ports(&services, &claimed, &(30000..=32767), &BTreeMap::new());
        assert_eq!(reasons(&repair.reports), report.into_iter().collect::<Vec<_>>(), "{id}");
        assert_eq!((repair.create.len(), repair.release.len(), repair.leaking.len()), (created, 0, 0), "{id}");
    }
}

#[test]
fn s146_a_leaked_port_is_released_in_the_third_pass() {
    let claimed = BTreeMap::from([(30080, "default/gone".to_owned())]);
    let pass = |leaking: &BTreeMap<u16, u32>| ports(&[], &claimed, &(30000..=32767), leaking);
    let first = pass(&BTreeMap::new());
    let second = pass(&first.leaking);
    let third = pass(&second.leaking);
    assert_eq!((first.release, second.release, third.release), (vec![], vec![], vec![30080]));
    assert_eq!(third.leaking, BTreeMap::new());
    // Seen with an owner in between, it starts again.
    let back = ports(&[with_port("gone", 30080)], &claimed, &(30000..=32767), &second.leaking);
    assert_eq!(back.leaking, BTreeMap::new());
}
