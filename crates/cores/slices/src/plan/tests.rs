use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::fixture::{apply, node, not_ready, plan, plan_with, pod, pods, service, slices_of};

/// The addresses in a slice, in order.
fn addresses(slice: &EndpointSlice) -> Vec<&str> {
    slice.endpoints.iter().map(|endpoint| endpoint.addresses[0].as_str()).collect()
}

#[test]
fn s201_services_without_a_selector_are_left_alone() {
    let slices = slices_of(&service(json!({})), &pods(1));
    let check = |id: &str, patch: Value| {
        let mut other = service(patch);
        if id != "s201-external-name" {
            other.spec.selector.clear();
        }
        assert_eq!(plan(&other, &pods(2), &slices), SlicePlan::default(), "{id}");
    };
    check("s201-external-name", json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}));
    check("s201-empty-selector", json!({"spec": {"selector": {}}}));
}

#[test]
fn s203_each_family_gets_the_pods_that_have_it() {
    let dual = service(json!({"spec": {"ipFamilies": ["IPv6", "IPv4"]}}));
    let both = pod("a", "10.1.0.1", json!({"status": {"podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::1"}]}}));
    let slices = slices_of(&dual, &[both, pod("b", "10.1.0.2", json!({}))]);
    let of = |family| slices.iter().filter(|slice| slice.address_type == family).map(addresses).collect::<Vec<_>>();
    assert_eq!(of(AddressType::IPv6), [["fd00::1"]]);
    assert_eq!(of(AddressType::IPv4), [["10.1.0.1", "10.1.0.2"]]);
}

#[test]
fn s200_slices_of_a_family_that_the_service_lost_are_deleted() {
    let dual = service(json!({"spec": {"ipFamilies": ["IPv4", "IPv6"]}}));
    let slices = slices_of(&dual, &pods(1));
    let v6 = slices.iter().find(|slice| slice.address_type == AddressType::IPv6).expect("there is a placeholder");
    let plan = plan(&service(json!({})), &pods(1), &slices);
    assert_eq!(plan.delete.len(), 1);
    assert_eq!(plan.delete[0], v6.metadata);
    assert!(plan.create.is_empty() && plan.update.is_empty());
}

#[test]
fn s204_pods_of_missing_nodes_wait() {
    let lost = || pod("lost", "10.1.0.9", json!({"spec": {"nodeName": "n9"}}));
    let unbound = || pod("unbound", "10.1.0.8", json!({"spec": {"nodeName": ""}}));
    let check = |id: &str, publish: bool, expected: &[&str], retry: Option<Retry>| {
        let service = service(json!({"spec": {"publishNotReadyAddresses": publish}}));
        let plan = plan(&service, &[lost(), unbound()], &[]);
        assert_eq!(addresses(&plan.create[0]), expected, "{id}");
        assert_eq!(plan.retry, retry, "{id}");
    };
    let missing = Retry::NodesMissing(vec![("lost".to_owned(), "n9".to_owned())]);
    assert_eq!(missing.to_string(), "1 Pods are on missing Nodes, such as lost on n9");
    check("s204-left-out", false, &["10.1.0.8"], Some(missing));
    check("s204-published", true, &["10.1.0.8", "10.1.0.9"], None);
}

