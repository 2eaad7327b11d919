use serde_json::json;

use super::*;
use crate::tests::{NOW, mistakes};
use crate::{ConfigMap, Namespace, Pod, Service};

fn options(body: Value) -> DeleteOptions {
    DeleteOptions::parse(&body).unwrap()
}

fn pod(node: &str) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "resourceVersion": "7", "generation": 1},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 30},
    })
}

/// What a deletion makes of the metadata; nothing if the object is removed.
fn marked(object: &Value, body: Value, kind: &dyn Kind) -> Option<Value> {
    match deletion(object, &options(body), kind, NOW).unwrap() {
        Deletion::Remove => None,
        Deletion::Mark(object) => Some(object),
        Deletion::Unchanged => Some(object.clone()),
    }
}

#[test]
fn a_plain_object_goes_at_once() {
    let object = json!({"metadata": {"name": "a"}});
    assert_eq!(marked(&object, json!({}), &ConfigMap), None);
    assert_eq!(marked(&object, json!({"gracePeriodSeconds": 30}), &ConfigMap), None);
}

#[test]
fn a_pod_on_a_node_gets_its_grace_period() {
    #[rustfmt::skip]
    let cases = [
        ("its own",            json!({}),                          Some(("2026-03-01T12:00:30Z", 30))),
        ("shorter",            json!({"gracePeriodSeconds": 5}),   Some(("2026-03-01T12:00:05Z", 5))),
        ("longer",             json!({"gracePeriodSeconds": 90}),  Some(("2026-03-01T12:01:30Z", 90))),
        ("none",               json!({"gracePeriodSeconds": 0}),   None),
        ("negative means one", json!({"gracePeriodSeconds": -9}),  Some(("2026-03-01T12:00:01Z", 1))),
    ];
    for (id, body, expected) in cases {
        println!("case {id}");
        let found = marked(&pod("n1"), body, &Pod);
        let found = found.as_ref().map(|object| {
            let metadata = &object["metadata"];
            (text(metadata, "/deletionTimestamp"), json::int(metadata, "/deletionGracePeriodSeconds").unwrap())
        });
        assert_eq!(found, expected, "{id}");
    }
    assert_eq!(marked(&pod(""), json!({}), &Pod), None, "a Pod that runs nowhere");
    let mut ended = pod("n1");
    ended["status"] = json!({"phase": "Succeeded"});
    assert_eq!(marked(&ended, json!({}), &Pod), None, "a Pod that has ended");
}

#[test]
fn a_second_deletion_can_only_be_sooner() {
    let first = marked(&pod("n1"), json!({}), &Pod).unwrap();
    assert_eq!(first["metadata"]["generation"], 2);
    assert_eq!(deletion(&first, &options(json!({})), &Pod, NOW).unwrap(), Deletion::Unchanged);
    assert_eq!(deletion(&first, &options(json!({"gracePeriodSeconds": 60})), &Pod, NOW).unwrap(), Deletion::Unchanged);
    let sooner = marked(&first, json!({"gracePeriodSeconds": 10}), &Pod).unwrap();
    assert_eq!(sooner["metadata"]["deletionTimestamp"], "2026-03-01T12:00:10Z");
    assert_eq!(sooner["metadata"]["generation"], 2);
    assert_eq!(marked(&first, json!({"gracePeriodSeconds": 0}), &Pod), None);
}

#[test]
fn finalizers_hold_an_object() {
    let object = json!({"metadata": {"name": "a", "finalizers": ["x/y"]}});
    let held = marked(&object, json!({}), &ConfigMap).unwrap();
    assert_eq!(held["metadata"]["deletionTimestamp"], NOW);
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(!is_finished(&held));
    let mut free = held.clone();
    free["metadata"]["finalizers"] = json!([]);
    assert!(is_finished(&free));
    assert!(!is_finished(&json!({"metadata": {"name": "a"}})), "nobody deleted it");
}

#[test]
fn a_pod_with_finalizers_is_held_after_its_grace_period() {
    let mut object = pod("n1");
    object["metadata"]["finalizers"] = json!(["x/y"]);
    let first = marked(&object, json!({}), &Pod).unwrap();
    let second = marked(&first, json!({"gracePeriodSeconds": 0}), &Pod).unwrap();
    assert_eq!(second["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(!is_finished(&second));
}

#[test]
fn a_namespace_stays_until_its_finalizer_is_gone() {
    let object = json!({"kind": "Namespace", "metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}});
    let terminating = marked(&object, json!({}), &Namespace).unwrap();
    assert_eq!(terminating["status"]["phase"], "Terminating");
    assert!(!is_finished(&terminating));
    let mut empty = terminating.clone();
    empty["spec"]["finalizers"] = json!([]);
    assert!(is_finished(&empty));
}

#[test]
fn the_propagation_policy_becomes_a_finalizer() {
    #[rustfmt::skip]
    let cases = [
        ("Foreground", json!([]),                     json!(["foregroundDeletion"])),
        ("Orphan",     json!(["x/y"]),                json!(["x/y", "orphan"])),
        ("Foreground", json!(["orphan", "x/y"]),      json!(["x/y", "foregroundDeletion"])),
        ("Background", json!(["orphan", "x/y"]),      json!(["x/y"])),
    ];
    for (policy, before, after) in cases {
        let object = json!({"metadata": {"name": "a", "finalizers": before}});
        let held = marked(&object, json!({"propagationPolicy": policy}), &Service).unwrap();
        assert_eq!(held["metadata"]["finalizers"], after, "{policy}");
    }
    let orphaned = json!({"metadata": {"name": "a", "finalizers": ["orphan"]}});
    assert_eq!(marked(&orphaned, json!({"propagationPolicy": "Background"}), &Service), None);
    assert!(mistakes(DeleteOptions::parse(&json!({"propagationPolicy": "x"})))[0].starts_with("propagationPolicy: "));
}

#[test]
fn preconditions_must_hold() {
    #[rustfmt::skip]
    let cases = [
        (json!({"uid": "u"}), None),
        (json!({"resourceVersion": "7"}), None),
        (json!({"uid": "v"}), Some("Precondition failed: UID in precondition: v, UID in object meta: u")),
        (json!({"resourceVersion": "6"}), Some("Precondition failed: ResourceVersion in precondition: 6, ResourceVersion in object meta: 7")),
    ];
    for (preconditions, expected) in cases {
        let result = deletion(&pod(""), &options(json!({"preconditions": preconditions})), &Pod, NOW);
        let expected = expected.map_or(Ok(Deletion::Remove), |text| Err(Refusal::Conflict(text.to_owned())));
        assert_eq!(result, expected, "{preconditions}");
    }
}
