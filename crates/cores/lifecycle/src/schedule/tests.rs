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
        Outcome::Wait { pod, hindrance, .. } => format!("{}: {hindrance}", pod.name),
    };
    let mut load: BTreeMap<String, usize> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| burdens(pod)) {
        *load.entry(pod.spec.node_name.clone()).or_default() += 1;
    }
    let inputs = Inputs { waiting: &pods, load: &load, nodes: &nodes, now: at("12:00:00") };
    plan_bindings(&inputs).into_iter().map(line).collect()
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

/// What is to be written of a Pod that waits.
fn news(pod: &Pod) -> Option<News> {
    let (load, now) = (BTreeMap::new(), at("12:00:00.5"));
    match plan_bindings(&Inputs { waiting: &[pod], load: &load, nodes: &[], now }).remove(0) {
        Outcome::Wait { news, .. } => news,
        Outcome::Bind { node, .. } => panic!("bound to {node}"),
    }
}

#[test]
fn a_pod_that_fits_nowhere_says_so_once() {
    let News { status, event } = news(&pod("p", json!({}))).expect("this is news");
    let event = event.expect("people are told");
    let message = "no nodes available to schedule pods";
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                           "lastTransitionTime": "2026-01-01T12:00:00Z"});
    assert_eq!(status, json!({"status": {"conditions": [condition]}}));
    assert_eq!((event.reason, event.message.as_str()), ("FailedScheduling", message));

    assert_eq!(news(&pod("p", status)), None);
    let earlier = json!({"type": "PodScheduled", "status": "False", "message": "other",
                         "lastTransitionTime": "2026-01-01T08:00:00Z"});
    let later = news(&pod("p", json!({"status": {"conditions": [earlier]}}))).expect("the reason is new");
    assert_eq!(later.status["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T08:00:00Z");
}

const GATED: &str = "Scheduling is blocked due to non-empty scheduling gates";

fn required(terms: Value) -> Value {
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    json!({"spec": {"affinity": {"nodeAffinity": required}}})
}

#[test]
fn a_gated_pod_waits_until_its_gates_are_gone() {
    let nodes = [node("n", json!({}))];
    let gated = || json!({"spec": {"schedulingGates": [{"name": "example.com/quota"}]}});
    assert_eq!(plan(&[pod("p", gated())], &nodes), [format!("p: {GATED}")]);
    let News { status, event } = news(&pod("p", gated())).expect("this is news");
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": GATED,
                           "lastTransitionTime": "2026-01-01T12:00:00Z"});
    assert_eq!((&status, event), (&json!({"status": {"conditions": [condition]}}), None), "nobody needs to be told");
    assert_eq!(news(&pod("p", merge(gated(), status.clone()))), None, "it says so already");

    let freed = |gates: Value| pod("p", merge(json!({"spec": {"schedulingGates": gates}}), status.clone()));
    assert_eq!(plan(&[freed(json!([]))], &nodes), ["p -> n"]);
    assert_eq!(plan(&[freed(Value::Null)], &nodes), ["p -> n"]);
    let unfit = news(&freed(json!([]))).expect("that no node will have it is news");
    assert_eq!(unfit.status["status"]["conditions"][0]["reason"], "Unschedulable");
    assert_eq!(unfit.event.expect("people are told").reason, "FailedScheduling");
}

#[test]
fn a_pod_of_another_scheduler_is_left_to_that() {
    let nodes = [node("n", json!({}))];
    for (name, expected) in
        [("", vec!["p -> n"]), ("default-scheduler", vec!["p -> n"]), ("mine", vec![]), ("maitred", vec![])]
    {
        assert_eq!(plan(&[pod("p", json!({"spec": {"schedulerName": name}}))], &nodes), expected, "{name:?}");
    }
    let theirs = json!({"spec": {"schedulerName": "mine", "schedulingGates": [{"name": "g"}]}});
    assert!(plan(&[pod("p", theirs)], &nodes).is_empty(), "its gates are that one's business too");
}

#[test]
fn a_node_affinity_requirement_matches_as_documented() {
    let node = || node("n", json!({"metadata": {"labels": {"disk": "ssd", "cpus": "8", "empty": ""}}}));
    let check = |key: &str, operator: &str, values: &[&str], expected: bool| {
        let term = json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let bound = plan(&[pod("p", required(json!([term])))], &[node()]) == ["p -> n"];
        assert_eq!(bound, expected, "{key} {operator} {values:?}");
    };
    check("disk", "In", &["hdd", "ssd"], true);
    check("disk", "In", &["hdd"], false);
    check("absent", "In", &["ssd"], false);
    check("absent", "In", &[""], false);
    check("empty", "In", &[""], true);
    check("disk", "NotIn", &["hdd"], true);
    check("disk", "NotIn", &["hdd", "ssd"], false);
    check("absent", "NotIn", &["ssd"], true);
    check("disk", "Exists", &[], true);
    check("absent", "Exists", &[], false);
    check("disk", "DoesNotExist", &[], false);
    check("absent", "DoesNotExist", &[], true);
    check("cpus", "Gt", &["7"], true);
    check("cpus", "Gt", &["8"], false);
    check("cpus", "Gt", &["10"], false);
    check("cpus", "Lt", &["10"], true);
    check("cpus", "Lt", &["8"], false);
    check("absent", "Gt", &["1"], false);
    check("absent", "Lt", &["1"], false);
    check("disk", "Gt", &["1"], false);
    // What says nothing sensible matches nothing.
    check("cpus", "Gt", &["1", "2"], false);
    check("cpus", "Lt", &["many"], false);
    check("disk", "In", &[], false);
    check("absent", "NotIn", &[], false);
    check("disk", "Exists", &["ssd"], false);
    check("absent", "DoesNotExist", &["ssd"], false);
    check("disk", "Like", &["ssd"], false);
}

