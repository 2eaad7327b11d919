//! What is refused, and in which words.

use super::*;

/// A Service that is refused for exactly these mistakes when it is created on a dual-stack cluster.
fn check(id: &str, spec: Value, expected: &[&str]) {
    assert_eq!(mistakes(Service.create(service(spec), &dual().context())), expected, "{id}");
}

#[test]
fn s120_addresses_and_families() {
    #[rustfmt::skip]
    let cases = [
        ("s120_first_must_match", json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]}),
            vec!["spec.clusterIPs: Invalid value: [\"10.96.0.8\"]: first value must match `clusterIP`"]),
        ("s120_at_most_two", json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9", "fd00::a"]}),
            vec!["spec.clusterIPs: Invalid value: [\"10.96.0.9\",\"fd00::9\",\"fd00::a\"]: may only hold up to 2 values",
                "spec.clusterIPs: Invalid value: [\"10.96.0.9\",\"fd00::9\",\"fd00::a\"]: may specify no more than one IP for each IP family"]),
        ("s120_one_per_family", json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "10.96.0.8"]}),
            vec!["spec.clusterIPs: Invalid value: [\"10.96.0.9\",\"10.96.0.8\"]: may specify no more than one IP for each IP family"]),
        ("s120_none_stands_alone", json!({"clusterIP": "None", "clusterIPs": ["None", "10.96.0.9"]}),
            vec!["spec.clusterIPs: Invalid value: [\"None\",\"10.96.0.9\"]: 'None' must be the first and only value"]),
        ("s120_none_not_second", json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "None"]}),
            vec!["spec.clusterIPs[1]: Invalid value: \"None\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        ("s120_not_an_address", json!({"clusterIP": "10.96.0.256"}),
            vec!["spec.clusterIPs[0]: Invalid value: \"10.96.0.256\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        ("s120_headless_node_port", json!({"type": "NodePort", "clusterIP": "None"}),
            vec!["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]),
        ("s120_headless_load_balancer", json!({"type": "LoadBalancer", "clusterIP": "None"}),
            vec!["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"]),
        ("s120_external_name_has_no_addresses",
            json!({"type": "ExternalName", "externalName": "example.com", "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}),
            vec!["spec.clusterIPs: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services"]),
        ("s120_duplicate_families", json!({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "RequireDualStack"}),
            vec!["spec.ipFamilies[1]: Duplicate value: \"IPv4\""]),
        ("s120_unknown_family", json!({"ipFamilies": ["IPv5"]}),
            vec!["spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\""]),
        ("s120_unknown_policy", json!({"ipFamilyPolicy": "Both"}),
            vec!["spec.ipFamilyPolicy: Unsupported value: \"Both\": supported values: \"PreferDualStack\", \"RequireDualStack\", \"SingleStack\""]),
        ("s120_unknown_type", json!({"type": "Ingress"}),
            vec!["spec.type: Unsupported value: \"Ingress\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""]),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        check(id, spec, &expected);
    }
}

#[test]
fn s122_names() {
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let long = "a".repeat(64);
    #[rustfmt::skip]
    let cases: [(&str, &str, Vec<String>); 7] = [
        ("s122_plain", "web", vec![]),
        ("s122_a_digit_may_come_first", "1web", vec![]),
        ("s122_63_characters", &long[..63], vec![]),
        ("s122_64_characters", &long, vec![format!("metadata.name: Invalid value: \"{long}\": must be no more than 63 bytes")]),
        ("s122_no_dots", "a.b", vec![format!("metadata.name: Invalid value: \"a.b\": {LABEL}")]),
        ("s122_no_capitals", "Web", vec![format!("metadata.name: Invalid value: \"Web\": {LABEL}")]),
        ("s122_no_hyphen_at_the_end", "web-", vec![format!("metadata.name: Invalid value: \"web-\": {LABEL}")]),
    ];
    for (id, name, expected) in cases {
        println!("case {id}");
        let mut new = service(json!({}));
        new["metadata"]["name"] = json!(name);
        let result = Service.create(new, &dual().context());
        let found = if expected.is_empty() { result.map(|_| Vec::new()).unwrap() } else { mistakes(result) };
        assert_eq!(found, expected, "{id}");
    }
    let mut old = created(&dual(), json!({})).object;
    old["metadata"]["name"] = json!("Old.Name");
    let again = Service.update(old.clone(), &old, &dual().context());
    assert!(again.is_ok(), "s122_updates_do_not_check_again: {again:?}");
}

#[test]
fn s123_ports() {
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let bad_name = format!("spec.ports[0].name: Invalid value: \"A\": {LABEL}");
    #[rustfmt::skip]
    let cases = [
        ("s123_required", json!({"ports": []}), vec!["spec.ports: Required value"]),
        ("s123_names_required_with_several", json!({"ports": [{"port": 80}, {"name": "b", "port": 81}]}),
            vec!["spec.ports[0].name: Required value"]),
        ("s123_names_are_labels", json!({"ports": [{"name": "A", "port": 80}]}), vec![bad_name.as_str()]),
        ("s123_names_are_unique", json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}),
            vec!["spec.ports[1].name: Duplicate value: \"a\""]),
        ("s123_number_too_large", json!({"ports": [{"port": 70000, "targetPort": 80}]}),
            vec!["spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"]),
        ("s123_number_missing", json!({"ports": [{"targetPort": 80}]}),
            vec!["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
        ("s123_protocol", json!({"ports": [{"port": 80, "protocol": "X"}]}),
            vec!["spec.ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""]),
        ("s123_target_number", json!({"ports": [{"port": 80, "targetPort": 65536}]}),
            vec!["spec.ports[0].targetPort: Invalid value: 65536: must be between 1 and 65535, inclusive"]),
        ("s123_target_name_too_long", json!({"ports": [{"port": 80, "targetPort": "a-name-of-16-cha"}]}),
            vec!["spec.ports[0].targetPort: Invalid value: \"a-name-of-16-cha\": must be no more than 15 bytes"]),
        ("s123_target_name_without_letter", json!({"ports": [{"port": 80, "targetPort": "80"}]}),
            vec!["spec.ports[0].targetPort: Invalid value: \"80\": must contain at least one letter (a-z)"]),
        ("s123_target_name_with_two_hyphens", json!({"ports": [{"port": 80, "targetPort": "a--b"}]}),
            vec!["spec.ports[0].targetPort: Invalid value: \"a--b\": must not contain consecutive hyphens"]),
        ("s123_duplicate_port", json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}),
            vec!["spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"]),
        ("s123_node_port_on_cluster_ip", json!({"ports": [{"port": 80, "nodePort": 30080}]}),
            vec!["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        check(id, spec, &expected);
    }
}

#[test]
fn s123_duplicate_node_ports_of_one_protocol() {
    let old = json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30080}]});
    let ports = json!([{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30080}]);
    assert_eq!(
        mistakes(patched(&dual(), old, json!({"ports": ports}))),
        ["spec.ports[1].nodePort: Duplicate value: 30080"],
    );
}

#[test]
fn s123_what_needs_no_ports() {
    for spec in [
        json!({"ports": [], "clusterIP": "None"}),
        json!({"ports": [], "type": "ExternalName", "externalName": "example.com"}),
        json!({"ports": [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]}),
    ] {
        created(&dual(), spec);
    }
}

#[test]
fn s124_application_protocols() {
    for name in ["http", "kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss", "example.com/My_Proto"] {
        created(&dual(), json!({"ports": [{"port": 80, "appProtocol": name}]}));
    }
    check(
        "s124_no_prefix",
        json!({"ports": [{"port": 80, "appProtocol": "/ws"}]}),
        &["spec.ports[0].appProtocol: Invalid value: \"/ws\": prefix part must be non-empty"],
    );
}

#[test]
fn s125_selectors_are_labels() {
    let selector = json!({"app": "a b"});
    check(
        "s125_value",
        json!({"selector": selector}),
        &[
            "spec.selector: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ],
    );
    // An empty selector is none at all once it was stored (S-201).
    expect("s125_empty", &created(&dual(), json!({"selector": {}})).object, &json!({"selector": null}));
}

#[test]
fn s126_session_affinity() {
    #[rustfmt::skip]
    let cases = [
        ("s126_unknown", json!({"sessionAffinity": "Cookie"}),
            vec!["spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \"None\""]),
        ("s126_zero", json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}),
            vec!["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400"]),
        ("s126_more_than_a_day", json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}),
            vec!["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400"]),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        check(id, spec, &expected);
    }
    created(
        &dual(),
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}),
    );
    created(
        &dual(),
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}}),
    );
    // Defaulting (S-111) hides these two from clients; the rules stand for themselves.
    let with = |affinity: &str, config| Spec {
        r#type: "ClusterIP".to_owned(),
        cluster_ip: "None".to_owned(),
        cluster_ips: vec!["None".to_owned()],
        internal_traffic_policy: Some("Cluster".to_owned()),
        session_affinity: affinity.to_owned(),
        session_affinity_config: config,
        ..Spec::default()
    };
    let of = |spec: Spec| {
        let mut found = Mistakes::default();
        crate::service::validate::check(&json!({}), &spec, None, &mut found);
        mistakes(found.result())
    };
    assert_eq!(
        of(with("None", Some(spec::SessionAffinityConfig::default()))),
        ["spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None"],
    );
    assert_eq!(
        of(with("ClientIP", None)),
        ["spec.sessionAffinityConfig: Required value: when session affinity type is ClientIP"],
    );
}

