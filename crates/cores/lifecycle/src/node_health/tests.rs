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
    plan_with(node, OnNode { pods, slices: &[] }, last_seen)
}

fn plan_with(node: &Node, on_node: OnNode<'_>, last_seen: &str) -> NodeHealthPlan {
    plan_node(node, on_node, at(last_seen), GRACE_DEFAULT, at("12:00:00"))
}

/// An EndpointSlice at resource version 9, as an agent writes them.
fn slice(endpoints: Value) -> EndpointSlice {
    let labels = json!({"kubernetes.io/service-name": "kube-dns",
                        "endpointslice.kubernetes.io/managed-by": "maitred-agent.maitred.dev"});
    decode(json!({
        "metadata": {"namespace": "kube-system", "name": "kube-dns-n", "resourceVersion": "9", "labels": labels},
        "addressType": "IPv4", "endpoints": endpoints,
    }))
}

/// An endpoint on a node.
fn endpoint(node: &str, conditions: Value) -> Value {
    json!({"addresses": ["192.0.2.1"], "nodeName": node, "conditions": conditions})
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
    check("first-sight", "11:50:00.000001", "12:00:00", "12:00:00");
    check("unchanged", "11:50:00.000001", "12:00:10", "12:00:00");
    check("renewed-by-a-slow-clock", "11:50:10.000000", "12:00:12", "12:00:12");
    check("renewed-by-a-fast-clock", "13:00:00.000000", "12:00:22", "12:00:22");
    check("still-the-fast-one", "13:00:00.000000", "12:00:50", "12:00:22");
}

#[test]
fn without_a_lease_a_node_counts_from_when_it_was_first_seen() {
    let node = node(json!({"metadata": {"creationTimestamp": "2026-01-01T11:59:00Z"}}));
    let mut beats = Heartbeats::default();
    assert_eq!(beats.observe(&node, None, at("12:00:00")), at("12:00:00"));
    assert_eq!(beats.observe(&node, None, at("12:00:03")), at("12:00:00"));
    assert_eq!(beats.observe(&node, Some(&lease("11:00:00")), at("12:00:05")), at("12:00:05"), "the first renewal");
    assert_eq!(beats.observe(&node, None, at("12:00:10")), at("12:00:05"), "a Lease that vanished is no sign of life");
    beats.forget("n");
    assert_eq!(beats, Heartbeats::default());
}

#[test]
fn the_agents_endpoints_on_a_lost_node_are_not_ready() {
    let here = |conditions: Value| endpoint("n", conditions);
    let ready = || json!({"ready": true, "serving": true, "terminating": false});
    let down = || json!({"ready": false, "serving": false});
    let there = || endpoint("m", ready());
    let hinted =
        |base: Value| merge(base, json!({"hints": {"forNodes": [{"name": "n"}], "forZones": [{"name": "z"}]}}));
    let zoned = |base: Value| merge(base, json!({"zone": "z"}));
    let gone = || here(json!({"ready": false, "serving": false, "terminating": false}));
    for (id, endpoints, expected) in [
        ("ready", json!([here(ready())]), Some(json!([gone()]))),
        ("hinted", json!([zoned(hinted(here(ready())))]), Some(json!([zoned(gone())]))),
        ("unset-means-ready", json!([here(json!({}))]), Some(json!([here(down())]))),
        ("serving", json!([here(json!({"ready": false, "serving": true}))]), Some(json!([here(down())]))),
        ("hints-alone", json!([hinted(here(down()))]), Some(json!([here(down())]))),
        ("beside-another", json!([there(), here(ready())]), Some(json!([there(), gone()]))),
        ("not-ready-already", json!([here(down())]), None),
        ("another-node", json!([there()]), None),
        ("no-node", json!([{"addresses": ["192.0.2.1"]}]), None),
        ("none", json!([]), None),
    ] {
        let slice = slice(endpoints);
        let slices = [&slice];
        let found = plan_with(&node(json!({})), OnNode { pods: &[], slices: &slices }, "11:00:00").slices;
        let patch = |endpoints: Value| json!({"metadata": {"resourceVersion": "9"}, "endpoints": endpoints});
        let expected: Vec<Value> = expected.into_iter().map(patch).collect();
        let patches: Vec<Value> = found.iter().map(|(_, patch)| patch.clone()).collect();
        assert_eq!(patches, expected, "{id}");
        for (about, patch) in found {
            assert_eq!((about.namespace.as_str(), about.name.as_str()), ("kube-system", "kube-dns-n"), "{id}");
            let after = self::slice(patch["endpoints"].clone());
            let again = plan_with(&node(json!({})), OnNode { pods: &[], slices: &[&after] }, "11:00:00");
            assert_eq!(again.slices, Vec::new(), "{id}: planned again");
        }
    }
}

#[test]
fn slices_of_a_live_node_and_of_others_are_left_alone() {
    let ready = || json!([endpoint("n", json!({"ready": true}))]);
    let agents = slice(ready());
    let live = plan_with(&node(json!({})), OnNode { pods: &[], slices: &[&agents] }, "11:59:50");
    assert_eq!(live.slices, Vec::new(), "the node lives");
    for manager in ["endpointslice-controller.k8s.io", ""] {
        let mut others = slice(ready());
        others.metadata.labels.insert("endpointslice.kubernetes.io/managed-by".to_owned(), manager.to_owned());
        let plan = plan_with(&node(json!({})), OnNode { pods: &[], slices: &[&others] }, "11:00:00");
        assert_eq!(plan.slices, Vec::new(), "managed by {manager:?}");
    }
    let going = node(json!({"metadata": {"deletionTimestamp": "2026-01-01T11:00:00Z"}}));
    let plan = plan_with(&going, OnNode { pods: &[], slices: &[&agents] }, "11:00:00");
    assert_eq!(plan, NodeHealthPlan::default(), "the slice goes with the node");
}

#[test]
fn an_agents_slice_belongs_to_the_node_of_its_endpoint() {
    assert_eq!(node_of(&slice(json!([endpoint("n", json!({}))]))), "n");
    assert_eq!(node_of(&slice(json!([]))), "");
    assert_eq!(agents_slices(), "endpointslice.kubernetes.io/managed-by=maitred-agent.maitred.dev");
}
