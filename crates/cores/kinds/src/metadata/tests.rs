use serde_json::json;

use super::*;
use crate::tests::{Cluster, NOW, mistakes};
use crate::{ConfigMap, EndpointSlice, IpAddress, Namespace};

fn object(metadata: Value) -> Value {
    let mut whole = json!({"name": "a", "namespace": "default"});
    for (field, value) in metadata.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"metadata": whole})
}

#[test]
fn the_server_gives_what_clients_may_not_choose() {
    let mut new = object(json!({
        "uid": "mine", "resourceVersion": "7", "generation": 9, "creationTimestamp": "1999-01-01T00:00:00Z",
        "deletionTimestamp": "1999-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3, "selfLink": "/x",
        "managedFields": [{}], "labels": {"a": "b"},
    }));
    let cluster = Cluster::default();
    prepare_create(&mut new, &EndpointSlice, &cluster.context(), "given".to_owned());
    let expected = json!({
        "name": "a", "namespace": "default", "uid": "given", "creationTimestamp": NOW, "generation": 1,
        "labels": {"a": "b"},
    });
    assert_eq!(new["metadata"], expected);
    prepare_create(&mut new, &ConfigMap, &cluster.context(), "given".to_owned());
    assert_eq!(new["metadata"].get("generation"), None);
}

#[test]
fn s122_generated_names_end_in_five_characters() {
    let long = "a".repeat(100);
    for (start, kept) in [("web-", "web-"), ("", ""), (long.as_str(), &long[..58])] {
        let name = generated_name(start, 42);
        let (fixed, random) = name.split_at(kept.len());
        assert_eq!((fixed, random.len()), (kept, 5), "{name}");
        assert!(random.bytes().all(|letter| b"bcdfghjklmnpqrstvwxz2456789".contains(&letter)), "{name}");
    }
    let names: HashSet<String> = (0..1000).map(|seed| generated_name("web-", seed)).collect();
    assert!(names.len() > 990, "{} different names", names.len());
    // A cut inside a character would not be text any more.
    assert_eq!(generated_name(&"ä".repeat(40), 1).chars().count(), 29 + 5);
}

#[test]
fn a_name_is_generated_only_if_none_is_given() {
    let cluster = Cluster::default();
    let mut new = json!({"metadata": {"generateName": "web-"}});
    prepare_create(&mut new, &ConfigMap, &cluster.context(), "u".to_owned());
    assert!(text(&new, "/metadata/name").starts_with("web-") && text(&new, "/metadata/name").len() == 9);
    let mut new = json!({"metadata": {"generateName": "web-", "name": "mine"}});
    prepare_create(&mut new, &ConfigMap, &cluster.context(), "u".to_owned());
    assert_eq!(text(&new, "/metadata/name"), "mine");
}

#[test]
fn metadata_that_is_refused() {
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let bad_namespace = format!("metadata.namespace: Invalid value: \"A\": {LABEL}");
    let owner = |controller: bool| json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": controller});
    #[rustfmt::skip]
    let cases = [
        (json!({"name": ""}), "metadata.name: Required value: name or generateName is required"),
        (json!({"namespace": ""}), "metadata.namespace: Required value"),
        (json!({"namespace": "A"}), bad_namespace.as_str()),
        (json!({"annotations": {"a": "x".repeat(256 * 1024)}}), "metadata.annotations: Too long: may not be more than 262144 bytes"),
        (json!({"annotations": {"/a": ""}}), "metadata.annotations: Invalid value: \"/a\": prefix part must be non-empty"),
        (json!({"labels": {"/a": ""}}), "metadata.labels: Invalid value: \"/a\": prefix part must be non-empty"),
        (json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}),
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"),
        (json!({"ownerReferences": [{"apiVersion": "apps/", "kind": "Pod", "name": "p", "uid": "u"}]}),
            "metadata.ownerReferences.apiVersion: Invalid value: \"apps/\": version must not be empty"),
        (json!({"finalizers": ["/a"]}), "metadata.finalizers: Invalid value: \"/a\": prefix part must be non-empty"),
        (json!({"finalizers": ["orphan", "foregroundDeletion"]}),
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer \"orphan\" and \"foregroundDeletion\" cannot be both set"),
    ];
    for (metadata, expected) in cases {
        let mut found = Mistakes::default();
        check(&object(metadata.clone()), &ConfigMap, &mut found);
        assert_eq!(mistakes(found.result()), [expected], "{metadata}");
    }
    let mut found = Mistakes::default();
    check(&object(json!({"ownerReferences": [owner(true), owner(true)]})), &ConfigMap, &mut found);
    assert!(mistakes(found.result())[0].ends_with("Only one reference can have Controller set to true"));
}

#[test]
fn a_cluster_scoped_object_has_no_namespace() {
    let mut found = Mistakes::default();
    check(&object(json!({})), &Namespace, &mut found);
    assert_eq!(mistakes(found.result()), ["metadata.namespace: Forbidden: not allowed on this type"]);
}

#[test]
fn s142_the_name_of_an_ip_address_is_canonical() {
    for (name, fits) in [
        ("10.96.0.9", true),
        ("fd00::9", true),
        ("FD00::9", false),
        ("fd00:0::9", false),
        ("::ffff:10.96.0.9", false),
        ("010.96.0.9", false),
        ("web", false),
    ] {
        let mut found = Mistakes::default();
        check(&json!({"metadata": {"name": name}}), &IpAddress, &mut found);
        assert_eq!(found.is_empty(), fits, "{name}");
    }
}

#[test]
fn what_may_not_change() {
    let old = object(json!({"uid": "u", "creationTimestamp": NOW}));
    for (field, value) in
        [("name", "b"), ("namespace", "other"), ("uid", "v"), ("creationTimestamp", "1999-01-01T00:00:00Z")]
    {
        let mut new = old.clone();
        new["metadata"][field] = json!(value);
        prepare_update(&mut new, &old);
        let mut found = Mistakes::default();
        check_update(&new, &old, &mut found);
        let expected = format!("metadata.{field}: Invalid value: \"{value}\": field is immutable");
        assert_eq!(mistakes(found.result()), [expected]);
    }
}

#[test]
fn what_an_update_leaves_out_is_filled_in() {
    let old = object(json!({
        "uid": "u", "creationTimestamp": NOW, "generation": 3, "deletionTimestamp": NOW,
        "deletionGracePeriodSeconds": 30, "finalizers": ["a/b"],
    }));
    let mut new =
        json!({"metadata": {"generation": 8, "finalizers": ["a/b"], "deletionTimestamp": "1999-01-01T00:00:00Z"}});
    prepare_update(&mut new, &old);
    assert_eq!(new["metadata"], old["metadata"]);
}

#[test]
fn no_finalizer_is_added_while_the_object_is_being_deleted() {
    let old = object(json!({"deletionTimestamp": NOW, "finalizers": ["a/b"]}));
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!(["a/b", "c/d"]);
    let mut found = Mistakes::default();
    check_update(&new, &old, &mut found);
    assert_eq!(
        mistakes(found.result()),
        ["metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
         finalizers []string{\"c/d\"}"]
    );
    new["metadata"]["finalizers"] = json!([]);
    let mut found = Mistakes::default();
    check_update(&new, &old, &mut found);
    assert!(found.is_empty());
}