#[test]
fn s207_pods_with_different_ports_live_in_different_slices() {
    let named = service(json!({"spec": {"ports": [{"name": "h", "port": 80, "targetPort": "http"}]}}));
    let with_port = |name: &str, address: &str, number: u16| {
        let containers = json!([{"name": "c", "ports": [{"name": "http", "containerPort": number}]}]);
        pod(name, address, json!({"spec": {"containers": containers}}))
    };
    let pods = [
        with_port("a", "10.1.0.1", 8080),
        with_port("b", "10.1.0.2", 9090),
        with_port("c", "10.1.0.3", 8080),
        pod("d", "10.1.0.4", json!({})),
    ];
    let found: BTreeSet<(Vec<Option<u16>>, Vec<String>)> = slices_of(&named, &pods)
        .iter()
        .map(|slice| {
            let ports = slice.ports.iter().map(|port| port.port).collect();
            (ports, addresses(slice).into_iter().map(str::to_owned).collect())
        })
        .collect();
    let addresses = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expected = BTreeSet::from([
        (vec![Some(8080)], addresses(&["10.1.0.1", "10.1.0.3"])),
        (vec![Some(9090)], addresses(&["10.1.0.2"])),
        (vec![], addresses(&["10.1.0.4"])),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn s207_a_headless_service_without_ports_has_slices_without_ports() {
    let headless = service(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": []}}));
    let slices = slices_of(&headless, &pods(1));
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].ports, []);
    assert_eq!(addresses(&slices[0]), ["10.1.100.100"]);
}

#[test]
fn s208_the_order_of_ports_does_not_matter() {
    let ports = |list: Value| service(json!({"spec": {"ports": list}}));
    let (a, b) = (json!({"name": "a", "port": 1}), json!({"name": "b", "port": 2}));
    let slices = slices_of(&ports(json!([a, b])), &pods(1));
    let mut turned = slices.clone();
    turned[0].ports.reverse();
    assert!(plan(&ports(json!([b, a])), &pods(1), &slices).is_empty());
    assert!(plan(&ports(json!([a, b])), &pods(1), &turned).is_empty());

    let grpc = ports(json!([{"name": "a", "port": 1, "appProtocol": "grpc"}, b]));
    let changed = plan(&grpc, &pods(1), &slices);
    assert_eq!(changed.update.len(), 1, "the application protocol is part of the identity");
    assert_eq!(changed.update[0].ports[0].app_protocol.as_deref(), Some("grpc"));
}

#[test]
fn s209_no_endpoints_means_one_placeholder() {
    let web = service(json!({}));
    let created = plan(&web, &[], &[]);
    assert_eq!(created.create.len(), 1);
    assert_eq!((created.create[0].endpoints.len(), created.create[0].ports.len()), (0, 0));

    let slices = slices_of(&web, &pods(250));
    assert_eq!(slices.len(), 3);
    let emptied = plan(&web, &[], &slices);
    assert_eq!((emptied.create.len(), emptied.update.len(), emptied.delete.len()), (0, 1, 2), "one slice is reused");

    let placeholder = apply(emptied, slices);
    assert!(plan(&web, &[], &placeholder).is_empty());
    let filled = plan(&web, &pods(1), &placeholder);
    assert_eq!((filled.create.len(), filled.update.len(), filled.delete.len()), (0, 1, 0), "and filled again");
}

#[test]
fn s210_metadata_is_complete() {
    let web = service(json!({
        "metadata": {"labels": {"team": "x", "kubernetes.io/service-name": "forged",
                                "endpointslice.kubernetes.io/managed-by": "forged",
                                "service.kubernetes.io/headless": "forged"},
                     "annotations": {"note": "not copied"}},
    }));
    let created = plan(&web, &[], &[]).create.remove(0);
    let expected = json!({
        "metadata": {
            "generateName": "web-",
            "namespace": "default",
            "labels": {"team": "x", "kubernetes.io/service-name": "web",
                       "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "uid-web",
                                 "controller": true, "blockOwnerDeletion": true}],
        },
        "addressType": "IPv4",
        "endpoints": [],
        "ports": [],
    });
    assert_eq!(serde_json::to_value(created).expect("slices encode"), expected);
}

#[test]
fn s210_a_long_name_leaves_room_for_the_servers_suffix() {
    let long = service(json!({"metadata": {"name": "a".repeat(63)}}));
    assert_eq!(plan(&long, &[], &[]).create[0].metadata.generate_name, "a".repeat(58));
}

#[test]
fn s210_labels_follow_the_service() {
    let headless = service(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}));
    let slices = slices_of(&headless, &pods(1));
    assert_eq!(slices[0].metadata.labels.get("service.kubernetes.io/headless").map(String::as_str), Some(""));

    let plan = plan(&service(json!({"metadata": {"labels": {"new": "1"}}})), &pods(1), &slices);
    assert_eq!(plan.update.len(), 1);
    let labels = &plan.update[0].metadata.labels;
    assert!(!labels.contains_key("service.kubernetes.io/headless"));
    assert_eq!(labels.get("new").map(String::as_str), Some("1"));
}

