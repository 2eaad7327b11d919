//! Whatever Pods there are and whatever slices somebody left behind: one plan makes them right, the next is empty.

use std::collections::{BTreeMap, BTreeSet};

use api::AddressType;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixture::{apply, merge, not_ready, plan_with, pod, service};

/// A Pod by number: which families it has, whether it is ready, deleting, of a missing node, what it calls its port.
fn any_pod() -> impl Strategy<Value = Pod> {
    (0u8..40, 0u8..4, any::<bool>(), any::<bool>(), 0u8..8, 0u8..3).prop_map(
        |(number, families, ready, deleting, node, port)| {
            let mut ips = Vec::new();
            if families & 1 == 0 {
                ips.push(json!({"ip": format!("10.1.0.{number}")}));
            }
            if families & 2 == 0 {
                ips.push(json!({"ip": format!("fd00::1:{number:x}")}));
            }
            let mut patch = json!({
                "spec": {"nodeName": if node == 0 { "missing" } else { "n1" }},
                "status": {"podIP": "", "podIPs": ips},
            });
            if port > 0 {
                let ports = json!([{"name": "http", "containerPort": 8000 + u16::from(port)}]);
                patch = merge(patch, json!({"spec": {"containers": [{"name": "c", "ports": ports}]}}));
            }
            if !ready {
                patch = merge(patch, not_ready());
            }
            if deleting {
                patch = merge(patch, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
            }
            pod(&format!("p{number}"), "", patch)
        },
    )
}

fn any_pods() -> impl Strategy<Value = Vec<Pod>> {
    prop::collection::vec(any_pod(), 0..40).prop_map(|pods| {
        let by_name: BTreeMap<String, Pod> = pods.into_iter().map(|pod| (pod.metadata.name.clone(), pod)).collect();
        by_name.into_values().collect()
    })
}

/// A slice that somebody left behind: endpoints that may or may not exist, wrong ports, labels and owners.
fn any_slice() -> impl Strategy<Value = EndpointSlice> {
    let endpoint = (0u8..60, any::<bool>()).prop_map(|(number, stale)| {
        json!({
            "addresses": [format!("10.1.0.{number}")],
            "conditions": {"ready": stale},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("p{number}")},
        })
    });
    let family = prop::sample::select(vec!["IPv4", "IPv6", "FQDN"]);
    (prop::collection::vec(endpoint, 0..8), 0u16..3, family, any::<bool>(), any::<bool>()).prop_map(
        |(endpoints, port, family, owned, labelled)| {
            let mut labels = json!({"endpointslice.kubernetes.io/managed-by": MANAGED_BY});
            if labelled {
                labels = merge(labels, json!({"kubernetes.io/service-name": "web"}));
            }
            let ports = json!([{"name": "", "protocol": "TCP", "port": 8000 + port}]);
            serde_json::from_value(json!({
                "metadata": {
                    "namespace": "default",
                    "labels": labels,
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web",
                                         "uid": if owned { "uid-web" } else { "uid-old" }}],
                },
                "addressType": family,
                "endpoints": endpoints,
                "ports": if port == 0 { json!([]) } else { ports },
            }))
            .expect("the fixture is a slice")
        },
    )
}

fn any_slices() -> impl Strategy<Value = Vec<EndpointSlice>> {
    prop::collection::vec(any_slice(), 0..6).prop_map(|mut slices| {
        for (index, slice) in slices.iter_mut().enumerate() {
            slice.metadata.name = format!("web-{index}");
            slice.metadata.uid = format!("left-{index}");
            slice.metadata.resource_version = "1".to_owned();
        }
        slices
    })
}

fn dual() -> Service {
    service(json!({"spec": {"ipFamilies": ["IPv4", "IPv6"], "ports": [{"port": 80, "targetPort": "http"}]}}))
}

/// Addresses of one family, sorted; one that stands in two slices counts twice.
fn listed(slices: &[EndpointSlice], family: AddressType) -> Vec<String> {
    let of_family = slices.iter().filter(|slice| slice.address_type == family);
    let mut found: Vec<String> =
        of_family.flat_map(|slice| &slice.endpoints).flat_map(|endpoint| endpoint.addresses.clone()).collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_plan_converges_from_any_slices(pods in any_pods(), left in any_slices(), len_max in 1usize..6) {
        let slices = apply(plan_with(&dual(), &pods, &left, len_max), left);
        let again = plan_with(&dual(), &pods, &slices, len_max);
        prop_assert!(again.is_empty(), "a second plan writes {again:?}");

        for family in [AddressType::IPv4, AddressType::IPv6] {
            let on_nodes = pods.iter().filter(|pod| pod.spec.node_name == "n1");
            let mut expected: Vec<String> = on_nodes
                .flat_map(|pod| &pod.status.pod_ips)
                .map(|entry| entry.ip.clone())
                .filter(|ip| ip.contains(':') == (family == AddressType::IPv6))
                .collect();
            expected.sort();
            prop_assert_eq!(listed(&slices, family), expected, "each candidate appears once");
        }
        let empty = |slice: &&EndpointSlice| slice.endpoints.is_empty();
        for family in [AddressType::IPv4, AddressType::IPv6] {
            let of_family: Vec<&EndpointSlice> =
                slices.iter().filter(|slice| slice.address_type == family).collect();
            let empty = of_family.iter().copied().filter(empty).count();
            prop_assert!(empty == 0 || of_family.len() == 1, "an empty slice is the only one of its family");
            prop_assert!(!of_family.is_empty(), "each family has a slice");
        }
    }

    #[test]
    fn the_order_of_inputs_changes_nothing(pods in any_pods(), left in any_slices()) {
        let reversed = |pods: &[Pod]| pods.iter().rev().cloned().collect::<Vec<_>>();
        let left_reversed: Vec<EndpointSlice> = left.iter().rev().cloned().collect();
        let mut a = plan_with(&dual(), &pods, &left, 3);
        let mut b = plan_with(&dual(), &reversed(&pods), &left_reversed, 3);
        for plan in [&mut a, &mut b] {
            plan.delete.sort_by(|a, b| a.name.cmp(&b.name));
        }
        prop_assert_eq!(a, b);
    }

    #[test]
    fn steps_lead_to_the_endpoints_that_a_single_plan_gives(first in any_pods(), second in any_pods()) {
        let one = apply(plan_with(&dual(), &second, &[], 4), Vec::new());
        let between = apply(plan_with(&dual(), &first, &[], 4), Vec::new());
        let two = apply(plan_with(&dual(), &second, &between, 4), between);
        for family in [AddressType::IPv4, AddressType::IPv6] {
            prop_assert_eq!(listed(&one, family), listed(&two, family));
        }
    }

    #[test]
    fn no_more_is_written_than_slices_hold_changes(pods in any_pods(), flip in any::<prop::sample::Index>()) {
        let slices = apply(plan_with(&dual(), &pods, &[], 4), Vec::new());
        let mut changed = pods.clone();
        if !changed.is_empty() {
            let pod = flip.get(&pods);
            let index = pods.iter().position(|candidate| candidate == pod).expect("it was taken from there");
            let ready = crate::pod::is_ready(pod);
            changed[index].status.conditions[0].status = if ready { "False" } else { "True" }.to_owned();
        }
        let plan = plan_with(&dual(), &changed, &slices, 4);
        let families: BTreeSet<AddressType> = plan.update.iter().map(|slice| slice.address_type).collect();
        prop_assert_eq!(families.len(), plan.update.len(), "at most one slice per family");
        prop_assert!(plan.create.is_empty() && plan.delete.is_empty());
    }
}
