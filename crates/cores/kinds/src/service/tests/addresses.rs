//! Cluster IPs: how they are drawn, and which are refused.

use super::*;

#[test]
fn s117_addresses_that_cannot_be_allocated() {
    let cluster = dual().taking(&["10.96.0.9"], &[]);
    #[rustfmt::skip]
    let cases = [
        ("s117_already_allocated", json!({"clusterIP": "10.96.0.9"}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: failed to allocate IP 10.96.0.9: provided IP is already allocated"),
        ("s117_out_of_range", json!({"clusterIP": "10.97.0.9"}),
            "spec.clusterIPs: Invalid value: [\"10.97.0.9\"]: failed to allocate IP 10.97.0.9: the provided IP (10.97.0.9) is not in the valid range. The range of valid IPs is 10.96.0.0/24"),
        ("s139_the_network_address_is_not_offered", json!({"clusterIP": "10.96.0.0"}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.0\"]: failed to allocate IP 10.96.0.0: the provided IP (10.96.0.0) is not in the valid range. The range of valid IPs is 10.96.0.0/24"),
        ("s139_the_broadcast_address_is_not_offered", json!({"clusterIP": "10.96.0.255"}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.255\"]: failed to allocate IP 10.96.0.255: the provided IP (10.96.0.255) is not in the valid range. The range of valid IPs is 10.96.0.0/24"),
        ("s117_out_of_the_v6_range", json!({"clusterIP": "fd01::1"}),
            "spec.clusterIPs: Invalid value: [\"fd01::1\"]: failed to allocate IP fd01::1: the provided IP (fd01::1) is not in the valid range. The range of valid IPs is fd00::/112"),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(Service.create(service(spec), &cluster.context())), [expected], "{id}");
    }
}

#[test]
fn s117_a_full_range_is_an_internal_error() {
    let cluster = Cluster::with(&["10.96.0.0/30"]).taking(&["10.96.0.1", "10.96.0.2"], &[]);
    let refusal = Service.create(service(json!({})), &cluster.context()).unwrap_err();
    let why = "failed to allocate a serviceIP: range is full (10.96.0.0/30): delete a Service or add a ServiceCIDR";
    assert_eq!(refusal, Refusal::Internal(why.to_owned()));
}

#[test]
fn s140_dynamic_addresses_come_from_the_upper_band() {
    for seed in 0..50 {
        let cluster = single();
        let context = Context { seed, ..cluster.context() };
        let object = Service.create(service(json!({})), &context).unwrap().object;
        let address: std::net::Ipv4Addr = object["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        assert!((17..=254).contains(&address.octets()[3]), "{address}");
    }
}

#[test]
fn s140_a_dry_run_claims_nothing() {
    let cluster = Cluster { dry_run: true, ..dual().taking(&["10.96.0.9"], &[]) };
    let dynamic = created(&cluster, json!({"ipFamilyPolicy": "RequireDualStack", "type": "NodePort"}));
    expect("s140_dynamic", &dynamic.object, &json!({"clusterIPs": ["10.96.0.0", "fd00::"]}));
    assert_eq!(dynamic.claims, []);
    let fixed = created(&cluster, json!({"clusterIP": "10.96.0.9"}));
    expect("s140_static_checks_the_range_only", &fixed.object, &json!({"clusterIP": "10.96.0.9"}));
    let outside = Service.create(service(json!({"clusterIP": "10.97.0.9"})), &cluster.context());
    assert!(matches!(outside, Err(Refusal::Invalid(_))), "{outside:?}");
}

#[test]
fn s141_several_ranges_of_a_family() {
    let mut cluster = Cluster::with(&["10.96.0.0/30", "10.97.0.0/30", "10.98.0.0/30"]);
    cluster.ranges[1].usable = false;
    let first = cluster.clone().taking(&["10.96.0.1"], &[]);
    expect("s141_the_first_with_room", &created(&first, json!({})).object, &json!({"clusterIP": "10.96.0.2"}));

    let full = cluster.clone().taking(&["10.96.0.1", "10.96.0.2", "10.98.0.2"], &[]);
    let next = created(&full, json!({})).object;
    expect("s141_a_range_that_is_not_ready_is_passed_over", &next, &json!({"clusterIP": "10.98.0.1"}));

    expect(
        "s141_static_from_any",
        &created(&cluster, json!({"clusterIP": "10.98.0.2"})).object,
        &json!({"clusterIP": "10.98.0.2"}),
    );
    assert_eq!(
        mistakes(Service.create(service(json!({"clusterIP": "10.97.0.1"})), &cluster.context())),
        [
            "spec.clusterIPs: Invalid value: [\"10.97.0.1\"]: failed to allocate IP 10.97.0.1: the provided IP (10.97.0.1) is \
          not in the valid range. The range of valid IPs is 10.96.0.0/30, 10.98.0.0/30"
        ],
        "s141_static_from_a_range_that_is_not_ready",
    );

    let everything = full.taking(&["10.98.0.1"], &[]);
    let refusal = Service.create(service(json!({})), &everything.context()).unwrap_err();
    assert!(matches!(refusal, Refusal::Internal(_)), "s141_full_means_all_are_full: {refusal:?}");
}

#[test]
fn s117_transitions_claim_and_release() {
    let name = json!({"type": "ExternalName", "externalName": "example.com"});
    let fixed = json!({"clusterIP": "10.96.0.9"});
    let both = json!({
        "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "RequireDualStack",
    });
    let headless = json!({"clusterIP": "None", "selector": {"a": "b"}});
    #[rustfmt::skip]
    let cases = [
        ("s117_external_name_to_another_allocates_all", name.clone(),
            json!({"type": "ClusterIP", "clusterIP": "10.96.0.9"}), vec![at("10.96.0.9")], vec![]),
        ("s117_another_to_external_name_releases_all", both.clone(),
            json!({"type": "ExternalName", "externalName": "example.com"}), vec![], vec![at("10.96.0.9"), at("fd00::9")]),
        ("s117_one_family_to_two_allocates_the_second", fixed.clone(),
            json!({"ipFamilyPolicy": "RequireDualStack", "clusterIPs": ["10.96.0.9", "fd00::9"]}), vec![at("fd00::9")], vec![]),
        ("s117_two_families_to_one_releases_the_second", both.clone(),
            json!({"ipFamilyPolicy": "SingleStack"}), vec![], vec![at("fd00::9")]),
        ("s117_headless_manages_nothing", headless,
            json!({"ipFamilyPolicy": "RequireDualStack"}), vec![], vec![]),
        ("s117_a_change_of_labels_moves_nothing", both,
            json!({"selector": {"a": "c"}}), vec![], vec![]),
    ];
    for (id, spec, patch, claims, releases) in cases {
        println!("case {id}");
        let admitted = patched(&dual(), spec, patch).unwrap_or_else(|refusal| panic!("{id}: {refusal:?}"));
        assert_eq!((admitted.claims, admitted.releases), (claims, releases), "{id}");
    }
}

#[test]
fn s117_a_second_family_is_drawn_if_none_is_named() {
    let admitted = patched(&dual(), json!({}), json!({"ipFamilyPolicy": "PreferDualStack"})).unwrap();
    let second = admitted.object["spec"]["clusterIPs"][1].as_str().unwrap();
    assert_eq!(admitted.claims, [at(second)]);
    assert!(second.starts_with("fd00::"), "{second}");
}

#[test]
fn s116_a_preference_is_sticky() {
    let single_stack = created(&single(), json!({"ipFamilyPolicy": "PreferDualStack"})).object;
    let mut new = single_stack.clone();
    new["spec"]["selector"] = json!({"a": "b"});
    let admitted = Service.update(new, &single_stack, &holding(&dual(), &single_stack).context()).unwrap();
    expect("s116_no_upgrade", &admitted.object, &json!({"ipFamilies": ["IPv4"]}));
    assert_eq!(admitted.claims, []);

    let dual_stack = created(&dual(), json!({"ipFamilyPolicy": "PreferDualStack"})).object;
    let mut new = dual_stack.clone();
    new["spec"]["selector"] = json!({"a": "b"});
    let admitted = Service.update(new, &dual_stack, &holding(&single(), &dual_stack).context()).unwrap();
    expect("s116_no_downgrade", &admitted.object, &json!({"ipFamilies": ["IPv4", "IPv6"]}));
    assert_eq!(admitted.releases, []);
}

#[test]
fn s116_lists_are_shortened_only_by_asking_for_one_family() {
    let both = json!({"ipFamilyPolicy": "RequireDualStack"});
    let trimmed = patched(&dual(), both.clone(), json!({"ipFamilyPolicy": "SingleStack"})).unwrap();
    expect("s116_single_stack_trims_both", &trimmed.object, &json!({"ipFamilies": ["IPv4"]}));
    assert_eq!(trimmed.object["spec"]["clusterIPs"].as_array().unwrap().len(), 1);

    let fixed = json!({
        "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "RequireDualStack",
    });
    #[rustfmt::skip]
    let cases = [
        ("s116_secondary_cluster_ip", fixed.clone(), json!({"clusterIPs": ["10.96.0.9"]}),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary cluster IP"),
        ("s116_secondary_family", fixed, json!({"ipFamilies": ["IPv4"]}),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary IP family"),
    ];
    for (id, spec, patch, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(patched(&dual(), spec, patch)), [expected], "{id}");
    }
}
