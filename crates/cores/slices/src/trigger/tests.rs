use serde_json::json;

use super::*;
use crate::fixture;

fn pod_ready_since(name: &str, time: &str) -> Pod {
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": time}]);
    fixture::pod(name, "10.1.0.1", json!({"status": {"conditions": ready}}))
}

#[test]
fn s211_first_sight_is_the_services_creation_and_then_the_earliest_news() {
    let service = fixture::service(json!({}));
    let mut times = TriggerTimes::default();
    let mut check = |id: &str, pods: &[(&str, &str)], expected: Option<&str>| {
        let pods: Vec<Pod> = pods.iter().map(|(name, time)| pod_ready_since(name, time)).collect();
        let pods: Vec<&Pod> = pods.iter().collect();
        assert_eq!(times.observe(&service, &pods).as_deref(), expected, "{id}");
    };
    check("s211-first-sight", &[("a", "2026-01-02T00:00:00Z")], Some("2026-01-01T00:00:00Z"));
    check("s211-no-news", &[("a", "2026-01-02T00:00:00Z")], None);
    check(
        "s211-earliest-of-the-changed",
        &[("a", "2026-01-02T00:00:00Z"), ("c", "2026-01-05T00:00:00Z"), ("b", "2026-01-04T00:00:00Z")],
        Some("2026-01-04T00:00:00Z"),
    );
    check("s211-going-pods-are-no-news", &[("a", "2026-01-02T00:00:00Z")], None);
    check("s211-older-is-no-news", &[("a", "2026-01-01T00:00:00Z")], None);
    check("s211-nanoseconds", &[("a", "2026-01-06T00:00:00.000000001Z")], Some("2026-01-06T00:00:00.000000001Z"));
}

#[test]
fn s211_a_service_of_the_same_name_made_anew_is_news() {
    let mut times = TriggerTimes::default();
    times.observe(&fixture::service(json!({})), &[]);
    let anew = fixture::service(json!({"metadata": {"creationTimestamp": "2026-03-01T00:00:00Z"}}));
    assert_eq!(times.observe(&anew, &[]).as_deref(), Some("2026-03-01T00:00:00Z"));
}

#[test]
fn s211_pods_that_the_service_does_not_select_are_no_news() {
    let mut times = TriggerTimes::default();
    let service = fixture::service(json!({"spec": {"selector": {"app": "other"}}}));
    times.observe(&service, &[]);
    assert_eq!(times.observe(&service, &[&pod_ready_since("a", "2026-02-01T00:00:00Z")]), None);
}
