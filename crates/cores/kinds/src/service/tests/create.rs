//! Defaults and families of a new Service.

use super::*;

#[test]
fn s111_defaults() {
    #[rustfmt::skip]
    let cases = [
        ("s111_type_protocol_and_target_port", json!({}), json!({
            "type": "ClusterIP",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "sessionAffinity": "None",
            "sessionAffinityConfig": null,
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": null,
            "allocateLoadBalancerNodePorts": null,
        })),
        ("s111_target_port_zero_is_unset", json!({"ports": [{"port": 81, "targetPort": 0}]}), json!({
            "ports": [{"port": 81, "protocol": "TCP", "targetPort": 81}],
        })),
        ("s111_target_port_empty_is_unset", json!({"ports": [{"port": 81, "targetPort": ""}]}), json!({
            "ports": [{"port": 81, "protocol": "TCP", "targetPort": 81}],
        })),
        ("s111_named_target_port_stays", json!({"ports": [{"port": 81, "targetPort": "http"}]}), json!({
            "ports": [{"port": 81, "protocol": "TCP", "targetPort": "http"}],
        })),
        ("s111_no_affinity_clears_its_configuration",
            json!({"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}),
            json!({"sessionAffinity": "None", "sessionAffinityConfig": null})),
        ("s111_client_ip_affinity_lasts_three_hours", json!({"sessionAffinity": "ClientIP"}),
            json!({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}})),
        ("s111_external_policy_for_external_ips", json!({"externalIPs": ["192.0.2.1"]}),
            json!({"externalTrafficPolicy": "Cluster"})),
        ("s111_external_policy_for_load_balancers", json!({"type": "LoadBalancer"}),
            json!({"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true})),
        ("s111_external_policy_for_node_ports", json!({"type": "NodePort"}),
            json!({"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": null})),
        ("s111_external_name_has_no_policies",
            json!({"type": "ExternalName", "externalName": "example.com", "ports": []}),
            json!({"internalTrafficPolicy": null, "externalTrafficPolicy": null, "ports": null})),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        expect(id, &created(&single(), spec).object, &expected);
    }
}

#[test]
fn s112_s114_families_and_policy() {
    let v4_v6 = json!(["IPv4", "IPv6"]);
    #[rustfmt::skip]
    let cases = [
        ("s112_single_stack_is_the_default", dual(), json!({}),
            json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]})),
        ("s112_headless_without_selector_requires_both", dual(), json!({"clusterIP": "None"}),
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": v4_v6})),
        ("s112_headless_with_selector_is_single_stack", dual(), json!({"clusterIP": "None", "selector": {"a": "b"}}),
            json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]})),
        ("s114_the_first_range_is_primary", Cluster::with(&["fd00::/112", "10.96.0.0/24"]), json!({}),
            json!({"ipFamilies": ["IPv6"]})),
        ("s114_families_follow_the_addresses", dual(),
            json!({"clusterIP": "fd00::9", "clusterIPs": ["fd00::9", "10.96.0.9"], "ipFamilyPolicy": "PreferDualStack"}),
            json!({"ipFamilies": ["IPv6", "IPv4"], "clusterIPs": ["fd00::9", "10.96.0.9"]})),
        ("s114_preferring_both_gets_both", dual(), json!({"ipFamilyPolicy": "PreferDualStack"}),
            json!({"ipFamilies": v4_v6})),
        ("s114_requiring_both_appends_the_second", dual(),
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
            json!({"ipFamilies": ["IPv6", "IPv4"]})),
        ("s114_preferring_both_takes_what_there_is", single(), json!({"ipFamilyPolicy": "PreferDualStack"}),
            json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"]})),
        ("s115_headless_without_selector_may_want_what_the_cluster_lacks", single(),
            json!({"clusterIP": "None", "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}),
            json!({"ipFamilies": ["IPv6"], "clusterIPs": ["None"]})),
        ("s115_headless_without_selector_may_require_both_on_a_single_stack_cluster", single(),
            json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"}),
            json!({"ipFamilies": v4_v6})),
        ("s114_external_name_has_none", dual(),
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({"ipFamilies": null, "ipFamilyPolicy": null, "clusterIP": null, "clusterIPs": null})),
    ];
    for (id, cluster, spec, expected) in cases {
        println!("case {id}");
        expect(id, &created(&cluster, spec).object, &expected);
    }
}

#[test]
fn s115_families_that_cannot_be_had() {
    #[rustfmt::skip]
    let cases = [
        ("s115_family_not_on_this_cluster", single(), json!({"ipFamilies": ["IPv6"]}),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
        ("s115_address_of_a_family_not_on_this_cluster", single(), json!({"clusterIP": "fd00::9"}),
            "spec.clusterIPs[0]: Invalid value: [\"fd00::9\"]: IPv6 is not configured on this cluster"),
        ("s115_single_stack_with_two_addresses", dual(),
            json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "SingleStack"}),
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"),
        ("s115_single_stack_with_two_families", dual(),
            json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"}),
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"),
        ("s115_dual_stack_on_a_single_stack_cluster", single(), json!({"ipFamilyPolicy": "RequireDualStack"}),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services"),
        ("s115_address_of_the_wrong_family", dual(), json!({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv6"]}),
            "spec.clusterIPs[0]: Invalid value: \"10.96.0.9\": expected an IPv6 value as indicated by `ipFamilies[0]`"),
        ("s115_address_of_the_other_wrong_family", dual(), json!({"clusterIP": "fd00::9", "ipFamilies": ["IPv4"]}),
            "spec.clusterIPs[0]: Invalid value: \"fd00::9\": expected an IPv4 value as indicated by `ipFamilies[0]`"),
    ];
    for (id, cluster, spec, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(Service.create(service(spec), &cluster.context())), [expected], "{id}");
    }
}

#[test]
fn s113_new_addresses_are_normalised() {
    let up = created(&single(), json!({"clusterIP": "10.96.0.9"}));
    expect("s113_cluster_ip_is_copied_up", &up.object, &json!({"clusterIPs": ["10.96.0.9"]}));
    assert_eq!(
        mistakes(Service.create(service(json!({"clusterIPs": ["10.96.0.9"]})), &single().context())),
        ["spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: must be empty when `clusterIP` is not specified"],
        "s113_cluster_ips_are_not_copied_down",
    );
}

#[test]
fn s110_older_objects_are_completed_when_read() {
    #[rustfmt::skip]
    let cases = [
        ("s110_external_name_shows_no_internal_policy",
            json!({"type": "ExternalName", "internalTrafficPolicy": "Cluster"}),
            json!({"internalTrafficPolicy": null, "ipFamilies": null})),
        ("s110_headless_without_selector_has_both_families", json!({"type": "ClusterIP", "clusterIP": "None"}),
            json!({"clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"})),
        ("s110_headless_with_selector_has_the_primary",
            json!({"type": "ClusterIP", "clusterIP": "None", "selector": {"a": "b"}}),
            json!({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})),
        ("s110_families_of_one_address", json!({"type": "ClusterIP", "clusterIP": "fd00::9"}),
            json!({"clusterIPs": ["fd00::9"], "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"})),
        ("s110_families_of_two_addresses",
            json!({"type": "ClusterIP", "clusterIP": "fd00::9", "clusterIPs": ["fd00::9", "10.96.0.9"]}),
            json!({"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack"})),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        let mut object = service(spec);
        Service.read(&mut object);
        expect(id, &object, &expected);
    }
}

#[test]
fn s108_the_status_of_a_new_service_is_wiped() {
    let mut new = service(json!({"type": "LoadBalancer"}));
    new["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let admitted = Service.create(new, &single().context()).unwrap();
    assert_eq!(admitted.object["status"], json!({"loadBalancer": {}}));
}

#[test]
fn s108_everything_is_allocated_in_one_step() {
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ipFamilyPolicy": "RequireDualStack"});
    let admitted = created(&dual(), spec);
    let spec = &admitted.object["spec"];
    let port = |value: &Value| Claim::Port(u16::try_from(value.as_i64().unwrap()).unwrap());
    let mut claims = admitted.claims.clone();
    claims.sort_unstable();
    let mut expected = vec![
        at(spec["clusterIPs"][0].as_str().unwrap()),
        at(spec["clusterIPs"][1].as_str().unwrap()),
        port(&spec["ports"][0]["nodePort"]),
        port(&spec["healthCheckNodePort"]),
    ];
    expected.sort_unstable();
    assert_eq!(claims, expected);
    assert_eq!(Service.holds(&admitted.object), admitted.claims);
}

#[test]
fn s108_allocation_comes_before_validation() {
    let cluster = single().taking(&["10.96.0.9"], &[30080]);
    #[rustfmt::skip]
    let cases = [
        ("s108_a_taken_address_hides_a_bad_port",
            json!({"clusterIP": "10.96.0.9", "ports": [{"port": 70000}]}),
            vec!["spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: failed to allocate IP 10.96.0.9: provided IP is already allocated"]),
        ("s108_addresses_come_before_node_ports",
            json!({"clusterIP": "10.96.0.9", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}),
            vec!["spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: failed to allocate IP 10.96.0.9: provided IP is already allocated"]),
        ("s108_a_taken_node_port_hides_a_bad_affinity",
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}], "sessionAffinity": "x"}),
            vec!["spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"]),
        ("s108_consistency_of_addresses_comes_before_allocation",
            json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"], "ports": [{"port": 70000}]}),
            vec!["spec.clusterIPs: Invalid value: [\"10.96.0.8\"]: first value must match `clusterIP`"]),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(Service.create(service(spec), &cluster.context())), expected, "{id}");
    }
}
