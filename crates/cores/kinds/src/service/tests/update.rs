//! Updates: what is carried over, what may not change, and what goes with a change of type.

use super::*;

#[test]
fn s118_what_a_manifest_leaves_out_is_carried_over() {
    #[rustfmt::skip]
    let cases = [
        ("s118_cluster_ip", json!({"clusterIP": "10.96.0.9"}), json!({}),
            json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})),
        ("s118_headless_stays_headless", json!({"clusterIP": "None", "selector": {"a": "b"}}), json!({"selector": {"a": "b"}}),
            json!({"clusterIP": "None", "clusterIPs": ["None"]})),
        ("s118_both_addresses",
            json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "RequireDualStack"}),
            json!({}),
            json!({"clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "RequireDualStack"})),
        ("s118_address_across_types", json!({"clusterIP": "10.96.0.9"}), json!({"type": "LoadBalancer"}),
            json!({"clusterIP": "10.96.0.9", "type": "LoadBalancer"})),
        ("s118_node_ports_by_name",
            json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]}),
            json!({"type": "NodePort", "ports": [{"name": "b", "port": 91}, {"name": "a", "port": 90}]}),
            json!({"ports": [
                {"name": "b", "port": 91, "targetPort": 91, "protocol": "TCP", "nodePort": 30081},
                {"name": "a", "port": 90, "targetPort": 90, "protocol": "TCP", "nodePort": 30080}]})),
        ("s118_node_port_across_types",
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}),
            json!({"type": "LoadBalancer", "ports": [{"port": 80}]}),
            json!({"ports": [{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30080}]})),
        ("s118_health_check_port",
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30099}),
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}),
            json!({"healthCheckNodePort": 30099})),
    ];
    for (id, old, new, expected) in cases {
        println!("case {id}");
        let admitted = replaced(&dual(), old, new).unwrap_or_else(|refusal| panic!("{id}: {refusal:?}"));
        expect(id, &admitted.object, &expected);
    }
}

#[test]
fn s118_a_number_that_another_port_claims_is_not_carried_over() {
    let old = json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30080}]});
    let new =
        json!({"type": "NodePort", "ports": [{"name": "b", "port": 81, "nodePort": 30080}, {"name": "a", "port": 80}]});
    let object = replaced(&single(), old, new).unwrap().object;
    assert_eq!(object["spec"]["ports"][0]["nodePort"], 30080);
    assert_ne!(object["spec"]["ports"][1]["nodePort"], 30080);
}

#[test]
fn s113_changed_addresses_are_normalised() {
    let old = json!({"clusterIP": "10.96.0.9"});
    let emptied_list = patched(&single(), old.clone(), json!({"clusterIPs": []})).unwrap();
    expect("s113_an_emptied_list_is_restored", &emptied_list.object, &json!({"clusterIPs": ["10.96.0.9"]}));

    let name = json!({"type": "ExternalName", "externalName": "example.com", "clusterIP": ""});
    let emptied_both = patched(&single(), old.clone(), name).unwrap();
    expect(
        "s113_emptying_one_empties_the_other",
        &emptied_both.object,
        &json!({"clusterIP": null, "clusterIPs": null}),
    );

    // The list follows the single value, which then is refused because it may not change.
    assert_eq!(
        mistakes(patched(&single(), old, json!({"clusterIP": "10.96.0.10"}))),
        ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set"],
        "s113_the_list_follows_the_single_value",
    );
}

#[test]
fn s119_cluster_ip_may_not_change_once_set() {
    let fixed = json!({"clusterIP": "10.96.0.9"});
    let both = json!({
        "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "RequireDualStack",
    });
    #[rustfmt::skip]
    let cases = [
        ("s119_first", fixed.clone(), json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"]}),
            vec!["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set"]),
        ("s119_second", both.clone(), json!({"clusterIPs": ["10.96.0.9", "fd00::a"]}),
            vec!["spec.clusterIPs[1]: Invalid value: [\"10.96.0.9\",\"fd00::a\"]: may not change once set"]),
        ("s119_to_none", fixed.clone(), json!({"clusterIP": "None"}),
            vec!["spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set"]),
        ("s119_from_none", json!({"clusterIP": "None", "selector": {"a": "b"}}), json!({"clusterIP": "10.96.0.9"}),
            vec!["spec.clusterIPs[0]: Invalid value: [\"10.96.0.9\"]: may not change once set"]),
        ("s119_swapped", both.clone(),
            json!({"clusterIP": "fd00::9", "clusterIPs": ["fd00::9", "10.96.0.9"], "ipFamilies": ["IPv6", "IPv4"]}),
            vec!["spec.clusterIPs[0]: Invalid value: [\"fd00::9\",\"10.96.0.9\"]: may not change once set",
                "spec.clusterIPs[1]: Invalid value: [\"fd00::9\",\"10.96.0.9\"]: may not change once set",
                "spec.ipFamilies[0]: Invalid value: [\"IPv6\",\"IPv4\"]: may not change once set"]),
        ("s119_said_together_with_other_mistakes", fixed,
            json!({"clusterIP": "10.96.0.10", "sessionAffinity": "x"}),
            vec!["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set",
                "spec.sessionAffinity: Unsupported value: \"x\": supported values: \"ClientIP\", \"None\""]),
    ];
    for (id, old, patch, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(patched(&dual(), old, patch)), expected, "{id}");
    }
}

