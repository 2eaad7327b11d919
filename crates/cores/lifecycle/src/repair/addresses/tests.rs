use serde_json::{Value, json};

use super::*;
use crate::fixture::{at, decode, merge};

/// Service `default/web` of 12:00:00 with cluster IP 10.0.0.1.
fn service(patch: Value) -> Service {
    decode(merge(
        json!({"metadata": {"namespace": "default", "name": "web", "creationTimestamp": "2026-01-01T12:00:00Z"},
               "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}}),
        patch,
    ))
}

/// The IPAddress of that Service and time.
fn address(patch: Value) -> IpAddress {
    decode(merge(
        json!({"metadata": {"name": "10.0.0.1", "creationTimestamp": "2026-01-01T12:00:00Z",
                            "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4",
                                       "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
               "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}}),
        patch,
    ))
}

fn plan(services: &[Service], addresses: &[IpAddress], now: &str) -> AddressPlan {
    let cidr: ServiceCidr = decode(json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.0.0.0/24"]}}));
    plan_addresses(&AddressInputs {
        services: &services.iter().collect::<Vec<_>>(),
        addresses: &addresses.iter().collect::<Vec<_>>(),
        cidrs: &[&cidr],
        now: at(now),
    })
}

/// `reason object` of each Event.
fn told(plan: &AddressPlan) -> Vec<String> {
    plan.events.iter().map(|event| format!("{} {}", event.reason, event.regarding.name)).collect()
}

#[test]
fn s145_each_cluster_ip_of_a_service_is_checked() {
    let check = |id: &str, cluster_ips: Value, addresses: &[IpAddress], expected: &[&str]| {
        let service = service(json!({"spec": {"clusterIPs": cluster_ips}}));
        let plan = plan(&[service], addresses, "12:00:01");
        assert_eq!(told(&plan), expected, "{id}");
        assert!(plan.delete.is_empty(), "{id}");
    };
    let other = || address(json!({"spec": {"parentRef": {"name": "other"}}, "metadata": {"labels": null}}));
    check("s145-right", json!(["10.0.0.1"]), &[address(json!({}))], &[]);
    check("s145-unparsable", json!(["10.0.0"]), &[], &["ClusterIPNotValid web"]);
    check("s145-out-of-range", json!(["10.9.0.1"]), &[], &["ClusterIPOutOfRange web"]);
    check("s145-not-allocated", json!(["10.0.0.1"]), &[], &["ClusterIPNotAllocated web"]);
    check("s145-held-by-another", json!(["10.0.0.1"]), &[other()], &["ClusterIPAlreadyAllocated web"]);
}

#[test]
fn s145_services_without_cluster_ips_are_not_checked() {
    let headless = service(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}));
    let alias = service(json!({"spec": {"type": "ExternalName"}}));
    assert_eq!(plan(&[headless, alias], &[], "12:00:01"), AddressPlan::default());
}

#[test]
fn s145_a_missing_ipaddress_is_created_as_allocation_writes_it() {
    let plan = plan(&[service(json!({}))], &[], "12:00:01");
    let expected = json!({
        "metadata": {"name": "10.0.0.1", "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4",
                                                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}},
    });
    assert_eq!(plan.create.len(), 1);
    assert_eq!(serde_json::to_value(&plan.create[0]).expect("IPAddresses encode"), expected);
}

#[test]
fn s145_of_two_services_with_one_missing_address_only_the_first_gets_it() {
    let second = service(json!({"metadata": {"name": "second"}}));
    let plan = plan(&[service(json!({})), second], &[], "12:00:01");
    assert_eq!(told(&plan), ["ClusterIPNotAllocated web", "ClusterIPAlreadyAllocated second"]);
    assert_eq!(plan.create.len(), 1);
}

#[test]
fn s145_an_ipaddress_that_nobody_needs_is_deleted_in_time() {
    let check = |id: &str, services: &[Service], address: IpAddress, now: &str, expected: Result<&str, &str>| {
        let plan = plan(services, &[address], now);
        match expected {
            Ok(reason) => {
                assert_eq!(told(&plan), [format!("{reason} 10.0.0.1")], "{id}");
                assert_eq!((plan.delete.len(), plan.wake), (1, None), "{id}");
            }
            Err(wake) => {
                assert_eq!((plan.delete.len(), plan.events.len()), (0, 0), "{id}");
                assert_eq!(plan.wake, Some(at(wake)), "{id}");
            }
        }
    };
    let alien = || address(json!({"spec": {"parentRef": {"resource": "gateways", "group": "example.com"}}}));
    check("s145-not-a-service", &[], alien(), "12:00:00", Ok("IPAddressNotAllocated"));
    check("s145-absent-and-young", &[], address(json!({})), "12:00:59", Err("12:01:00"));
    check("s145-absent-and-old", &[], address(json!({})), "12:01:00", Ok("IPAddressNotAllocated"));

    let moved = || [service(json!({"spec": {"clusterIP": "", "clusterIPs": []}}))];
    check("s145-not-listed", &moved(), address(json!({})), "12:00:00", Ok("IPAddressWrongReference"));
    let newer = || address(json!({"metadata": {"creationTimestamp": "2026-01-01T12:00:01Z"}}));
    check("s145-newer-and-young", &moved(), newer(), "12:00:05", Err("12:00:06"));
    check("s145-newer-and-old", &moved(), newer(), "12:00:06", Ok("IPAddressWrongReference"));
    let alias = || [service(json!({"spec": {"type": "ExternalName", "clusterIPs": []}}))];
    check("s145-external-name-young", &alias(), address(json!({})), "12:00:59", Err("12:01:00"));
    check("s145-external-name-old", &alias(), address(json!({})), "12:01:00", Ok("IPAddressWrongReference"));
}

#[test]
fn s145_addresses_of_other_allocators_are_left_alone() {
    let foreign = address(json!({"metadata": {"labels": {"ipaddress.kubernetes.io/managed-by": "somebody"}}}));
    assert_eq!(plan(&[], &[foreign], "13:00:00"), AddressPlan::default());
}

#[test]
fn s145_a_repaired_cluster_needs_no_repair() {
    let services = [service(json!({}))];
    let plan_1 = plan(&services, &[], "12:00:01");
    assert_eq!(plan(&services, &plan_1.create, "12:00:02"), AddressPlan::default());
}