#[test]
fn s211_the_trigger_time_is_written_and_taken_away_with_the_next_write() {
    let web = service(json!({}));
    let (node, pods) = (node(), pods(1));
    let pods: Vec<&Pod> = pods.iter().collect();
    let written = |existing: &[&EndpointSlice], pods: &[&Pod], trigger: Option<&str>| {
        let nodes = |_: &str| Some(&node);
        let inputs = Inputs { service: &web, pods, nodes: &nodes, existing, trigger, slice_len_max: 100 };
        plan_slices(&inputs)
    };
    let created = apply(written(&[], &pods, Some("2026-01-01T00:00:00.5Z")), Vec::new());
    let note = |slice: &EndpointSlice| slice.metadata.annotations.get(crate::LAST_CHANGE_TRIGGER_TIME).cloned();
    assert_eq!(note(&created[0]).as_deref(), Some("2026-01-01T00:00:00.5Z"));
    assert!(written(&[&created[0]], &pods, Some("2026-01-02T00:00:00Z")).is_empty(), "a time alone writes nothing");
    let emptied = written(&[&created[0]], &[], None);
    assert_eq!(note(&emptied.update[0]), None);
}

#[test]
fn s212_the_slice_length_stays_within_the_apis_limit() {
    let lengths = |len_max: usize| {
        let plan = plan_with(&service(json!({})), &pods(1500), &[], len_max);
        plan.create.iter().map(|slice| slice.endpoints.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(5000), [1000, 500]);
    assert_eq!(lengths(0).len(), 1500);
}

#[test]
fn s213_one_pod_that_flips_rewrites_one_slice_of_fifty() {
    let web = service(json!({}));
    let mut pods = pods(5000);
    let slices = slices_of(&web, &pods);
    assert_eq!(slices.len(), 50);
    pods[2345] = pod("p2345", "10.1.123.145", not_ready());
    let plan = plan(&web, &pods, &slices);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    let flipped = plan.update[0].endpoints.iter().filter(|endpoint| endpoint.conditions.ready == Some(false)).count();
    assert_eq!(flipped, 1);
}

#[test]
fn s213_rolling_a_thousand_pods_repacks_as_it_goes() {
    let web = service(json!({}));
    let old = pods(1000);
    let mut slices = slices_of(&web, &old);
    let mut current = old;
    let mut writes = 0;
    for step in 0..100 {
        let fresh = |n: usize| pod(&format!("q{:04}", step * 10 + n), &format!("10.2.{step}.{}", n + 1), json!({}));
        current.drain(..10);
        current.extend((0..10).map(fresh));
        let plan = plan(&web, &current, &slices);
        writes += plan.create.len() + plan.update.len() + plan.delete.len();
        slices = apply(plan, slices);
    }
    assert_eq!(slices.len(), 10);
    assert_eq!(writes, 100, "ten vanish from one slice and ten take their places");
}

#[test]
fn s214_nothing_is_created_while_the_service_is_deleting() {
    let deleting = service(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    assert!(plan(&deleting, &pods(1), &[]).is_empty());
}

#[test]
fn s214_a_deletion_and_a_creation_become_an_update() {
    let slices = slices_of(&service(json!({})), &pods(3));
    let moved = service(json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}));
    let plan = plan(&moved, &pods(3), &slices);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    let update = &plan.update[0].metadata;
    let old = &slices[0].metadata;
    assert_eq!((&update.name, &update.uid, &update.resource_version), (&old.name, &old.uid, &old.resource_version));
}

