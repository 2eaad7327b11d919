use super::*;
use crate::fixture::{at, decode, merge};

fn net(text: &str) -> IpNet {
    text.parse().expect("the fixture is a range")
}

fn cidr(name: &str, ranges: &[&str], patch: Value) -> ServiceCidr {
    let base = json!({"metadata": {"name": name, "resourceVersion": "7"}, "spec": {"cidrs": ranges}});
    decode(merge(base, patch))
}

fn address(name: &str) -> IpAddress {
    decode(json!({"metadata": {"name": name}}))
}

/// Deleted at 12:00:00, held by us and by somebody else.
fn deleting() -> Value {
    json!({"metadata": {"deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": ["other", FINALIZER]}})
}

#[test]
fn s143_the_default_object_follows_the_configuration() {
    let (v4, v6) = ("10.96.0.0/16", "fd00::/112");
    let check = |id: &str, found: Option<&[&str]>, configured: &[&str], expected: &str| {
        let found = found.map(|ranges| cidr("kubernetes", ranges, json!({})));
        let configured: Vec<IpNet> = configured.iter().map(|range| net(range)).collect();
        let plan = match plan_default(found.as_ref(), &configured) {
            DefaultPlan::Keep => "keep".to_owned(),
            DefaultPlan::Create(created) => format!("create {} {:?}", created.metadata.name, created.spec.cidrs),
            DefaultPlan::AddFamily(patch) => patch.to_string(),
            DefaultPlan::Inconsistent(event) => event.reason.to_owned(),
        };
        assert_eq!(plan, expected, "{id}");
    };
    let inconsistent = "KubernetesDefaultServiceCIDRInconsistent";
    check("s143-created", None, &[v4], "create kubernetes [10.96.0.0/16]");
    check("s143-same", Some(&[v4, v6]), &[v4, v6], "keep");
    let upgrade = json!({"metadata": {"resourceVersion": "7"}, "spec": {"cidrs": [v4, v6]}}).to_string();
    check("s143-upgraded", Some(&[v4]), &[v4, v6], &upgrade);
    check("s143-other-range", Some(&[v4]), &["10.0.0.0/16"], inconsistent);
    check("s143-other-first-family", Some(&[v4]), &[v6, v4], inconsistent);
    check("s143-never-downgraded", Some(&[v4, v6]), &[v4], inconsistent);
}

#[test]
fn s143_a_living_object_is_held_and_ready() {
    let fresh = cidr("a", &["10.0.0.0/24"], json!({"metadata": {"finalizers": ["other"]}}));
    let plan = plan_service_cidr(&fresh, &[&fresh], &[], at("12:00:00"));
    let finalizers = json!({"metadata": {"resourceVersion": "7", "finalizers": ["other", FINALIZER]}});
    assert_eq!(plan.finalizers, Some(finalizers.clone()));
    let status = plan.status.expect("Ready is missing");
    assert_eq!(status["status"]["conditions"][0]["status"], "True");

    let settled = cidr("a", &["10.0.0.0/24"], merge(finalizers, status));
    assert_eq!(plan_service_cidr(&settled, &[&settled], &[], at("12:00:01")), ServiceCidrPlan::default());
}

#[test]
fn s144_deletion_waits_for_addresses_that_nothing_else_covers() {
    let going = cidr("a", &["10.0.0.0/24"], deleting());
    let other = |range: &str, patch: Value| cidr("b", &[range], patch);
    let check = |id: &str, other: ServiceCidr, held: &str, waits: bool| {
        let plan = plan_service_cidr(&going, &[&going, &other], &[&address(held)], at("12:01:00"));
        assert_eq!(plan.finalizers.is_none(), waits, "{id}");
        assert_eq!(plan.status.is_some(), waits, "{id}");
        if let Some(status) = plan.status {
            let condition = &status["status"]["conditions"][0];
            assert_eq!(
                (condition["status"].as_str(), condition["reason"].as_str()),
                (Some("False"), Some("Terminating"))
            );
        }
    };
    check("s144-orphan", other("10.1.0.0/24", json!({})), "10.0.0.5", true);
    check("s144-covered", other("10.0.0.0/28", json!({})), "10.0.0.5", false);
    check("s144-covered-elsewhere", other("10.0.0.0/28", json!({})), "10.0.0.50", true);
    check("s144-cover-goes-too", other("10.0.0.0/28", deleting()), "10.0.0.5", true);
    check("s144-not-its-address", other("10.1.0.0/24", json!({})), "10.9.0.5", false);
}

#[test]
fn s144_the_finalizer_goes_after_a_grace_period() {
    let going = cidr("a", &["10.0.0.0/24"], deleting());
    let early = plan_service_cidr(&going, &[&going], &[], at("12:00:09.5"));
    assert_eq!(early, ServiceCidrPlan { wake: Some(at("12:00:10")), ..ServiceCidrPlan::default() });
    let late = plan_service_cidr(&going, &[&going], &[], at("12:00:10"));
    let others = json!({"metadata": {"resourceVersion": "7", "finalizers": ["other"]}});
    assert_eq!(late, ServiceCidrPlan { finalizers: Some(others), ..ServiceCidrPlan::default() });
    let released = cidr("a", &[], json!({"metadata": {"deletionTimestamp": "2026-01-01T12:00:00Z"}}));
    assert_eq!(plan_service_cidr(&released, &[&released], &[], at("12:01:00")), ServiceCidrPlan::default());
}
