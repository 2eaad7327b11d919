use api::EndpointSubset;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{not_ready, pod, pods, service};

fn plan(service: &Service, pods: &[Pod], existing: Option<&Endpoints>) -> EndpointsPlan {
    let pods: Vec<&Pod> = pods.iter().collect();
    plan_endpoints(&EndpointsInputs { service, pods: &pods, existing, trigger: None })
}

fn created(service: &Service, pods: &[Pod]) -> Endpoints {
    match plan(service, pods, None) {
        EndpointsPlan::Create(endpoints) => endpoints,
        other => panic!("expected a creation, found {other:?}"),
    }
}

/// Subsets as text: `ready addresses / not ready ones : ports`.
fn render(subsets: &[EndpointSubset]) -> Vec<String> {
    let list = |addresses: &[EndpointAddress]| {
        addresses.iter().map(|address| address.ip.as_str()).collect::<Vec<_>>().join(",")
    };
    let ports = |subset: &EndpointSubset| {
        subset.ports.iter().filter_map(|port| port.port).map(|port| port.to_string()).collect::<Vec<_>>().join(",")
    };
    subsets
        .iter()
        .map(|subset| format!("{}/{}:{}", list(&subset.addresses), list(&subset.not_ready_addresses), ports(subset)))
        .collect()
}

fn deleting() -> Value {
    json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
}

#[test]
fn s224_the_object_is_named_as_the_service_and_complete() {
    let web = service(json!({"metadata": {"labels": {"team": "x"}}}));
    let found = created(&web, &[pod("a", "10.1.0.1", json!({"spec": {"hostname": "h", "subdomain": "web"}}))]);
    let expected = json!({
        "metadata": {"name": "web", "namespace": "default",
                     "labels": {"team": "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}},
        "subsets": [{
            "addresses": [{"ip": "10.1.0.1", "hostname": "h", "nodeName": "n1",
                           "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": "uid-a"}}],
            "ports": [{"protocol": "TCP", "port": 80}],
        }],
    });
    assert_eq!(serde_json::to_value(found).expect("Endpoints encode"), expected);
}

#[test]
fn s224_services_without_a_selector_are_left_alone() {
    let mut web = service(json!({}));
    web.spec.selector.clear();
    assert_eq!(plan(&web, &pods(1), None), EndpointsPlan::Keep);
    let alias = service(json!({"spec": {"type": "ExternalName"}}));
    assert_eq!(plan(&alias, &pods(1), None), EndpointsPlan::Keep);
}

#[test]
fn s224_the_first_family_decides() {
    let ips = json!({"status": {"podIPs": [{"ip": "10.1.0.1"}, {"ip": "FD00::1"}]}});
    let dual = service(json!({"spec": {"ipFamilies": ["IPv6", "IPv4"]}}));
    let found = created(&dual, &[pod("a", "10.1.0.1", ips), pod("b", "10.1.0.2", json!({}))]);
    assert_eq!(render(&found.subsets), ["fd00::1/:80"], "a Pod without the family is left out (S-225)");
}

#[test]
fn s224_s225_readiness_and_deletion_decide_where_a_pod_stands() {
    let check = |id: &str, publish: bool, patch: Value, expected: &[&str]| {
        let web = service(json!({"spec": {"publishNotReadyAddresses": publish}}));
        assert_eq!(render(&created(&web, &[pod("a", "10.1.0.1", patch)]).subsets), expected, "{id}");
    };
    check("s225-ready", false, json!({}), &["10.1.0.1/:80"]);
    check("s225-not-ready", false, not_ready(), &["/10.1.0.1:80"]);
    check("s224-deleting", false, deleting(), &[]);
    check("s225-published", true, not_ready(), &["10.1.0.1/:80"]);
    check("s224-published-deleting", true, deleting(), &["10.1.0.1/:80"]);
    check("s225-missing-node", false, json!({"spec": {"nodeName": "gone"}}), &["10.1.0.1/:80"]);
    check("s202-ended", false, json!({"status": {"phase": "Failed"}}), &[]);
}

#[test]
fn s226_ports_that_the_same_addresses_serve_are_joined() {
    let ports = json!([{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 443}]);
    let web = service(json!({"spec": {"ports": ports}}));
    let named = |name: &str, address: &str| {
        let containers = json!([{"name": "c", "ports": [{"name": "http", "containerPort": 80}]}]);
        pod(name, address, json!({"spec": {"containers": containers}}))
    };
    let same = created(&web, &[named("y", "10.1.0.2"), named("x", "10.1.0.1")]);
    assert_eq!(render(&same.subsets), ["10.1.0.1,10.1.0.2/:80,443"]);
    let differing = created(&web, &[named("x", "10.1.0.1"), pod("y", "10.1.0.2", json!({}))]);
    assert_eq!(render(&differing.subsets), ["10.1.0.1/:80", "10.1.0.1,10.1.0.2/:443"]);
}

#[test]
fn s226_not_ready_wins_on_one_port() {
    let offer = |ready| {
        let address = EndpointAddress { ip: "10.1.0.1".to_owned(), ..EndpointAddress::default() };
        let port = api::EndpointPort { port: Some(80), ..api::EndpointPort::default() };
        Offer { address, port: Some(port), ready }
    };
    assert_eq!(render(&repack(vec![offer(true), offer(false), offer(true)])), ["/10.1.0.1:80"]);
}

#[test]
fn s226_without_ports_only_headless_services_have_subsets() {
    let headless = service(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": []}}));
    assert_eq!(render(&created(&headless, &pods(2)).subsets), ["10.1.100.100,10.1.100.101/:"]);
    let web = service(json!({"spec": {"ports": []}}));
    assert_eq!(render(&created(&web, &pods(2)).subsets), Vec::<String>::new());
}

#[test]
fn s226_an_object_in_another_order_is_not_rewritten() {
    let web = service(json!({}));
    let mut existing = created(&web, &pods(3));
    existing.subsets[0].addresses.reverse();
    assert_eq!(plan(&web, &pods(3), Some(&existing)), EndpointsPlan::Keep);
}

#[test]
fn s227_labels_follow_the_service() {
    let headless = service(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}));
    let mut existing = created(&headless, &pods(1));
    assert_eq!(existing.metadata.labels.get(HEADLESS_LABEL).map(String::as_str), Some(""));
    existing.metadata.uid = "u".to_owned();
    existing.metadata.annotations.insert("kept".to_owned(), "yes".to_owned());
    match plan(&service(json!({})), &pods(1), Some(&existing)) {
        EndpointsPlan::Update(update) => {
            assert!(!update.metadata.labels.contains_key(HEADLESS_LABEL));
            assert_eq!(update.metadata.uid, "u");
            assert_eq!(update.metadata.annotations.get("kept").map(String::as_str), Some("yes"));
        }
        other => panic!("expected an update, found {other:?}"),
    }
}

