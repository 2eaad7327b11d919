use api::Metadata;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{decode, merge};

/// An object of kind `Thing` in namespace `default`; its uid is its name. Owners are given by name, `!` for blocking.
fn thing(name: &str, owners: &[&str], patch: Value) -> Metadata {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| {
            let uid = owner.trim_end_matches('!');
            json!({"apiVersion": "v1", "kind": if uid.starts_with('?') { "Alien" } else { "Thing" }, "name": uid,
                   "uid": uid, "blockOwnerDeletion": owner.ends_with('!')})
        })
        .collect();
    let base = json!({"name": name, "namespace": "default", "uid": name, "ownerReferences": owners});
    decode(merge(base, patch))
}

fn deleting(finalizers: &[&str]) -> Value {
    json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers})
}

/// One line per write: `name: what`.
fn plan(things: &[Metadata]) -> Vec<String> {
    let objects: Vec<Object<'_>> =
        things.iter().map(|metadata| Object { api_version: "v1", kind: "Thing", metadata }).collect();
    let writes = plan_garbage(&objects, &|_, kind| kind == "Thing");
    let line = |write: Write| {
        let what = match write.action {
            Action::Delete(propagation) => format!("delete {}", propagation.as_str()),
            Action::SetOwners(owners) => {
                let owner = |owner: &OwnerReference| {
                    let mark = if owner.block_owner_deletion == Some(true) { "!" } else { "" };
                    format!("{}{mark}", owner.uid)
                };
                format!("owners [{}]", owners.iter().map(owner).collect::<Vec<_>>().join(" "))
            }
            Action::SetFinalizers(finalizers) => format!("finalizers [{}]", finalizers.join(" ")),
        };
        format!("{}: {what}", write.name)
    };
    writes.into_iter().map(line).collect()
}

#[test]
fn an_object_goes_when_all_its_owners_are_gone() {
    let check = |id: &str, things: &[Metadata], expected: &[&str]| assert_eq!(plan(things), expected, "{id}");
    let plain = |name: &str, owners: &[&str]| thing(name, owners, json!({}));
    check("no-owners", &[plain("a", &[])], &[]);
    check("owner-exists", &[plain("a", &[]), plain("b", &["a"])], &[]);
    check("owner-gone", &[plain("b", &["a"])], &["b: delete Background"]);
    check("one-of-two-gone", &[plain("a", &[]), plain("b", &["a", "x"])], &["b: owners [a]"]);
    check("both-gone", &[plain("b", &["x", "y"])], &["b: delete Background"]);
    check("already-deleting", &[thing("b", &["a"], deleting(&["f"]))], &[]);
    check("owner-deleting-in-background", &[thing("a", &[], deleting(&["f"])), plain("b", &["a"])], &[]);
    check("a-chain-goes-link-by-link", &[plain("b", &["a"]), plain("c", &["b"])], &["b: delete Background"]);
    check("unknown-kind", &[plain("b", &["?a"])], &[]);
    check("keeps-what-it-asked-for", &[thing("b", &["a"], json!({"finalizers": ["orphan"]}))], &["b: delete Orphan"]);
}

#[test]
fn owners_count_only_within_the_namespace_or_cluster_wide() {
    let at = |name: &str, namespace: &str, owners: &[&str]| thing(name, owners, json!({"namespace": namespace}));
    let check = |id: &str, things: &[Metadata], expected: &[&str]| assert_eq!(plan(things), expected, "{id}");
    check("other-namespace", &[at("a", "other", &[]), at("b", "default", &["a"])], &["b: delete Background"]);
    check("cluster-scoped-owner", &[at("a", "", &[]), at("b", "default", &["a"])], &[]);
    check("namespaced-owner-of-cluster-scoped", &[at("a", "default", &[]), at("b", "", &["a"])], &[]);
}

#[test]
fn foreground_deletion_waits_for_blocking_dependents() {
    let check = |id: &str, things: &[Metadata], expected: &[&str]| assert_eq!(plan(things), expected, "{id}");
    let owner = || thing("a", &[], deleting(&["other", FOREGROUND]));
    check("no-dependents", &[owner()], &["a: finalizers [other]"]);
    check("blocked", &[owner(), thing("b", &["a!"], json!({}))], &["b: delete Background"]);
    check("blocked-while-it-goes", &[owner(), thing("b", &["a!"], deleting(&["f"]))], &[]);
    check("not-blocked", &[owner(), thing("b", &["a"], json!({}))], &["a: finalizers [other]", "b: delete Background"]);
    check(
        "dependents-of-dependents-go-first",
        &[owner(), thing("b", &["a!"], json!({})), thing("c", &["b!"], json!({}))],
        &["b: delete Foreground"],
    );
    let other = || thing("o", &[], json!({}));
    check("another-owner-keeps-it", &[owner(), other(), thing("b", &["a!", "o"], json!({}))], &["b: owners [o]"]);
}

