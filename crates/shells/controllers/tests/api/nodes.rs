//! Nodes get Pod ranges, and are found out when they fall silent.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Plane, pod, ready_node, service, settings};

fn lease(node: &str) -> Value {
    let spec = json!({ "holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": Timestamp::now().to_string() });
    json!({ "metadata": { "name": node }, "spec": spec })
}

fn condition<'a>(object: &'a Value, r#type: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == r#type).unwrap_or(&Value::Null)
}

/// A ready Pod on a node, with an address.
async fn running_pod(plane: &Plane, name: &str, node: &str, address: &str) {
    let mut object = pod(name, json!({ "app": "web" }));
    object["spec"]["nodeName"] = node.into();
    plane.create("/api/v1/namespaces/default/pods", object).await;
    let ready = json!({ "type": "Ready", "status": "True" });
    let status = json!({ "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }], "conditions": [ready] });
    plane.merge(&format!("/api/v1/namespaces/default/pods/{name}/status"), json!({ "status": status })).await;
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices\
                      ?labelSelector=kubernetes.io%2Fservice-name%3Dweb";

/// The addresses of the Service's endpoints that are ready.
fn ready_addresses(slices: &Value) -> BTreeSet<String> {
    let slices = slices["items"].as_array().expect("a list").iter();
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    ready.filter_map(|endpoint| endpoint["addresses"][0].as_str().map(str::to_owned)).collect()
}

fn set(addresses: &[&str]) -> BTreeSet<String> {
    addresses.iter().map(|address| (*address).to_owned()).collect()
}

#[tokio::test]
async fn a_silent_node_is_unknown_and_its_pods_leave_their_services() {
    let grace = SignedDuration::from_secs(2);
    let plane = Plane::start_with(controllers::Settings { node_grace: grace, ..settings() }).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    for node in ["live", "dead"] {
        plane.create(leases, lease(node)).await;
        plane.create("/api/v1/nodes", ready_node(node)).await;
    }
    plane.create("/api/v1/namespaces/default/services", service("web", json!({ "app": "web" }))).await;
    running_pod(&plane, "a", "live", "10.0.0.1").await;
    running_pod(&plane, "b", "dead", "10.0.0.2").await;
    let both = set(&["10.0.0.1", "10.0.0.2"]);
    plane.wait(SLICES, "both Pods serve", |slices| ready_addresses(slices) == both).await;

    // From here on only one of them gives signs of life.
    let renew = async {
        loop {
            plane.put(&format!("{leases}/live"), lease("live")).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let watch = async {
        let unknown = |node: &Value| condition(node, "Ready")["status"] == "Unknown";
        let node = plane.wait("/api/v1/nodes/dead", "the silent node is Unknown", unknown).await;
        assert_eq!(condition(&node, "Ready")["reason"], "NodeStatusUnknown");
        let tainted = |node: &Value| node["spec"]["taints"][0]["key"] == "node.kubernetes.io/unreachable";
        plane.wait("/api/v1/nodes/dead", "the silent node is tainted", tainted).await;
        let not_ready = |pod: &Value| condition(pod, "Ready")["status"] == "False";
        plane.wait("/api/v1/namespaces/default/pods/b", "its Pod is not ready", not_ready).await;
        let live = set(&["10.0.0.1"]);
        plane.wait(SLICES, "its endpoint is not ready", |slices| ready_addresses(slices) == live).await;
        plane.event("default", "dead", "NodeNotReady").await;
        let node = plane.get("/api/v1/nodes/live").await;
        assert_eq!(condition(&node, "Ready")["status"], "True", "{node:#}");
        assert_eq!(node["spec"]["taints"], Value::Null, "{node:#}");

        // It comes back: the agent renews its Lease and posts its own condition; the taint is taken away.
        let revive = async {
            loop {
                plane.put(&format!("{leases}/dead"), lease("dead")).await;
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        let ready = json!([{ "type": "Ready", "status": "True", "reason": "KubeletReady" }]);
        let back = async {
            let found = |lease: &Value| lease["spec"]["renewTime"] != Value::Null;
            plane.wait(&format!("{leases}/dead"), "it renews", found).await;
            plane.merge("/api/v1/nodes/dead/status", json!({ "status": { "conditions": ready } })).await;
            let clean = |node: &Value| {
                node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
                    && condition(node, "Ready")["status"] == "True"
            };
            plane.wait("/api/v1/nodes/dead", "it is ready again, without taint", clean).await;
        };
        tokio::select! { () = back => {}, () = revive => unreachable!("it renews for ever") }
    };
    tokio::select! { () = watch => {}, () = renew => unreachable!("it renews for ever") }
    plane.assert_healthy();
}

/// The slice in which a node's agent publishes its DNS server.
fn dns_slice(node: &str, address: &str) -> Value {
    let labels = json!({
        "kubernetes.io/service-name": "kube-dns",
        "endpointslice.kubernetes.io/managed-by": "maitred-agent.maitred.dev",
    });
    let endpoint = json!({
        "addresses": [address], "nodeName": node, "zone": "z",
        "conditions": { "ready": true, "serving": true, "terminating": false },
        "hints": { "forNodes": [{ "name": node }], "forZones": [{ "name": "z" }] },
    });
    json!({
        "metadata": { "name": format!("kube-dns-{node}"), "labels": labels }, "addressType": "IPv4",
        "ports": [{ "name": "dns", "protocol": "UDP", "port": 53 }], "endpoints": [endpoint],
    })
}

#[tokio::test]
async fn the_dns_endpoint_of_a_silent_node_is_not_ready_until_its_agent_says_so_again() {
    let grace = SignedDuration::from_secs(2);
    let plane = Plane::start_with(controllers::Settings { node_grace: grace, ..settings() }).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
    for (node, address) in [("live", "192.0.2.1"), ("dead", "192.0.2.2")] {
        plane.create(leases, lease(node)).await;
        plane.create("/api/v1/nodes", ready_node(node)).await;
        plane.create(slices, dns_slice(node, address)).await;
    }
    let alive = format!("{slices}/kube-dns-live");
    let before = plane.get(&alive).await;
    // What the agents of these nodes say all the time.
    let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True", "reason": "AgentReady" }] } });
    let live = async |nodes: &[&str]| -> std::convert::Infallible {
        loop {
            for node in nodes {
                plane.put(&format!("{leases}/{node}"), lease(node)).await;
                plane.merge(&format!("/api/v1/nodes/{node}/status"), ready.clone()).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let path = format!("{slices}/kube-dns-dead");
    let not_ready = |slice: &Value| slice["endpoints"][0]["conditions"]["ready"] == false;
    let withdrawn = async {
        let slice = plane.wait(&path, "the silent node's endpoint is not ready", not_ready).await;
        let mut expected = dns_slice("dead", "192.0.2.2")["endpoints"][0].clone();
        expected["conditions"] = json!({ "ready": false, "serving": false, "terminating": false });
        expected.as_object_mut().expect("an endpoint").remove("hints");
        assert_eq!(slice["endpoints"], json!([expected]));
    };
    tokio::select! { () = withdrawn => {}, _ = live(&["live"]) => {} }
    assert_eq!(plane.get(&alive).await, before, "nobody touched the live node's");

    // The agent is back, and writes its slice anew.
    let back = async {
        let clean = |node: &Value| node["spec"]["taints"].as_array().is_none_or(Vec::is_empty);
        plane.wait("/api/v1/nodes/dead", "it is no longer tainted", clean).await;
        let again = plane.put(&path, dns_slice("dead", "192.0.2.2")).await;
        // By the time that a later slice, of a node without signs of life, is withdrawn, this one has been looked at.
        let mut silent = lease("silent");
        silent["spec"]["renewTime"] = json!("2026-01-01T00:00:00.000000Z");
        plane.create(leases, silent).await;
        plane.create("/api/v1/nodes", ready_node("silent")).await;
        plane.create(slices, dns_slice("silent", "192.0.2.3")).await;
        plane.wait(&format!("{slices}/kube-dns-silent"), "the other one is not ready", not_ready).await;
        assert_eq!(plane.get(&path).await, again, "it stays");
    };
    tokio::select! { () = back => {}, _ = live(&["live", "dead"]) => {} }
    plane.assert_healthy();
}

#[tokio::test]
async fn nodes_get_disjoint_ranges_of_both_families_until_none_is_left() {
    let ranges = ["10.244.0.0/22".parse().expect("a range"), "fd00:10:244::/56".parse().expect("a range")];
    let pod_pools = controllers::pod_pools(&ranges).expect("pools");
    let plane = Plane::start_with(controllers::Settings { pod_pools, ..settings() }).await;
    for index in 0..4 {
        plane.create("/api/v1/nodes", ready_node(&format!("n{index}"))).await;
    }
    let given = |list: &Value| -> Vec<String> {
        let nodes = list["items"].as_array().expect("a list").iter();
        let ranges = nodes.flat_map(|node| node["spec"]["podCIDRs"].as_array().into_iter().flatten());
        ranges.filter_map(|range| range.as_str().map(str::to_owned)).collect()
    };
    let list = plane.wait("/api/v1/nodes", "all nodes have ranges", |list| given(list).len() == 8).await;
    let expected: BTreeSet<String> = (0..4)
        .flat_map(|n| {
            let v6 = if n == 0 { "fd00:10:244::/64".to_owned() } else { format!("fd00:10:244:{n}::/64") };
            [format!("10.244.{n}.0/24"), v6]
        })
        .collect();
    assert_eq!(given(&list).into_iter().collect::<BTreeSet<_>>(), expected);

    plane.create("/api/v1/nodes", ready_node("late")).await;
    let message = plane.event("default", "late", "CIDRNotAvailable").await;
    assert_eq!(message, "No Pod range of /24 is left in 10.244.0.0/22");
    let freed = plane.get("/api/v1/nodes/n2").await["spec"]["podCIDRs"].clone();
    plane.delete("/api/v1/nodes/n2", json!({})).await;
    plane
        .wait("/api/v1/nodes/late", "the freed ranges are given again", |node| node["spec"]["podCIDRs"] == freed)
        .await;
    plane.assert_healthy();
}
