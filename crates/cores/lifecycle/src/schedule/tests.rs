use serde_json::{Value, json};

use super::*;
use crate::fixture::{at, decode, merge};

/// A Pod that waits.
fn pod(name: &str, patch: Value) -> Pod {
    decode(merge(json!({"metadata": {"namespace": "default", "name": name}, "status": {"phase": "Pending"}}), patch))
}

/// A Ready node.
fn node(name: &str, patch: Value) -> Node {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    decode(merge(json!({"metadata": {"name": name}, "status": ready}), patch))
}

/// One line per waiting Pod: `pod -> node`, or `pod: reason`.
fn plan(pods: &[Pod], nodes: &[Node]) -> Vec<String> {
    let pods: Vec<&Pod> = pods.iter().collect();
    let nodes: Vec<&Node> = nodes.iter().collect();
    let line = |outcome: Outcome| match outcome {
        Outcome::Bind { pod, node } => format!("{} -> {node}", pod.name),
        Outcome::Unschedulable { pod, reason, .. } => format!("{}: {reason}", pod.name),
    };
    plan_bindings(&pods, &nodes, at("12:00:00")).into_iter().map(line).collect()
}

fn tainted(key: &str, value: &str, effect: &str) -> Value {
    json!({"spec": {"taints": [{"key": key, "value": value, "effect": effect}]}})
}

#[test]
fn pods_spread_over_the_nodes_with_the_fewest() {
    let bound = |name: &str, node: &str, phase: &str| {
        pod(name, json!({"spec": {"nodeName": node}, "status": {"phase": phase}}))
    };
    let pods = [
        bound("x", "a", "Running"),
        bound("y", "c", "Succeeded"),
        pod("p", json!({})),
        pod("q", json!({})),
        pod("r", json!({})),
        pod("s", json!({})),
    ];
    let nodes = [node("c", json!({})), node("b", json!({})), node("a", json!({}))];
    assert_eq!(plan(&pods, &nodes), ["p -> b", "q -> c", "r -> a", "s -> b"]);
}

#[test]
fn the_oldest_pod_chooses_first() {
    let created = |name: &str, time: &str| pod(name, json!({"metadata": {"creationTimestamp": time}}));
    let pods = [created("a", "2026-01-02T00:00:00Z"), created("b", "2026-01-01T00:00:00Z")];
    assert_eq!(plan(&pods, &[node("n1", json!({})), node("n2", json!({}))]), ["b -> n1", "a -> n2"]);
}

#[test]
fn pods_that_are_bound_ended_or_going_do_not_wait() {
    let nodes = [node("a", json!({}))];
    let check = |id: &str, patch: Value| assert!(plan(&[pod("p", patch)], &nodes).is_empty(), "{id}");
    check("bound", json!({"spec": {"nodeName": "a"}}));
    check("failed", json!({"status": {"phase": "Failed"}}));
    check("deleting", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
}

#[test]
fn a_pod_goes_only_where_it_fits() {
    let check = |id: &str, pod_patch: Value, node_patch: Value, expected: &str| {
        assert_eq!(plan(&[pod("p", pod_patch)], &[node("n", node_patch)]), [expected], "{id}");
    };
    let tolerating = |toleration: Value| json!({"spec": {"tolerations": [toleration]}});
    let none = |reason: &str| format!("p: 0/1 nodes are available: 1 {reason}.");
    let taint = none("node(s) had untolerated taint {k: v}");
    let cordon = || json!({"spec": {"unschedulable": true}});
    check("plain", json!({}), json!({}), "p -> n");
    check("not-ready", json!({}), json!({"status": {"conditions": []}}), &none("node(s) were not ready"));
    check("cordoned", json!({}), cordon(), &none("node(s) were unschedulable"));
    let tolerates_cordon = json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists"});
    check("cordon-tolerated", tolerating(tolerates_cordon), cordon(), "p -> n");
    check("no-schedule", json!({}), tainted("k", "v", "NoSchedule"), &taint);
    check("no-execute", json!({}), tainted("k", "v", "NoExecute"), &taint);
    check("prefer-no-schedule", json!({}), tainted("k", "v", "PreferNoSchedule"), "p -> n");
    let no_schedule = || tainted("k", "v", "NoSchedule");
    check("equal", tolerating(json!({"key": "k", "value": "v"})), no_schedule(), "p -> n");
    check("equal-other-value", tolerating(json!({"key": "k", "value": "w"})), no_schedule(), &taint);
    check("exists", tolerating(json!({"key": "k", "operator": "Exists"})), no_schedule(), "p -> n");
    check("everything", tolerating(json!({"operator": "Exists"})), no_schedule(), "p -> n");
    let other_effect = json!({"key": "k", "operator": "Exists", "effect": "NoExecute"});
    check("other-effect", tolerating(other_effect), no_schedule(), &taint);
    let selects = || json!({"spec": {"nodeSelector": {"disk": "ssd"}}});
    check("selector", selects(), json!({"metadata": {"labels": {"disk": "ssd"}}}), "p -> n");
    check("selector-differs", selects(), json!({}), &none("node(s) didn't match Pod's node affinity/selector"));
}

#[test]
fn the_reasons_are_counted_and_sorted() {
    let nodes =
        [node("a", json!({})), node("b", tainted("k", "v", "NoSchedule")), node("c", json!({})), node("d", json!({}))];
    let selects = pod("p", json!({"spec": {"nodeSelector": {"disk": "ssd"}}}));
    let expected = "p: 0/4 nodes are available: 1 node(s) had untolerated taint {k: v}, \
                    3 node(s) didn't match Pod's node affinity/selector.";
    assert_eq!(plan(&[selects], &nodes), [expected]);
    assert_eq!(plan(&[pod("p", json!({}))], &[]), ["p: no nodes available to schedule pods"]);
}

#[test]
fn a_pod_that_fits_nowhere_says_so_once() {
    let news = |pod: &Pod| match plan_bindings(&[pod], &[], at("12:00:00.5")).remove(0) {
        Outcome::Unschedulable { news, .. } => news,
        Outcome::Bind { node, .. } => panic!("bound to {node}"),
    };
    let (patch, event) = news(&pod("p", json!({}))).expect("this is news");
    let message = "no nodes available to schedule pods";
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                           "lastTransitionTime": "2026-01-01T12:00:00Z"});
    assert_eq!(patch, json!({"status": {"conditions": [condition]}}));
    assert_eq!((event.reason, event.message.as_str()), ("FailedScheduling", message));

    assert_eq!(news(&pod("p", patch)), None);
    let earlier = json!({"type": "PodScheduled", "status": "False", "message": "other",
                         "lastTransitionTime": "2026-01-01T08:00:00Z"});
    let (patch, _) = news(&pod("p", json!({"status": {"conditions": [earlier]}}))).expect("the reason is new");
    assert_eq!(patch["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T08:00:00Z");
}