#[test]
fn s119_a_primary_address_can_not_be_unset() {
    // Carrying over (S-118) makes this out of reach for clients; the rule stands for itself.
    let old = Spec { r#type: "ClusterIP".to_owned(), cluster_ips: vec!["10.96.0.9".to_owned()], ..Spec::default() };
    let new = Spec { cluster_ips: Vec::new(), ..old.clone() };
    let mut found = Mistakes::default();
    immutable::check(&new, &old, &mut found);
    assert_eq!(mistakes(found.result()), ["spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset"],);
}

#[test]
fn s119_what_may_change_after_all() {
    let headless = json!({"clusterIP": "None", "selector": {"a": "b"}});
    #[rustfmt::skip]
    let cases = [
        ("s119_families_while_headless", headless.clone(), json!({"ipFamilies": ["IPv6"]}),
            json!({"ipFamilies": ["IPv6"]})),
        ("s119_a_second_family_while_headless", headless, json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}),
            json!({"ipFamilies": ["IPv4", "IPv6"]})),
        ("s119_anything_from_external_name", json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({"type": "ClusterIP", "clusterIP": "10.96.0.9"}), json!({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"]})),
        ("s119_to_external_name", json!({}), json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({"clusterIP": null, "clusterIPs": null, "ipFamilies": null, "ipFamilyPolicy": null})),
        ("s119_a_second_address_on_request",
            json!({"clusterIP": "10.96.0.9"}), json!({"ipFamilyPolicy": "PreferDualStack", "clusterIPs": ["10.96.0.9", "fd00::9"]}),
            json!({"clusterIPs": ["10.96.0.9", "fd00::9"]})),
    ];
    for (id, old, patch, expected) in cases {
        println!("case {id}");
        let admitted = patched(&dual(), old, patch).unwrap_or_else(|refusal| panic!("{id}: {refusal:?}"));
        expect(id, &admitted.object, &expected);
    }
}

#[test]
fn s119_a_detour_by_external_name_gives_a_new_address() {
    let cluster = single();
    let old = created(&cluster, json!({"clusterIP": "10.96.0.9"})).object;
    let taken = holding(&cluster, &old);
    let mut name = old.clone();
    name["spec"]["type"] = json!("ExternalName");
    name["spec"]["externalName"] = json!("example.com");
    let name = Service.update(name, &old, &taken.context()).unwrap();
    assert_eq!(name.releases, [at("10.96.0.9")]);
    let mut back = name.object.clone();
    back["spec"]["type"] = json!("ClusterIP");
    let back = Service.update(back, &name.object, &cluster.context()).unwrap();
    assert_eq!(back.claims, [at(back.object["spec"]["clusterIP"].as_str().unwrap())]);
}

#[test]
fn s121_a_change_of_type_cleans_up() {
    let load_balancer = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "example.com/lb",
        "healthCheckNodePort": 30099, "ports": [{"port": 80, "nodePort": 30080}],
    });
    let gone = json!({
        "externalTrafficPolicy": null, "healthCheckNodePort": null, "allocateLoadBalancerNodePorts": null,
        "loadBalancerClass": null,
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
    });
    #[rustfmt::skip]
    let cases = [
        ("s121_load_balancer_to_cluster_ip", load_balancer.clone(), json!({"type": "ClusterIP"}), gone.clone()),
        ("s121_load_balancer_to_external_name", load_balancer.clone(),
            json!({"type": "ExternalName", "externalName": "example.com"}), gone),
        ("s121_load_balancer_to_node_port_keeps_what_it_needs", load_balancer.clone(), json!({"type": "NodePort"}), json!({
            "externalTrafficPolicy": "Local", "healthCheckNodePort": null, "loadBalancerClass": null,
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30080}],
        })),
        ("s121_local_to_cluster_drops_the_health_check", load_balancer, json!({"externalTrafficPolicy": "Cluster"}),
            json!({"healthCheckNodePort": null, "loadBalancerClass": "example.com/lb"})),
        ("s121_selector_and_ports_stay", json!({"selector": {"a": "b"}}),
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}]})),
        ("s121_no_longer_accessible", json!({"externalIPs": ["192.0.2.1"]}), json!({"externalIPs": []}),
            json!({"externalTrafficPolicy": null})),
    ];
    for (id, old, patch, expected) in cases {
        println!("case {id}");
        let admitted = patched(&single(), old, patch).unwrap_or_else(|refusal| panic!("{id}: {refusal:?}"));
        expect(id, &admitted.object, &expected);
    }
}

