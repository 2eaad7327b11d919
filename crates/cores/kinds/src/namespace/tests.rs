use serde_json::json;

use super::*;
use crate::tests::{Cluster, NOW, changed, created, mistakes};

#[test]
fn a_new_namespace_is_active_and_labelled_with_its_name() {
    let object = created(&Namespace, json!({"status": {"phase": "Terminating"}}));
    assert_eq!(object["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(object["status"], json!({"phase": "Active"}));
    assert_eq!(object["metadata"]["labels"]["kubernetes.io/metadata.name"], "a");
}

#[test]
fn only_finalize_changes_the_finalizers_of_the_spec() {
    let object = changed(&Namespace, json!({}), json!({"/spec/finalizers": []})).unwrap();
    assert_eq!(object["spec"]["finalizers"], json!(["kubernetes"]));
    let mut empty = object.clone();
    empty["spec"]["finalizers"] = json!([]);
    assert_eq!(finalize(empty.clone(), &object).unwrap().object["spec"]["finalizers"], json!([]));
    empty["spec"]["finalizers"] = json!(["mine"]);
    let found = mistakes(finalize(empty, &object));
    assert_eq!(
        found,
        [
            "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
        ],
    );
}

#[test]
fn the_phase_follows_the_deletion() {
    let old = created(&Namespace, json!({}));
    let mut new = old.clone();
    new["status"]["phase"] = json!("Terminating");
    let context = Cluster::default();
    assert_eq!(
        mistakes(Namespace.update_status(new, &old, &context.context())),
        ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"],
    );
}

#[test]
fn rows() {
    let object = created(&Namespace, json!({}));
    assert_eq!(Namespace.row(&object, NOW), ["a", "Active", "0s"]);
    assert_eq!(Namespace.field(&object, "status.phase").as_deref(), Some("Active"));
}

#[test]
fn finalize_takes_only_the_finalizers_of_the_spec() {
    let old = json!({
        "apiVersion": "v1", "kind": "Namespace", "spec": {"finalizers": ["kubernetes", "example.com/audit"]},
        "metadata": {"name": "a", "uid": "1", "labels": {"team": "x"}, "finalizers": ["example.com/hold"]},
        "status": {"phase": "Terminating"},
    });
    let asked = json!({
        "apiVersion": "v1", "kind": "Namespace", "spec": {"finalizers": ["example.com/audit"]},
        "metadata": {"name": "a"}, "status": {"phase": "Active"},
    });
    let mut expected = old.clone();
    expected["spec"]["finalizers"] = json!(["example.com/audit"]);
    assert_eq!(finalize(asked, &old).expect("it is valid").object, expected);
    let unqualified = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["audit"]}});
    assert!(matches!(finalize(unqualified, &old), Err(Refusal::Invalid(_))));
}
