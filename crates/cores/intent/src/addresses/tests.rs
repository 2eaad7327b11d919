use super::*;
use crate::sample::{svc, web};

#[test]
fn s134_addresses_of_older_servers_are_read_as_they_were_meant() {
    let table = [
        ("s134_plain", "10.96.0.10", Some("10.96.0.10")),
        ("s134_leading_zeros_are_decimal", "010.096.000.010", Some("10.96.0.10")),
        ("s134_ipv4_in_ipv6", "::ffff:10.96.0.10", Some("10.96.0.10")),
        ("s134_ipv6", "FD96:0::0010", Some("fd96::10")),
        ("s134_too_large", "10.96.0.256", None),
        ("s134_too_short", "10.96.0", None),
        ("s134_too_long", "10.96.0.1.2", None),
        ("s134_sign", "10.96.0.+1", None),
        ("s134_empty_octet", "10.96..1", None),
        ("s134_zone", "fe80::1%eth0", None),
        ("s134_name", "example", None),
        ("s134_empty", "", None),
    ];
    for (id, text, expected) in table {
        println!("case {id}");
        assert_eq!(parse_address(text), expected.map(|text| text.parse().unwrap()), "{id}");
    }
}

#[test]
fn s134_ranges_too() {
    let table = [
        ("s134_plain", "10.0.0.0/8", Some("10.0.0.0/8")),
        ("s134_host_bits", "10.1.2.3/8", Some("10.0.0.0/8")),
        ("s134_leading_zeros", "010.0.0.0/8", Some("10.0.0.0/8")),
        ("s134_ipv4_in_ipv6", "::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
        ("s134_ipv6", "2001:db8::1/32", Some("2001:db8::/32")),
        ("s134_ipv4_in_ipv6_too_wide", "::ffff:10.0.0.0/8", None),
        ("s134_too_long", "10.0.0.0/33", None),
        ("s134_no_length", "10.0.0.0", None),
        ("s134_no_number", "10.0.0.0/x", None),
    ];
    for (id, text, expected) in table {
        println!("case {id}");
        assert_eq!(parse_range(text), expected.map(|text| text.parse().unwrap()), "{id}");
    }
}

#[test]
fn s301_a_service_is_served_in_the_families_of_its_cluster_ips() {
    let mixed = |service: crate::sample::Svc| {
        service.external("198.51.100.1").external("2001:db8::1").ingress("198.51.100.2").ingress("2001:db8::2")
    };
    let table = [
        ("s301_v4", mixed(svc("web").ip("10.96.0.10")), [3, 0]),
        ("s301_v6", mixed(svc("web").ip("fd96::10")), [0, 3]),
        ("s301_both", mixed(svc("web").ip("fd96::10").ip("10.96.0.10")), [3, 3]),
        ("s301_none", mixed(svc("web")), [0, 0]),
        ("s301_malformed_cluster_ip", mixed(svc("web").ip("10.96")), [0, 0]),
    ];
    for (id, service, expected) in table {
        println!("case {id}");
        let (addresses, _) = Addresses::of(&service.0);
        let count = |family| {
            let of = addresses.in_family(family);
            of.cluster.len() + of.external.len() + of.load_balancer.len()
        };
        assert_eq!(Family::ALL.map(count), expected, "{id}");
    }
}

#[test]
fn s301_the_field_of_old_servers_counts_only_without_the_new_one() {
    let old = |service: crate::sample::Svc| service.with(|service| service.spec.cluster_ip = "10.96.0.7".to_owned());
    let claimed = |service: crate::sample::Svc| {
        let cluster = Addresses::of(&service.0).0.cluster;
        cluster.iter().map(|one| format!("{} {}", one.field, one.address)).collect::<Vec<_>>()
    };
    assert_eq!(claimed(old(svc("web"))), ["spec.clusterIP 10.96.0.7"]);
    assert_eq!(claimed(old(svc("web").ip("10.96.0.10"))), ["spec.clusterIPs[0] 10.96.0.10"]);
}

#[test]
fn s301_what_can_not_be_used_is_reported() {
    let service = web().external("198.51.100").external("2001:db8::1").range("everybody").range("2001:db8::/32");
    let (addresses, problems) = Addresses::of(&service.0);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "Service default/web: spec.externalIPs[1] is ignored: \"198.51.100\" is no address or range",
        "Service default/web: spec.externalIPs[2] is ignored: 2001:db8::1 is of another IP family",
        "Service default/web: spec.loadBalancerSourceRanges[0] is ignored: \"everybody\" is no address or range",
        "Service default/web: spec.loadBalancerSourceRanges[1] is ignored: 2001:db8::/32 is of another IP family",
    ];
    assert_eq!(told, expected);
    assert_eq!(addresses.external.len(), 1);
    assert!(addresses.source_ranges.is_empty());
}
