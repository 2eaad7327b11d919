//! Node ports and health-check node ports.

use super::*;

fn node_ports(object: &Value) -> Vec<i64> {
    let ports = object["spec"]["ports"].as_array().unwrap();
    ports.iter().map(|port| port["nodePort"].as_i64().unwrap_or(0)).collect()
}

#[test]
fn s135_who_gets_node_ports() {
    #[rustfmt::skip]
    let cases = [
        ("s135_node_port",                    json!({"type": "NodePort"}), true),
        ("s135_load_balancer",                json!({"type": "LoadBalancer"}), true),
        ("s135_load_balancer_without",        json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false}), false),
        ("s135_cluster_ip",                   json!({}), false),
    ];
    for (id, spec, expected) in cases {
        println!("case {id}");
        assert_eq!(node_ports(&created(&single(), spec).object)[0] != 0, expected, "{id}");
    }
    let explicit = json!({
        "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
        "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81}],
    });
    let admitted = created(&single(), explicit);
    assert_eq!(node_ports(&admitted.object), [30080, 0], "s135_explicit_numbers_are_honoured");
    assert!(admitted.claims.contains(&Claim::Port(30080)), "{:?}", admitted.claims);
}

#[test]
fn s135_turning_allocation_off() {
    let ports = json!([{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]);
    let old = json!({"type": "LoadBalancer", "ports": ports});
    let kept = patched(&single(), old.clone(), json!({"allocateLoadBalancerNodePorts": false})).unwrap();
    assert_eq!(node_ports(&kept.object), [30080, 30081], "s135_numbers_that_are_sent_stay");

    let omitted = json!([{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81}]);
    let patch = json!({"allocateLoadBalancerNodePorts": false, "ports": omitted});
    let released = patched(&single(), old, patch).unwrap();
    assert_eq!(node_ports(&released.object), [30080, 0], "s135_numbers_that_are_omitted_go");
    assert_eq!(released.releases, [Claim::Port(30081)]);
}

#[test]
fn s136_equal_port_numbers_share_a_node_port() {
    let tcp_and_udp = |tcp: Value, udp: Value| {
        let mut tcp_port = json!({"name": "tcp", "port": 53, "protocol": "TCP"});
        let mut udp_port = json!({"name": "udp", "port": 53, "protocol": "UDP"});
        tcp_port["nodePort"] = tcp;
        udp_port["nodePort"] = udp;
        json!({"type": "NodePort", "ports": [tcp_port, udp_port]})
    };
    let none = Value::Null;
    let both = created(&single(), tcp_and_udp(none.clone(), none.clone()));
    let numbers = node_ports(&both.object);
    assert_eq!(numbers[0], numbers[1], "s136_automatic");
    assert_eq!(both.claims.iter().filter(|claim| matches!(claim, Claim::Port(_))).count(), 1);

    let first = created(&single(), tcp_and_udp(json!(30053), none.clone())).object;
    assert_eq!(node_ports(&first), [30053, 30053], "s136_explicit_on_the_first");
    let second = created(&single(), tcp_and_udp(none, json!(30053))).object;
    assert_eq!(node_ports(&second), [30053, 30053], "s136_explicit_on_the_second");
    let different = created(&single(), tcp_and_udp(json!(30053), json!(30054))).object;
    assert_eq!(node_ports(&different), [30053, 30054], "s136_both_explicit");
}

#[test]
fn s136_a_node_port_is_shared_only_if_it_is_free_for_the_protocol() {
    let ports = json!([
        {"name": "a", "port": 53, "protocol": "TCP", "nodePort": 30053},
        {"name": "b", "port": 53, "protocol": "UDP"},
        {"name": "c", "port": 54, "protocol": "UDP", "nodePort": 30054},
    ]);
    let object = created(&single(), json!({"type": "NodePort", "ports": ports})).object;
    assert_eq!(node_ports(&object), [30053, 30053, 30054]);

    // The number is the other UDP port's, so the automatic one must be another. Claiming it twice is refused (S-137).
    let ports = json!([
        {"name": "a", "port": 53, "protocol": "TCP", "nodePort": 30053},
        {"name": "b", "port": 53, "protocol": "UDP"},
        {"name": "c", "port": 54, "protocol": "UDP", "nodePort": 30053},
    ]);
    assert_eq!(
        mistakes(Service.create(service(json!({"type": "NodePort", "ports": ports})), &single().context())),
        ["spec.ports[2].nodePort: Invalid value: 30053: provided port is already allocated"],
    );
}

#[test]
fn s136_updates_handle_ports_one_by_one() {
    let old = json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30080}]});
    let tcp_and_udp = json!([
        {"name": "a", "port": 80, "protocol": "TCP", "nodePort": 30080},
        {"name": "b", "port": 80, "protocol": "UDP"},
    ]);
    let admitted = patched(&single(), old.clone(), json!({"ports": tcp_and_udp})).unwrap();
    let numbers = node_ports(&admitted.object);
    assert_eq!(numbers[0], 30080, "s136_numbers_of_the_old_object_stay");
    assert_ne!(numbers[1], 30080, "s136_equal_ports_are_not_shared_on_update");
    assert_eq!(admitted.claims.len(), 1);

    let moved = json!([{"name": "a", "port": 80, "nodePort": 30090}]);
    let admitted = patched(&single(), old, json!({"ports": moved})).unwrap();
    assert_eq!((admitted.claims, admitted.releases), (vec![Claim::Port(30090)], vec![Claim::Port(30080)]));
}