#[test]
fn s227_the_trigger_time_is_written_with_changes_only() {
    let web = service(json!({}));
    let time = Some("2026-01-01T00:00:00Z");
    let with = |pods: &[Pod], existing: Option<&Endpoints>| {
        let pods: Vec<&Pod> = pods.iter().collect();
        plan_endpoints(&EndpointsInputs { service: &web, pods: &pods, existing, trigger: time })
    };
    let EndpointsPlan::Create(first) = with(&pods(1), None) else { panic!("expected a creation") };
    assert_eq!(first.metadata.annotations.get(crate::LAST_CHANGE_TRIGGER_TIME).map(String::as_str), time);
    assert_eq!(with(&pods(1), Some(&first)), EndpointsPlan::Keep);
    let EndpointsPlan::Update(second) = plan(&web, &pods(2), Some(&first)) else { panic!("expected an update") };
    assert!(!second.metadata.annotations.contains_key(crate::LAST_CHANGE_TRIGGER_TIME));
}

#[test]
fn s228_a_thousand_addresses_fit_and_no_more() {
    let web = service(json!({}));
    let full = created(&web, &pods(1000));
    assert!(!full.metadata.annotations.contains_key(OVER_CAPACITY));

    let over = created(&web, &pods(1001));
    assert_eq!(over.subsets[0].addresses.len(), 1000);
    assert_eq!(over.metadata.annotations.get(OVER_CAPACITY).map(String::as_str), Some("truncated"));
    assert_eq!(plan(&web, &pods(1001), Some(&over)), EndpointsPlan::Keep);

    let EndpointsPlan::Update(under) = plan(&web, &pods(5), Some(&over)) else { panic!("expected an update") };
    assert!(!under.metadata.annotations.contains_key(OVER_CAPACITY));
}

