use serde_json::json;

use super::*;
use crate::fixture;

fn pod_ready_since(name: &str, time: &str) -> Pod {
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": time}]);
    fixture::pod(name, "10.1.0.1", json!({"status": {"conditions": ready}}))
}

/// What a write of the slices would tell after this.
fn observed(times: &mut TriggerTimes, service: &Service, pods: &[&Pod]) -> Option<String> {
    times.observe(service, pods);
    times.take(Part::Slices).map(|time| time.to_string())
}

#[test]
fn s211_first_sight_is_the_services_creation_and_then_the_earliest_news() {
    let service = fixture::service(json!({}));
    let mut times = TriggerTimes::default();
    let mut check = |id: &str, pods: &[(&str, &str)], expected: Option<&str>| {
        let pods: Vec<Pod> = pods.iter().map(|(name, time)| pod_ready_since(name, time)).collect();
        let pods: Vec<&Pod> = pods.iter().collect();
        assert_eq!(observed(&mut times, &service, &pods).as_deref(), expected, "{id}");
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
    observed(&mut times, &fixture::service(json!({})), &[]);
    let anew = fixture::service(json!({"metadata": {"creationTimestamp": "2026-03-01T00:00:00Z"}}));
    assert_eq!(observed(&mut times, &anew, &[]).as_deref(), Some("2026-03-01T00:00:00Z"));
}

#[test]
fn s211_pods_that_the_service_does_not_select_are_no_news() {
    let mut times = TriggerTimes::default();
    let service = fixture::service(json!({"spec": {"selector": {"app": "other"}}}));
    observed(&mut times, &service, &[]);
    assert_eq!(observed(&mut times, &service, &[&pod_ready_since("a", "2026-02-01T00:00:00Z")]), None);
}

#[test]
fn s211_s227_a_time_that_a_failed_write_did_not_tell_is_told_by_the_next_of_the_same_part() {
    let service = fixture::service(json!({}));
    let mut times = TriggerTimes::default();
    times.observe(&service, &[]);
    let created = times.take(Part::Slices);
    assert_eq!(times.take(Part::Slices), None, "it is told once");
    times.observe(&service, &[&pod_ready_since("a", "2026-02-01T00:00:00.5Z")]);
    times.put_back(Part::Slices, created);
    let text = |time: Option<Timestamp>| time.expect("a time is left").to_string();
    assert_eq!(text(times.take(Part::Slices)), "2026-01-01T00:00:00Z", "the earliest of both");
    assert_eq!(text(times.take(Part::Endpoints)), "2026-01-01T00:00:00Z", "the other part has told of nothing yet");
    assert_eq!((times.take(Part::Slices), times.take(Part::Endpoints)), (None, None));
}
