//! Objects for tests, written as their JSON so that a case reads like a manifest.

use api::{EndpointSlice, Node, Pod, Service};
use serde_json::{Value, json};

use crate::{Inputs, SLICE_LEN_DEFAULT, SlicePlan, plan_slices};

/// Lays `patch` over `base`: objects are merged, everything else is replaced.
pub fn merge(mut base: Value, patch: Value) -> Value {
    match (base.as_object_mut(), patch) {
        (Some(object), Value::Object(patch)) => {
            for (key, value) in patch {
                let below = object.remove(&key).unwrap_or(Value::Null);
                object.insert(key, merge(below, value));
            }
            base
        }
        (_, patch) => patch,
    }
}

fn decode<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the fixture has the kind's shape")
}

/// Service `default/web`, IPv4, port 80, selector `app=web`.
pub fn service(patch: Value) -> Service {
    decode(merge(
        json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "uid-web",
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                     "ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": [{"port": 80}]},
        }),
        patch,
    ))
}

/// A ready Pod `default/NAME` with label `app=web` on node `n1`.
pub fn pod(name: &str, address: &str, patch: Value) -> Pod {
    decode(merge(
        json!({
            "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"),
                         "labels": {"app": "web"}},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }),
        patch,
    ))
}

/// The part of a Pod that says it is not ready.
pub fn not_ready() -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
}

/// `count` ready Pods `p0000` at 10.1.100.100, `p0001` at 10.1.100.101, …: their addresses sort as text, too.
pub fn pods(count: usize) -> Vec<Pod> {
    (0..count)
        .map(|n| pod(&format!("p{n:04}"), &format!("10.1.{}.{}", n / 100 + 100, n % 100 + 100), json!({})))
        .collect()
}

/// Node `n1` in zone `a`.
pub fn node() -> Node {
    decode(json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}}))
}

/// Plans with node `n1` and slices of `slice_len_max`.
pub fn plan_with(service: &Service, pods: &[Pod], existing: &[EndpointSlice], slice_len_max: usize) -> SlicePlan {
    let node = node();
    let pods: Vec<&Pod> = pods.iter().collect();
    let existing: Vec<&EndpointSlice> = existing.iter().collect();
    plan_slices(&Inputs {
        service,
        pods: &pods,
        nodes: &|name| (name == "n1").then_some(&node),
        existing: &existing,
        trigger: None,
        slice_len_max,
    })
}

/// Plans with the default slice length.
pub fn plan(service: &Service, pods: &[Pod], existing: &[EndpointSlice]) -> SlicePlan {
    plan_with(service, pods, existing, SLICE_LEN_DEFAULT)
}

/// Carries a plan out as a server would: gives names and uids, counts generations, and stores JSON.
pub fn apply(plan: SlicePlan, mut existing: Vec<EndpointSlice>) -> Vec<EndpointSlice> {
    for gone in &plan.delete {
        existing.retain(|slice| slice.metadata.uid != gone.uid);
    }
    for update in plan.update {
        let old = existing.iter_mut().find(|slice| slice.metadata.uid == update.metadata.uid);
        let old = old.expect("an update rewrites an existing slice");
        assert_eq!(old.metadata.name, update.metadata.name);
        assert_eq!(old.metadata.resource_version, update.metadata.resource_version);
        assert_eq!(old.address_type, update.address_type, "addressType is immutable (S-212)");
        *old = stored(update);
        old.metadata.generation += 1;
        old.metadata.resource_version.push('+');
    }
    for create in plan.create {
        let number = (0..).find(|n| existing.iter().all(|slice| slice.metadata.uid != format!("created-{n}")));
        let uid = format!("created-{}", number.expect("there are more numbers than slices"));
        let mut slice = stored(create);
        assert!(slice.metadata.name.is_empty());
        slice.metadata.name = format!("{}{uid}", slice.metadata.generate_name);
        slice.metadata.uid = uid;
        slice.metadata.resource_version = "1".to_owned();
        slice.metadata.generation = 1;
        existing.push(slice);
    }
    existing
}

fn stored(slice: EndpointSlice) -> EndpointSlice {
    decode(serde_json::to_value(slice).expect("slices encode"))
}

/// What a fresh cluster ends up with.
pub fn slices_of(service: &Service, pods: &[Pod]) -> Vec<EndpointSlice> {
    apply(plan(service, pods, &[]), Vec::new())
}