#[test]
fn s121_leaving_a_load_balancer_releases_and_forgets_its_status() {
    let cluster = single();
    let spec = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30099,
        "ports": [{"port": 80, "nodePort": 30080}],
    });
    let mut old = created(&cluster, spec).object;
    old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
    let mut new = old.clone();
    new["spec"]["type"] = json!("ClusterIP");
    let admitted = Service.update(new, &old, &holding(&cluster, &old).context()).unwrap();
    assert_eq!(admitted.releases, [Claim::Port(30080), Claim::Port(30099)]);
    assert_eq!(admitted.object["status"], json!({"loadBalancer": {}}));
}

#[test]
fn s121_what_the_client_changed_too_is_refused_instead() {
    let old = json!({
        "type": "LoadBalancer", "loadBalancerClass": "example.com/lb", "loadBalancerSourceRanges": ["192.0.2.0/24"],
        "ports": [{"port": 80, "nodePort": 30080}],
    });
    #[rustfmt::skip]
    let cases = [
        ("s121_a_new_node_port", json!({"loadBalancerSourceRanges": null, "type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30081}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
        ("s121_a_new_class", json!({"loadBalancerSourceRanges": null, "type": "ClusterIP", "loadBalancerClass": "example.com/other"}),
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"),
        ("s121_source_ranges_are_never_cleared", json!({"type": "ClusterIP"}),
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"),
    ];
    for (id, patch, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(patched(&single(), old.clone(), patch)), [expected], "{id}");
    }
}

#[test]
fn s130_the_class_may_not_change_while_it_is_a_load_balancer() {
    let with = json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/lb"});
    let without = json!({"type": "LoadBalancer"});
    #[rustfmt::skip]
    let cases = [
        ("s130_to_another", with.clone(), json!({"loadBalancerClass": "example.com/other"}), "\"example.com/other\""),
        ("s130_to_nothing", with, json!({"loadBalancerClass": null}), "\"null\""),
        ("s130_from_nothing", without, json!({"loadBalancerClass": "example.com/lb"}), "\"example.com/lb\""),
    ];
    for (id, old, patch, shown) in cases {
        println!("case {id}");
        let expected = format!("spec.loadBalancerClass: Invalid value: {shown}: may not change once set");
        assert_eq!(mistakes(patched(&single(), old, patch)), [expected], "{id}");
    }
    let late = patched(&single(), json!({}), json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/lb"}));
    assert!(late.is_ok(), "s130_a_new_load_balancer_may_have_one: {late:?}");
}

#[test]
fn s131_the_health_check_port_is_immutable() {
    let old = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30099});
    assert_eq!(
        mistakes(patched(&single(), old, json!({"healthCheckNodePort": 30098}))),
        ["spec.healthCheckNodePort: Forbidden: field is immutable"],
    );
}

#[test]
fn s107_a_spec_write_ignores_the_status() {
    let cluster = single();
    let mut old = created(&cluster, json!({"type": "LoadBalancer"})).object;
    old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
    let mut new = old.clone();
    new["status"] = json!({"loadBalancer": {}});
    new["spec"]["selector"] = json!({"a": "b"});
    let admitted = Service.update(new, &old, &holding(&cluster, &old).context()).unwrap();
    assert_eq!(admitted.object["status"], old["status"]);
}

#[test]
fn s109_releases_happen_only_with_the_commit() {
    // Two ports trade their numbers: nothing is free in between, so nothing is claimed or released.
    let old = json!({"type": "NodePort", "ports": [
        {"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]});
    let swapped = json!({"ports": [
        {"name": "a", "port": 80, "nodePort": 30081}, {"name": "b", "port": 81, "nodePort": 30080}]});
    let admitted = patched(&single(), old.clone(), swapped).unwrap();
    assert_eq!((admitted.claims, admitted.releases), (vec![], vec![]));
    // A number that another Service holds is not free because this one is about to release its own.
    let cluster = single().taking(&[], &[30090]);
    let taken = json!({"ports": [{"name": "a", "port": 80, "nodePort": 30090}]});
    assert_eq!(
        mistakes(patched(&cluster, old, taken)),
        ["spec.ports[0].nodePort: Invalid value: 30090: provided port is already allocated"],
    );
}

#[test]
fn s109_an_old_object_is_completed_before_it_is_compared() {
    // Stored by a version that knew neither clusterIPs nor families.
    let old = service(json!({
        "type": "ClusterIP", "clusterIP": "10.96.0.9", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }));
    let admitted = Service.update(service(json!({})), &old, &holding(&dual(), &old).context()).unwrap();
    expect("s109", &admitted.object, &json!({"clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"]}));
    assert_eq!((admitted.claims, admitted.releases), (vec![], vec![]));
}

#[test]
fn the_generation_counts_changes_of_the_spec() {
    let cluster = single();
    let mut old = created(&cluster, json!({"clusterIP": "10.96.0.9"})).object;
    old["metadata"]["generation"] = json!(4);
    let update = |new: Value| Service.update(new, &old, &holding(&cluster, &old).context()).unwrap().object;
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(update(labelled)["metadata"]["generation"], 4);
    let mut selecting = old.clone();
    selecting["spec"]["selector"] = json!({"a": "b"});
    assert_eq!(update(selecting)["metadata"]["generation"], 5);
}