#[test]
fn terms_of_a_node_affinity_are_alternatives_and_their_requirements_hold_together() {
    let has = |key: &str| json!({"key": key, "operator": "Exists"});
    let named = |operator: &str, names: &[&str]| json!({"key": "metadata.name", "operator": operator, "values": names});
    let expressions = |all: Value| json!({"matchExpressions": all});
    let fields = |all: Value| json!({"matchFields": all});
    let both =
        |label: &str, name: &str| json!({"matchExpressions": [has(label)], "matchFields": [named("In", &[name])]});
    let labelled = |name: &str, label: &str| node(name, json!({"metadata": {"labels": {label: ""}}}));
    let nodes = [labelled("a", "x"), labelled("b", "y")];
    for (terms, expected) in [
        (json!([expressions(json!([has("y")]))]), Some("b")),
        (json!([expressions(json!([has("z")])), expressions(json!([has("y")]))]), Some("b")),
        (json!([expressions(json!([has("x"), has("y")]))]), None),
        (json!([fields(json!([named("In", &["b"])]))]), Some("b")),
        (json!([fields(json!([named("NotIn", &["a"])]))]), Some("b")),
        (json!([both("y", "b")]), Some("b")),
        (json!([both("y", "a")]), None),
        (json!([fields(json!([named("In", &["a", "b"])]))]), None),
        (json!([fields(json!([named("Exists", &[])]))]), None),
        (json!([fields(json!([{"key": "spec.unschedulable", "operator": "In", "values": ["b"]}]))]), None),
        (json!([{}]), None),
        (json!([{}, expressions(json!([has("y")]))]), Some("b")),
        (json!([]), None),
    ] {
        let refused = "p: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
        let expected = expected.map_or_else(|| refused.to_owned(), |node| format!("p -> {node}"));
        assert_eq!(plan(&[pod("p", required(terms.clone()))], &nodes), [expected], "{terms}");
    }
    let selector = json!({"spec": {"nodeSelector": {"x": ""}}});
    let neither = pod("p", merge(selector, required(json!([expressions(json!([has("y")]))]))));
    assert!(plan(&[neither], &nodes)[0].starts_with("p: 0/2"), "the selector holds beside the affinity");
}

#[test]
fn demands_that_are_not_implemented_are_refused_by_name() {
    let terms = || json!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}]);
    let demand = || json!({"requiredDuringSchedulingIgnoredDuringExecution": terms()});
    let wish = || json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {}}]});
    let path = |name: &str| {
        format!(
            "spec.affinity.{name}.requiredDuringSchedulingIgnoredDuringExecution: maitred does not implement this field"
        )
    };
    let spread = |when: &[&str]| {
        let constraint = |when: &&str| json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when});
        json!({"topologySpreadConstraints": when.iter().map(constraint).collect::<Vec<_>>()})
    };
    let constraint = |index: usize| {
        format!("spec.topologySpreadConstraints[{index}].whenUnsatisfiable: maitred does not implement DoNotSchedule")
    };
    let nodes = [node("n", json!({}))];
    for (spec, expected) in [
        (json!({"affinity": {"podAffinity": demand()}}), Some(path("podAffinity"))),
        (json!({"affinity": {"podAntiAffinity": demand()}}), Some(path("podAntiAffinity"))),
        (
            json!({"affinity": {"podAffinity": demand(), "podAntiAffinity": demand()}}),
            Some(format!("{}; {}", path("podAffinity"), path("podAntiAffinity"))),
        ),
        (spread(&["DoNotSchedule"]), Some(constraint(0))),
        (spread(&["ScheduleAnyway", ""]), Some(constraint(1))),
        // Preferences may be ignored.
        (json!({"affinity": {"podAffinity": wish(), "podAntiAffinity": wish()}}), None),
        (json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}}), None),
        (spread(&["ScheduleAnyway"]), None),
        (json!({"affinity": {}, "topologySpreadConstraints": []}), None),
        (json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}}), None),
        (json!({"affinity": null, "topologySpreadConstraints": null}), None),
    ] {
        let pod = pod("p", json!({ "spec": spec }));
        let line = expected.as_ref().map_or_else(|| "p -> n".to_owned(), |message| format!("p: {message}"));
        assert_eq!(plan(std::slice::from_ref(&pod), &nodes), [line], "{spec}");
        let Some(message) = expected else { continue };
        let News { status, event } = news(&pod).expect("this is news");
        assert_eq!(status["status"]["conditions"][0]["reason"], "Unschedulable", "{spec}");
        let event = event.expect("people are told");
        assert_eq!((event.reason, event.message), ("FailedScheduling", message), "{spec}");
    }
}
