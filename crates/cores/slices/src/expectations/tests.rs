use serde_json::json;

use super::*;

fn slice(uid: &str, generation: i64) -> EndpointSlice {
    serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid, "generation": generation}}))
        .expect("the fixture is a slice")
}

/// After creating `a` (generation 1), rewriting `b` to generation 3 and deleting `c`.
fn after_writes() -> Expectations {
    let mut expectations = Expectations::default();
    expectations.wrote(&slice("a", 1));
    expectations.wrote(&slice("b", 3));
    expectations.deleted("c");
    expectations
}

#[test]
fn s215_a_cache_older_than_our_writes_is_stale() {
    let check = |id: &str, cached: &[(&str, i64)], expected: Option<Stale>| {
        let cached: Vec<EndpointSlice> = cached.iter().map(|(uid, generation)| slice(uid, *generation)).collect();
        let cached: Vec<&EndpointSlice> = cached.iter().collect();
        assert_eq!(after_writes().stale(&cached), expected, "{id}");
    };
    check("s215-caught-up", &[("a", 1), ("b", 3)], None);
    check("s215-newer-is-fine", &[("a", 2), ("b", 9)], None);
    check("s215-others-do-not-matter", &[("a", 1), ("b", 3), ("x", 1)], None);
    check("s215-created-not-seen", &[("b", 3)], Some(Stale::Missing("a".to_owned())));
    check("s215-old-version", &[("a", 1), ("b", 2)], Some(Stale::Old("b".to_owned())));
    check("s215-still-there", &[("a", 1), ("b", 3), ("c", 1)], Some(Stale::NotDeleted("c".to_owned())));
}

#[test]
fn s215_a_deleting_slice_counts_as_deleted() {
    let mut deleting = slice("c", 1);
    deleting.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
    assert_eq!(after_writes().stale(&[&slice("a", 1), &slice("b", 3), &deleting]), None);
}

#[test]
fn s217_what_we_did_not_do_is_unexpected() {
    let mut expectations = after_writes();
    assert!(!expectations.is_unexpected(&slice("b", 3)), "our own write");
    assert!(!expectations.is_unexpected(&slice("b", 2)), "an older one of ours");
    assert!(expectations.is_unexpected(&slice("b", 4)), "somebody else's edit");
    assert!(expectations.is_unexpected(&slice("x", 1)), "somebody else's slice");
    assert!(expectations.disappeared("c"), "our own deletion");
    assert!(!expectations.disappeared("a"), "somebody else's deletion");
    assert_eq!(expectations.stale(&[&slice("b", 3)]), None, "what is gone is no longer waited for");
}

#[test]
fn s215_a_slice_that_went_unseen_is_no_longer_waited_for() {
    let mut expectations = after_writes();
    expectations.forget_missing(|uid| uid != "a");
    assert_eq!(expectations.stale(&[&slice("b", 2)]), Some(Stale::Old("b".to_owned())), "what exists is");
    assert_eq!(expectations.stale(&[&slice("b", 3), &slice("c", 1)]), Some(Stale::NotDeleted("c".to_owned())));
    assert_eq!(expectations.stale(&[&slice("b", 3)]), None);
}