#[test]
fn s217_edited_slices_are_restored() {
    let web = service(json!({}));
    let slices = slices_of(&web, &pods(2));
    let check = |id: &str, edit: fn(&mut EndpointSlice)| {
        let mut edited = slices.clone();
        edit(&mut edited[0]);
        let plan = plan(&web, &pods(2), &edited);
        assert_eq!(plan.update.len(), 1, "{id}");
        assert_eq!(plan.update[0].endpoints, slices[0].endpoints, "{id}");
        assert_eq!(plan.update[0].ports, slices[0].ports, "{id}");
        assert_eq!(plan.update[0].metadata.labels, slices[0].metadata.labels, "{id}");
    };
    check("s217-condition", |slice| slice.endpoints[0].conditions.ready = None);
    check("s217-address", |slice| slice.endpoints[1].addresses[0] = "10.9.9.9".to_owned());
    check("s217-port", |slice| slice.ports[0].port = Some(1));
    check("s217-label", |slice| drop(slice.metadata.labels.insert("x".to_owned(), String::new())));
    check("s217-hint", |slice| slice.endpoints[0].hints = Some(api::EndpointHints::default()));
    check("s217-emptied", |slice| slice.endpoints.clear());
}

#[test]
fn s217_slices_of_others_are_never_touched() {
    let web = service(json!({}));
    let mut foreign = slices_of(&web, &pods(2)).remove(0);
    foreign.metadata.labels.insert(MANAGED_BY_LABEL.to_owned(), "somebody".to_owned());
    let plan = plan(&web, &pods(1), &[foreign]);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (1, 0, 0));
}

#[test]
fn slices_of_an_earlier_service_of_the_name_are_deleted_not_rewritten() {
    let slices = slices_of(&service(json!({"metadata": {"uid": "uid-earlier"}})), &pods(1));
    let plan = plan(&service(json!({})), &pods(1), &slices);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (1, 0, 1));
}

#[test]
fn slices_that_are_being_deleted_are_replaced() {
    let web = service(json!({}));
    let mut slices = slices_of(&web, &pods(1));
    slices[0].metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
    let plan = plan(&web, &pods(1), &slices);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (1, 0, 0));
}

#[test]
fn s223_hints_go_with_the_traffic_distribution() {
    let slices = slices_of(&service(json!({"spec": {"trafficDistribution": "PreferSameZone"}})), &pods(2));
    assert!(slices[0].endpoints.iter().all(|endpoint| endpoint.hints.is_some()));
    let plan = plan(&service(json!({})), &pods(2), &slices);
    assert_eq!(plan.update.len(), 1);
    assert!(plan.update[0].endpoints.iter().all(|endpoint| endpoint.hints.is_none()));
}

#[test]
fn s110_families_that_no_server_filled_in_follow_from_the_cluster_ips() {
    let check = |id: &str, spec: Value, expected: &[AddressType]| {
        assert_eq!(address_types(&service(json!({"spec": spec}))), expected, "{id}");
    };
    let (v4, v6) = (AddressType::IPv4, AddressType::IPv6);
    check("s110-given", json!({"ipFamilies": ["IPv6", "IPv4"]}), &[v6, v4]);
    check("s110-given-twice", json!({"ipFamilies": ["IPv4", "IPv6", "IPv4"]}), &[v4, v6]);
    check("s110-one-address", json!({"ipFamilies": []}), &[v4]);
    check("s110-two", json!({"ipFamilies": [], "clusterIPs": ["10.0.0.1", "fd00::1"]}), &[v4, v6]);
    check("s110-headless", json!({"ipFamilies": [], "clusterIP": "None", "clusterIPs": ["None"]}), &[v4, v6]);
}

#[test]
fn s207_ports_stand_in_the_services_order() {
    let ports = json!([{"name": "z", "port": 1}, {"name": "a", "port": 2}]);
    let slices = slices_of(&service(json!({"spec": {"ports": ports}})), &pods(1));
    let names: Vec<Option<&str>> = slices[0].ports.iter().map(|port| port.name.as_deref()).collect();
    assert_eq!(names, [Some("z"), Some("a")]);
}