#[test]
fn a_circle_of_foreground_deletions_is_cut() {
    let things = [thing("a", &["b!"], deleting(&[FOREGROUND])), thing("b", &["a!"], json!({}))];
    assert_eq!(plan(&things), ["b: owners [a]"]);
    let cut = [thing("a", &["b!"], deleting(&[FOREGROUND])), thing("b", &["a"], json!({}))];
    assert_eq!(plan(&cut), ["a: finalizers []", "b: delete Foreground"]);
    let itself = [thing("a", &["a!"], deleting(&[FOREGROUND]))];
    assert_eq!(plan(&itself), ["a: finalizers []"]);
    let waiting = |name: &str, owner: &str| thing(name, &[owner], deleting(&[FOREGROUND]));
    let three = [waiting("a", "b!"), waiting("b", "c!"), waiting("c", "a!")];
    assert_eq!(plan(&three), ["a: finalizers []", "b: finalizers []", "c: finalizers []"]);
}

#[test]
fn orphans_forget_their_owner_before_it_goes() {
    let owner = || thing("a", &[], deleting(&[ORPHAN]));
    let dependents = [owner(), thing("b", &["a!"], json!({})), thing("c", &["a", "o"], json!({}))];
    let found = plan(&[dependents.to_vec(), vec![thing("o", &[], json!({}))]].concat());
    assert_eq!(found, ["b: owners []", "c: owners [o]"]);
    assert_eq!(plan(&[owner()]), ["a: finalizers []"]);
}

#[test]
fn a_write_names_the_version_that_it_follows_from() {
    let things = [thing("b", &["a"], json!({"resourceVersion": "7"}))];
    let objects = [Object { api_version: "v1", kind: "Thing", metadata: &things[0] }];
    let writes = plan_garbage(&objects, &|_, _| true);
    assert_eq!((writes[0].uid.as_str(), writes[0].resource_version.as_str()), ("b", "7"));
}

/// Carries writes out as a server would: deletion waits for finalizers.
fn apply(things: &mut Vec<Metadata>, writes: Vec<Write>) {
    for write in writes {
        let Some(thing) = things.iter_mut().find(|thing| thing.uid == write.uid) else { continue };
        if thing.resource_version != write.resource_version {
            continue;
        }
        thing.resource_version.push('+');
        match write.action {
            Action::SetOwners(owners) => thing.owner_references = owners,
            Action::SetFinalizers(finalizers) => thing.finalizers = finalizers,
            Action::Delete(propagation) => {
                thing.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
                let finalizer = match propagation {
                    Propagation::Background => None,
                    Propagation::Foreground => Some(FOREGROUND.to_owned()),
                    Propagation::Orphan => Some(ORPHAN.to_owned()),
                };
                thing.finalizers.retain(|name| name != FOREGROUND && name != ORPHAN);
                thing.finalizers.extend(finalizer);
            }
        }
        let uid = write.uid;
        things.retain(|thing| thing.uid != uid || thing.deletion_timestamp.is_none() || !thing.finalizers.is_empty());
    }
}

fn any_thing(number: usize) -> impl Strategy<Value = Metadata> {
    // Owners `o0` to `o6`; only the first five may exist.
    let owner =
        (0usize..7, any::<bool>()).prop_map(|(owner, blocks)| format!("o{owner}{}", if blocks { "!" } else { "" }));
    let finalizer = prop::sample::select(vec!["", "", "", FOREGROUND, ORPHAN]);
    (prop::collection::vec(owner, 0..3), finalizer).prop_map(move |(owners, finalizer)| {
        let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
        thing(&format!("o{number}"), &owners, if finalizer.is_empty() { json!({}) } else { deleting(&[finalizer]) })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn collection_ends_and_leaves_no_object_without_an_owner(
        all in (any_thing(0), any_thing(1), any_thing(2), any_thing(3), any_thing(4))
    ) {
        let mut things = vec![all.0, all.1, all.2, all.3, all.4];
        let mut rounds = 0;
        loop {
            let objects: Vec<Object<'_>> =
                things.iter().map(|metadata| Object { api_version: "v1", kind: "Thing", metadata }).collect();
            let writes = plan_garbage(&objects, &|_, _| true);
            if writes.is_empty() {
                break;
            }
            apply(&mut things, writes);
            rounds += 1;
            prop_assert!(rounds < 50, "it goes on and on: {things:?}");
        }
        for thing in &things {
            let exists = |owner: &OwnerReference| things.iter().any(|other| other.uid == owner.uid);
            prop_assert!(thing.owner_references.iter().all(exists), "{} names an owner that is gone", thing.name);
            prop_assert!(thing.deletion_timestamp.is_none(), "{} never went: {things:?}", thing.name);
        }
    }
}