#[test]
fn s137_node_ports_that_cannot_be_allocated() {
    let cluster = single().taking(&[], &[30080]);
    #[rustfmt::skip]
    let cases = [
        ("s137_already_allocated", json!([{"port": 80, "nodePort": 30080}]),
            "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"),
        ("s137_for_any_protocol", json!([{"port": 80, "protocol": "UDP", "nodePort": 30080}]),
            "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"),
        ("s137_out_of_range", json!([{"port": 80, "nodePort": 80}]),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"),
        ("s137_negative", json!([{"port": 80, "nodePort": -1}]),
            "spec.ports[0].nodePort: Invalid value: -1: provided port is not in the valid range. The range of valid ports is 30000-32767"),
        ("s137_beyond_16_bits", json!([{"port": 80, "nodePort": 95616}]),
            "spec.ports[0].nodePort: Invalid value: 95616: provided port is not in the valid range. The range of valid ports is 30000-32767"),
        ("s137_twice_in_one_service", json!([{"name": "a", "port": 80, "nodePort": 30081}, {"name": "b", "port": 81, "protocol": "UDP", "nodePort": 30081}]),
            "spec.ports[1].nodePort: Invalid value: 30081: provided port is already allocated"),
    ];
    for (id, ports, expected) in cases {
        println!("case {id}");
        let new = service(json!({"type": "NodePort", "ports": ports}));
        assert_eq!(mistakes(Service.create(new, &cluster.context())), [expected], "{id}");
    }
}

#[test]
fn s137_health_check_ports_fail_as_internal_errors() {
    let local = |number: Option<u16>| {
        let mut spec =
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": false});
        spec["healthCheckNodePort"] = json!(number);
        service(spec)
    };
    let cluster = single().taking(&[], &[30080]);
    #[rustfmt::skip]
    let cases = [
        ("s137_taken", local(Some(30080)),
            "failed to allocate requested HealthCheck NodePort 30080: provided port is already allocated"),
        ("s137_out_of_range", local(Some(80)),
            "failed to allocate requested HealthCheck NodePort 80: provided port is not in the valid range. The range of valid ports is 30000-32767"),
    ];
    for (id, new, expected) in cases {
        println!("case {id}");
        assert_eq!(
            Service.create(new, &cluster.context()).unwrap_err(),
            Refusal::Internal(expected.to_owned()),
            "{id}"
        );
    }
    let full = Cluster { node_ports: Some(30080..=30080), ..cluster };
    let refusal = Service.create(local(None), &full.context()).unwrap_err();
    assert!(matches!(refusal, Refusal::Internal(_)), "s137_no_port_left: {refusal:?}");
    let refusal = Service.create(service(json!({"type": "NodePort"})), &full.context()).unwrap_err();
    let why = "failed to allocate a nodePort: range is full (30080-30080): delete a Service with node ports or widen \
               --service-node-port-range";
    assert_eq!(refusal, Refusal::Internal(why.to_owned()));
}

#[test]
fn s138_automatic_node_ports_leave_the_lower_band_free() {
    for seed in 0..50 {
        let cluster = single();
        let context = Context { seed, ..cluster.context() };
        let object = Service.create(service(json!({"type": "NodePort"})), &context).unwrap().object;
        assert!((30086..=32767).contains(&node_ports(&object)[0]), "{:?}", node_ports(&object));
    }
}

#[test]
fn s137_node_ports_and_health_check_ports_share_a_pool() {
    let new = service(json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30080,
        "ports": [{"port": 80, "nodePort": 30080}],
    }));
    let refusal = Service.create(new, &single().context()).unwrap_err();
    assert!(matches!(refusal, Refusal::Internal(_)), "{refusal:?}");
}