#[test]
fn s228_subsets_give_up_their_shares_and_ready_ones_last() {
    let subset = |port: u16, ready: usize, not_ready: usize| {
        let list = |count: usize| vec![EndpointAddress::default(); count];
        let port = api::EndpointPort { port: Some(port), ..api::EndpointPort::default() };
        EndpointSubset { addresses: list(ready), not_ready_addresses: list(not_ready), ports: vec![port] }
    };
    let check = |id: &str, sizes: &[(usize, usize)], expected: &[(usize, usize)]| {
        let mut subsets: Vec<EndpointSubset> =
            sizes.iter().enumerate().map(|(index, (ready, rest))| subset(index as u16 + 1, *ready, *rest)).collect();
        truncate(&mut subsets, 10);
        let found: Vec<(usize, usize)> =
            subsets.iter().map(|subset| (subset.addresses.len(), subset.not_ready_addresses.len())).collect();
        assert_eq!(found, expected, "{id}");
    };
    check("s228-fits", &[(4, 1), (2, 3)], &[(4, 1), (2, 3)]);
    check("s228-not-ready-first", &[(4, 4), (4, 4)], &[(4, 1), (4, 1)]);
    check("s228-only-ready-left", &[(12, 4), (4, 4)], &[(8, 0), (2, 0)]);
    check("s228-proportional", &[(10, 0), (10, 0)], &[(5, 0), (5, 0)]);
    check("s228-emptied-subsets-go", &[(10, 0), (0, 5)], &[(10, 0)]);
}

#[test]
fn s229_orphans_go_unless_they_hold_an_election() {
    let mut endpoints = created(&service(json!({})), &pods(1));
    assert!(is_orphan(&endpoints, false));
    assert!(!is_orphan(&endpoints, true));
    endpoints.metadata.annotations.insert(LEADER.to_owned(), "{}".to_owned());
    assert!(!is_orphan(&endpoints, false));
}

/// Pods that differ in readiness, deletion and what they call their port; some share an address, as on a host network.
fn any_pods() -> impl Strategy<Value = Vec<Pod>> {
    let any_pod = (0u8..6, any::<bool>(), 0u8..4, 0u16..3);
    prop::collection::vec(any_pod, 0..20).prop_map(|list| {
        let numbered = list.into_iter().enumerate();
        numbered
            .map(|(number, (address, ready, going, port))| {
                let mut patch = if ready { json!({}) } else { not_ready() };
                if going == 0 {
                    patch = crate::fixture::merge(patch, deleting());
                }
                if port > 0 {
                    let ports = json!([{"name": "http", "containerPort": 8000 + port}]);
                    patch =
                        crate::fixture::merge(patch, json!({"spec": {"containers": [{"name": "c", "ports": ports}]}}));
                }
                pod(&format!("p{number}"), &format!("10.1.0.{address}"), patch)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_second_plan_writes_nothing_and_order_does_not_matter(first in any_pods(), second in any_pods()) {
        let ports = json!([{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 443}]);
        let web = service(json!({"spec": {"ports": ports}}));
        let before = created(&web, &first);
        let fresh = created(&web, &second);
        let after = match plan(&web, &second, Some(&before)) {
            EndpointsPlan::Keep => before,
            EndpointsPlan::Update(endpoints) => endpoints,
            EndpointsPlan::Create(_) => panic!("the object exists"),
            EndpointsPlan::Step(_) => panic!("no address moves"),
        };
        prop_assert_eq!(&after, &fresh, "where it came from does not matter");
        let reversed: Vec<Pod> = second.iter().rev().cloned().collect();
        prop_assert_eq!(plan(&web, &reversed, Some(&after)), EndpointsPlan::Keep);
        for subset in &after.subsets {
            prop_assert!(!subset.ports.is_empty());
            prop_assert!(!subset.addresses.is_empty() || !subset.not_ready_addresses.is_empty());
        }
    }
}

#[test]
fn s230_an_address_that_moves_to_another_node_is_left_out_first_and_added_next() {
    let web = service(json!({}));
    let stays = pod("s", "10.1.0.2", json!({}));
    let on = |name: &str, node: &str| pod(name, "10.1.0.1", json!({"spec": {"nodeName": node}}));
    let before = created(&web, &[on("a", "n1"), stays.clone()]);
    let after = [on("b", "n2"), stays];
    let EndpointsPlan::Step(first) = plan(&web, &after, Some(&before)) else { panic!("it takes two steps") };
    assert_eq!(render(&first.subsets), ["10.1.0.2/:80"]);
    let EndpointsPlan::Update(second) = plan(&web, &after, Some(&first)) else { panic!("nothing moves any more") };
    assert_eq!(render(&second.subsets), ["10.1.0.1,10.1.0.2/:80"]);
    assert_eq!(plan(&web, &after, Some(&second)), EndpointsPlan::Keep);
    let EndpointsPlan::Step(none) = plan(&web, &after[..1], Some(&created(&web, &[on("a", "n1")]))) else {
        panic!("it takes two steps")
    };
    assert_eq!(render(&none.subsets), [""; 0], "a subset without addresses would be refused");
}