#[test]
fn s127_external_ips() {
    #[rustfmt::skip]
    let cases = [
        ("s127_not_an_address", "host", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("s127_unspecified_v4", "0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("s127_unspecified_v6", "::", "may not be unspecified (::)"),
        ("s127_loopback_v4", "127.0.0.2", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("s127_loopback_v6", "::1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("s127_link_local_v4", "169.254.169.254", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("s127_link_local_v6", "fe80::1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("s127_link_local_multicast_v4", "224.0.0.5", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("s127_link_local_multicast_v6", "ff02::1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    for (id, address, detail) in cases {
        println!("case {id}");
        let expected = format!("spec.externalIPs[0]: Invalid value: \"{address}\": {detail}");
        check(id, json!({"externalIPs": [address]}), &[&expected]);
    }
    // The family is not tied to the Service's.
    created(&single(), json!({"externalIPs": ["2001:db8::1", "192.0.2.1"]}));
}

#[test]
fn s128_external_names() {
    let name = |name: &str| json!({"type": "ExternalName", "externalName": name});
    for accepted in ["example.com", "example.com.", "192.0.2.1"] {
        created(&dual(), name(accepted));
    }
    check("s128_required", name(""), &["spec.externalName: Required value"]);
    check("s128_only_a_dot", name("."), &["spec.externalName: Required value"]);
    assert_eq!(mistakes(Service.create(service(name("a..b")), &dual().context())).len(), 1, "s128_not_a_name");
    assert_eq!(mistakes(Service.create(service(name("example.com..")), &dual().context())).len(), 1, "s128_two_dots");
}

#[test]
fn s129_source_ranges() {
    let annotated = |list: &str, r#type: &str| {
        let mut new = service(json!({"type": r#type}));
        new["metadata"]["annotations"] = json!({"service.beta.kubernetes.io/load-balancer-source-ranges": list});
        Service.create(new, &dual().context())
    };
    created(&dual(), json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [" 192.0.2.0/24 ", "2001:db8::/32"]}));
    annotated(" 192.0.2.0/24 , 198.51.100.0/24", "LoadBalancer").unwrap();
    annotated(" ", "LoadBalancer").unwrap();
    check(
        "s129_only_for_load_balancers",
        json!({"loadBalancerSourceRanges": ["192.0.2.0/24"]}),
        &["spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    );
    check(
        "s129_not_a_range",
        json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24", "192.0.2.1"]}),
        &[
            "spec.LoadBalancerSourceRanges[1]: Invalid value: \"192.0.2.1\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    );
    let field = "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]";
    assert_eq!(
        mistakes(annotated("192.0.2.0/24", "ClusterIP")),
        [format!("{field}: Forbidden: may only be used when `type` is 'LoadBalancer'")],
        "s129_annotation"
    );
    assert_eq!(
        mistakes(annotated("192.0.2.0/24,x", "LoadBalancer")),
        [format!("{field}: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")],
        "s129_annotation_not_a_range"
    );
}

#[test]
fn s130_load_balancer_fields() {
    check(
        "s130_allocation_off_load_balancers",
        json!({"allocateLoadBalancerNodePorts": true}),
        &["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    );
    check(
        "s130_class_off_load_balancers",
        json!({"loadBalancerClass": "example.com/lb"}),
        &["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    );
    check(
        "s130_class_is_a_qualified_name",
        json!({"type": "LoadBalancer", "loadBalancerClass": "/lb"}),
        &["spec.loadBalancerClass: Invalid value: \"/lb\": prefix part must be non-empty"],
    );
    created(&dual(), json!({"type": "LoadBalancer", "loadBalancerClass": "internal-vip"}));
}

#[test]
fn s131_traffic_policies() {
    #[rustfmt::skip]
    let cases = [
        ("s131_external_of_an_inner_service", json!({"externalTrafficPolicy": "Local"}),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services"),
        ("s131_unknown_external", json!({"type": "NodePort", "externalTrafficPolicy": "Nearest"}),
            "spec.externalTrafficPolicy: Unsupported value: \"Nearest\": supported values: \"Cluster\", \"Local\""),
        ("s131_unknown_internal", json!({"internalTrafficPolicy": "Nearest"}),
            "spec.internalTrafficPolicy: Unsupported value: \"Nearest\": supported values: \"Cluster\", \"Local\""),
        ("s131_health_check_of_a_node_port", json!({"type": "NodePort", "healthCheckNodePort": 30099}),
            "spec.healthCheckNodePort: Invalid value: 30099: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"),
        ("s131_health_check_of_cluster_policy", json!({"type": "LoadBalancer", "healthCheckNodePort": 30099}),
            "spec.healthCheckNodePort: Invalid value: 30099: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        check(id, spec, &[expected]);
    }
    created(&dual(), json!({"externalIPs": ["192.0.2.1"], "externalTrafficPolicy": "Local"}));
}

#[test]
fn s132_traffic_distribution() {
    for known in ["PreferClose", "PreferSameZone", "PreferSameNode"] {
        created(&dual(), json!({"trafficDistribution": known}));
    }
    check(
        "s132_unknown",
        json!({"trafficDistribution": "Nearest"}),
        &[
            "spec.trafficDistribution: Unsupported value: \"Nearest\": supported values: \"PreferClose\", \"PreferSameNode\", \"PreferSameZone\"",
        ],
    );
    let mut new = service(json!({}));
    new["metadata"]["annotations"] = json!({
        "service.kubernetes.io/topology-mode": "Auto", "service.kubernetes.io/topology-aware-hints": "Disabled",
    });
    assert_eq!(
        mistakes(Service.create(new, &dual().context())),
        ["metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"Auto\": must match \
          annotations[service.kubernetes.io/topology-aware-hints] when both are specified"],
        "s132_contradicting_annotations",
    );
}

#[test]
fn s134_addresses_must_be_written_plainly() {
    #[rustfmt::skip]
    let cases = [
        ("s134_leading_zeros", json!({"externalIPs": ["192.0.02.1"]}),
            "spec.externalIPs[0]: Invalid value: \"192.0.02.1\": must not have leading 0s"),
        ("s134_mapped", json!({"externalIPs": ["::ffff:192.0.2.1"]}),
            "spec.externalIPs[0]: Invalid value: \"::ffff:192.0.2.1\": must not be an IPv4-mapped IPv6 address"),
        ("s134_leading_zeros_of_cluster_ips", json!({"clusterIP": "010.96.0.9"}),
            "spec.clusterIPs[0]: Invalid value: \"010.96.0.9\": must not have leading 0s"),
        ("s134_leading_zeros_in_a_range", json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.02.0/24"]}),
            "spec.LoadBalancerSourceRanges[0]: Invalid value: \"192.0.02.0/24\": must not have leading 0s in IP"),
        ("s134_leading_zeros_in_a_prefix", json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/024"]}),
            "spec.LoadBalancerSourceRanges[0]: Invalid value: \"192.0.2.0/024\": must not have leading 0s in prefix length"),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        check(id, spec, &[expected]);
    }
}

#[test]
fn s134_stored_values_keep_their_spelling() {
    let mut old = created(&dual(), json!({"externalIPs": ["192.0.2.1"]})).object;
    old["spec"]["externalIPs"] = json!(["192.0.02.1"]);
    let mut new = old.clone();
    new["spec"]["selector"] = json!({"a": "b"});
    let admitted = Service.update(new.clone(), &old, &dual().context()).unwrap();
    expect("s134_grandfathered", &admitted.object, &json!({"externalIPs": ["192.0.02.1"]}));
    new["spec"]["externalIPs"] = json!(["192.0.02.2"]);
    assert!(Service.update(new, &old, &dual().context()).is_err(), "s134_new_values_are_not");
}

#[test]
fn s134_warnings() {
    #[rustfmt::skip]
    let cases = [
        ("s134_nothing_to_warn_of", json!({}), vec![]),
        ("s134_not_canonical", json!({"clusterIP": "FD00::9"}),
            vec!["spec.clusterIPs[0]: IPv6 address \"FD00::9\" should be in RFC 5952 canonical format (\"fd00::9\")"]),
        ("s134_headless", json!({"clusterIP": "None", "loadBalancerIP": "192.0.2.1", "sessionAffinity": "ClientIP"}),
            vec!["spec.loadBalancerIP is ignored when spec.clusterIP is \"None\"",
                "spec.SessionAffinity is ignored when spec.clusterIP is \"None\""]),
        ("s134_external_name_of_another_type", json!({"externalName": "example.com"}),
            vec!["spec.externalName is ignored when spec.type is not \"ExternalName\""]),
        ("s134_range_with_host_bits", json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.7/24"]}),
            vec!["spec.loadBalancerSourceRanges[0]: CIDR value \"192.0.2.7/24\" is ambiguous in this context (should be \"192.0.2.0/24\" or \"192.0.2.7/32\"?)"]),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        assert_eq!(created(&dual(), spec).warnings, expected, "{id}");
    }
    let warnings = |spec| created(&dual(), spec).warnings.join("\n");
    assert!(warnings(json!({"externalIPs": ["192.0.2.1"]})).contains("spec.externalIPs is deprecated"));
    assert!(warnings(json!({"trafficDistribution": "PreferClose"})).contains("PreferSameZone"));
    let mut new = service(json!({}));
    new["metadata"]["annotations"] = json!({"service.kubernetes.io/topology-aware-hints": "Auto"});
    assert_eq!(
        Service.create(new, &dual().context()).unwrap().warnings,
        [
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"
        ],
    );
}

#[test]
fn s102_wrong_types_and_unknown_fields() {
    let refusal = Service.create(service(json!({"ports": [{"port": "80"}]})), &dual().context()).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::BadRequest(
            "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal string into Go struct \
             field ServicePort.spec.ports.port of type int32"
                .to_owned()
        ),
    );
    let mut new = service(json!({"colour": "red", "ports": [{"port": 80, "nodeport": 1}]}));
    crate::conform(&Service, &mut new).unwrap();
    assert_eq!(new["spec"], json!({"ports": [{"port": 80}]}));
}
