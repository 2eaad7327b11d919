use super::*;
use crate::fixture::{at, decode, merge};

/// Node `n` at resource version 7, Ready.
fn node(patch: Value) -> Node {
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
    decode(merge(json!({"metadata": {"name": "n", "resourceVersion": "7"}, "status": {"conditions": ready}}), patch))
}

fn ready_pod(name: &str, node: &str) -> Pod {
    decode(json!({
        "metadata": {"namespace": "default", "name": name},
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }))
}

fn lease(renewed: &str) -> Lease {
    decode(json!({"metadata": {"name": "n"}, "spec": {"renewTime": format!("2026-01-01T{renewed}Z")}}))
}

/// Plans at 12:00:00 for a node last seen at this time.
fn plan(node: &Node, pods: &[&Pod], last_seen: &str) -> NodeHealthPlan {
    plan_node(node, pods, at(last_seen), GRACE_DEFAULT, at("12:00:00"))
}

#[test]
fn a_node_is_lost_after_the_grace_period() {
    let check = |last_seen: &str, lost: bool| {
        assert_eq!(plan(&node(json!({})), &[], last_seen).status.is_some(), lost, "last seen at {last_seen}");
    };
    check("12:00:00", false);
    check("11:59:10", false);
    check("11:59:09.999999", true);
    check("11:00:00", true);
}

#[test]
fn a_live_node_is_looked_at_again_when_its_grace_ends() {
    let plan = plan(&node(json!({})), &[], "11:59:50");
    let expected = NodeHealthPlan { wake: Some(at("12:00:40.001")), ..NodeHealthPlan::default() };
    assert_eq!(plan, expected);
}

#[test]
fn a_lost_node_says_so_and_its_pods_are_not_ready() {
    let pressure = json!({"type": "DiskPressure", "status": "False"});
    let ready = json!({"type": "Ready", "status": "True"});
    let node = node(json!({"status": {"conditions": [ready, pressure]}}));
    let (here, elsewhere) = (ready_pod("here", "n"), ready_pod("elsewhere", "m"));
    let plan = plan(&node, &[&here, &elsewhere], "11:00:00");

    let unknown = |kind: &str| {
        json!({"type": kind, "status": "Unknown", "reason": "NodeStatusUnknown",
               "message": "Kubelet stopped posting node status.", "lastTransitionTime": "2026-01-01T12:00:00Z"})
    };
    let conditions = [unknown("Ready"), unknown("DiskPressure")];
    assert_eq!(plan.status, Some(json!({"status": {"conditions": conditions}})));
    let taint = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]);
    assert_eq!(plan.taints, Some(json!({"metadata": {"resourceVersion": "7"}, "spec": {"taints": taint}})));
    let not_ready = json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T12:00:00Z"});
    assert_eq!(plan.pods.len(), 1);
    assert_eq!((plan.pods[0].0.name.as_str(), &plan.pods[0].1["status"]["conditions"][0]), ("here", &not_ready));
    let told: Vec<(&str, &str)> =
        plan.events.iter().map(|event| (event.regarding.name.as_str(), event.message.as_str())).collect();
    assert_eq!(told, [("n", "Node n status is now: NodeNotReady"), ("here", "Node is not ready")]);
}

#[test]
fn a_node_that_never_posted_is_told_apart() {
    let plan = plan(&node(json!({"status": {"conditions": []}})), &[], "11:00:00");
    let status = plan.status.expect("it is lost");
    assert_eq!(status["status"]["conditions"][0]["reason"], "NodeStatusNeverUpdated");
}

#[test]
fn a_lost_node_that_says_so_needs_nothing() {
    let unknown = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
                         "spec": {"taints": [{"key": UNREACHABLE, "effect": "NoSchedule"}]}});
    assert_eq!(plan(&node(unknown), &[], "11:00:00"), NodeHealthPlan::default());
}

#[test]
fn taints_follow_readiness_and_others_stay() {
    let check = |id: &str, ready: &str, taints: Value, expected: Option<Value>| {
        let node = node(json!({"spec": {"taints": taints},
                               "status": {"conditions": [{"type": "Ready", "status": ready}]}}));
        let found = plan(&node, &[], "12:00:00").taints.map(|patch| patch["spec"]["taints"].clone());
        assert_eq!(found, expected, "{id}");
    };
    let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
    let other = || json!({"key": "x", "value": "y", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"});
    check("ready", "True", json!([other()]), None);
    check("ready-again", "True", json!([taint(UNREACHABLE), other()]), Some(json!([other()])));
    check("not-ready", "False", json!([other()]), Some(json!([other(), taint(NOT_READY)])));
    check("not-ready-already", "False", json!([taint(NOT_READY)]), None);
    check("not-ready-after-lost", "False", json!([taint(UNREACHABLE)]), Some(json!([taint(NOT_READY)])));
    check("silent-from-the-start", "Unknown", json!([]), Some(json!([taint(UNREACHABLE)])));
}

#[test]
fn a_renewal_counts_from_when_it_was_seen() {
    let mut beats = Heartbeats::default();
    let node = node(json!({}));
    let mut check = |id: &str, renewed: &str, now: &str, expected: &str| {
        assert_eq!(beats.observe(&node, Some(&lease(renewed)), at(now)), at(expected), "{id}");
    };
    check("first-sight-believes-the-lease", "11:50:00.000001", "12:00:00", "11:50:00.000001");
    check("unchanged", "11:50:00.000001", "12:00:10", "11:50:00.000001");
    check("renewed-by-a-slow-clock", "11:50:10.000000", "12:00:12", "12:00:12");
    check("renewed-by-a-fast-clock", "13:00:00.000000", "12:00:22", "12:00:22");
    check("still-the-fast-one", "13:00:00.000000", "12:00:50", "12:00:22");
}

#[test]
fn without_a_lease_the_nodes_age_counts() {
    let mut beats = Heartbeats::default();
    let node = node(json!({"metadata": {"creationTimestamp": "2026-01-01T11:59:00Z"}}));
    assert_eq!(beats.observe(&node, None, at("12:00:00")), at("11:59:00"));
    assert_eq!(beats.observe(&node, Some(&lease("11:00:00")), at("12:00:05")), at("12:00:05"), "the first renewal");
    assert_eq!(beats.observe(&node, None, at("12:00:10")), at("12:00:05"), "a Lease that vanished is no sign of life");
    beats.forget("n");
    assert_eq!(beats, Heartbeats::default());
}
