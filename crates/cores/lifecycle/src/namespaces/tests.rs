use super::*;
use crate::fixture::{at, decode, merge};

fn namespace(patch: Value) -> Namespace {
    let base = json!({"metadata": {"name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                      "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    decode(merge(base, patch))
}

fn object(name: &str, patch: Value) -> Metadata {
    decode(merge(json!({"namespace": "n", "name": name, "uid": format!("uid-{name}")}), patch))
}

fn plan(namespace: &Namespace, contents: &[(&str, &Metadata)]) -> NamespacePlan {
    let contents: Vec<Content<'_>> =
        contents.iter().map(|(resource, metadata)| Content { resource, metadata }).collect();
    plan_namespace(namespace, &contents, at("12:00:00"))
}

fn deleted(plan: &NamespacePlan) -> Vec<String> {
    plan.delete.iter().map(|(resource, metadata)| format!("{resource}/{}", metadata.name)).collect()
}

#[test]
fn a_living_namespace_is_left_alone() {
    let living = namespace(json!({"metadata": {"deletionTimestamp": null}}));
    assert_eq!(plan(&living, &[("pods", &object("p", json!({})))]), NamespacePlan::default());
}

#[test]
fn pods_go_before_everything_else() {
    let (pod, service) = (object("p", json!({})), object("s", json!({})));
    let going = object("p", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let check = |id: &str, contents: &[(&str, &Metadata)], expected: &[&str]| {
        let plan = plan(&namespace(json!({})), contents);
        assert_eq!(deleted(&plan), expected, "{id}");
        assert_eq!(plan.finalize, None, "{id}");
    };
    check("pods-first", &[("services", &service), ("pods", &pod)], &["pods/p"]);
    check("waiting-for-pods", &[("services", &service), ("pods", &going)], &[]);
    check("then-the-rest", &[("services", &service), ("configmaps", &pod)], &["configmaps/p", "services/s"]);
}

#[test]
fn an_empty_namespace_loses_its_finalizer() {
    assert_eq!(plan(&namespace(json!({})), &[]).finalize, Some(vec![]));
    let held = namespace(json!({"spec": {"finalizers": ["kubernetes", "mine"]}}));
    assert_eq!(plan(&held, &[]).finalize, Some(vec!["mine".to_owned()]));
    let released = namespace(json!({"spec": {"finalizers": ["mine"]}}));
    assert_eq!(plan(&released, &[]).finalize, None);
}

#[test]
fn the_status_says_what_is_waited_for_and_only_once() {
    let finalizers = json!({"finalizers": ["mine"]});
    let (a, b) = (object("a", finalizers), object("b", json!({})));
    let contents = [("services", &a), ("services", &b)];
    let status = plan(&namespace(json!({})), &contents).status.expect("this is news");
    let since = "2026-01-01T12:00:00Z";
    let expected = json!({"status": {"phase": "Terminating", "conditions": [
        {"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain",
         "message": "Remaining resources: services × 2", "lastTransitionTime": since},
        {"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain",
         "message": "Remaining finalizers: mine × 1", "lastTransitionTime": since},
    ]}});
    assert_eq!(status, expected);
    assert_eq!(plan(&namespace(expected), &contents).status, None);
}
