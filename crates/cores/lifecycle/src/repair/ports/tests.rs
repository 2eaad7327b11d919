use serde_json::json;

use super::*;
use crate::fixture::decode;

fn service(name: &str, node_ports: &[u16], health_check: u16) -> Service {
    let ports: Vec<_> = node_ports.iter().map(|port| json!({"port": 80, "nodePort": port})).collect();
    let spec = json!({"type": "LoadBalancer", "ports": ports, "healthCheckNodePort": health_check});
    decode(json!({"metadata": {"namespace": "default", "name": name}, "spec": spec}))
}

fn key(name: &str) -> Key {
    ("default".to_owned(), name.to_owned())
}

fn held(ports: &[(u16, &str)]) -> BTreeMap<u16, Key> {
    ports.iter().map(|(port, name)| (*port, key(name))).collect()
}

fn plan(services: &[Service], ports: &[(u16, &str)], leaks: &mut Leaks) -> PortPlan {
    plan_ports(&services.iter().collect::<Vec<_>>(), &held(ports), &(30000..=32767), leaks)
}

#[test]
fn s146_each_port_of_a_service_is_checked() {
    let check = |id: &str, services: &[Service], ports: &[(u16, &str)], claim: &[(u16, &str)], told: &[&str]| {
        let plan = plan(services, ports, &mut Leaks::default());
        assert_eq!(plan.claim, held(claim), "{id}");
        let found: Vec<String> =
            plan.events.iter().map(|event| format!("{} {}", event.reason, event.regarding.name)).collect();
        assert_eq!(found, told, "{id}");
    };
    let web = || service("web", &[30001], 0);
    check("s146-right", &[web()], &[(30001, "web")], &[], &[]);
    check("s146-not-allocated", &[web()], &[], &[(30001, "web")], &["PortNotAllocated web"]);
    check("s146-held-by-another", &[web()], &[(30001, "x")], &[], &["PortAlreadyAllocated web"]);
    check("s146-out-of-range", &[service("web", &[80], 0)], &[], &[], &["PortOutOfRange web"]);
    check("s146-held-out-of-range", &[service("web", &[80], 0)], &[(80, "web")], &[], &["PortOutOfRange web"]);
    check("s146-health-check", &[service("web", &[], 30009)], &[], &[(30009, "web")], &["PortNotAllocated web"]);
    check("s146-two-protocols", &[service("web", &[30001, 30001], 0)], &[(30001, "web")], &[], &[]);
    check(
        "s146-two-services",
        &[service("b", &[30001], 0), service("a", &[30001], 0)],
        &[],
        &[(30001, "a")],
        &["PortNotAllocated a", "PortAlreadyAllocated b"],
    );
}

#[test]
fn s146_a_leaked_port_is_released_at_its_third_sighting() {
    let mut leaks = Leaks::default();
    let ports = [(30001, "gone"), (30002, "web")];
    let services = [service("web", &[30002], 0)];
    assert_eq!(plan(&services, &ports, &mut leaks), PortPlan::default());
    assert_eq!(plan(&services, &ports, &mut leaks), PortPlan::default());
    assert_eq!(plan(&services, &ports, &mut leaks).release, held(&[(30001, "gone")]));
}

#[test]
fn s146_sightings_must_follow_one_another() {
    let mut leaks = Leaks::default();
    let ports = [(30001, "late")];
    let late = [service("late", &[30001], 0)];
    plan(&[], &ports, &mut leaks);
    plan(&[], &ports, &mut leaks);
    assert_eq!(plan(&late, &ports, &mut leaks), PortPlan::default());
    assert_eq!(leaks, Leaks::default(), "it was needed meanwhile");
    assert_eq!(plan(&[], &ports, &mut leaks), PortPlan::default());
}
