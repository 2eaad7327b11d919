//! The node's own objects: Node and Lease.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::{Lease, Node};
use cluster::RequestError;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::driver::Shared;

/// The namespace of all nodes' Leases.
const LEASES: &str = "kube-node-lease";
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How often the conditions' heartbeat is written, if nothing else changes.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// Keeps the node registered and alive until the future is dropped. `seen` is the Node object as the API shows it, `reach`
/// the nodes that no route leads to.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    mut seen: watch::Receiver<Option<Arc<Node>>>,
    mut reach: watch::Receiver<BTreeSet<String>>,
) {
    let period = shared.config.lease_period;
    let mut reported = tokio::time::Instant::now();
    let mut registered = false;
    loop {
        let due =
            reported.elapsed() >= HEARTBEAT || seen.borrow_and_update().as_deref().is_none_or(|node| !is_fine(node));
        let moved = reach.has_changed().unwrap_or(false);
        let out_of_reach = reach.borrow_and_update().clone();
        let result = async {
            if !registered || due || moved {
                register(&shared, &out_of_reach).await?;
                registered = true;
                reported = tokio::time::Instant::now();
            }
            renew(&shared).await
        };
        let pause = match result.await {
            Ok(()) => period,
            Err(error) => {
                let error = runloop::chain(&error);
                tracing::warn!(error, "the node could not tell that it lives; trying again");
                RETRY.min(period)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Somebody may have taken the node for dead, or deleted it.
            () = lost(&mut seen) => {
                tokio::time::sleep(RETRY.min(period)).await;
            }
            Ok(()) = reach.changed() => reach.mark_changed(),
        }
    }
}

/// Waits until the API shows the node as not ready.
async fn lost(seen: &mut watch::Receiver<Option<Arc<Node>>>) {
    drop(seen.wait_for(|node| node.as_deref().is_some_and(|node| !is_fine(node))).await);
}

/// Whether the Node says that it is ready.
fn is_fine(node: &Node) -> bool {
    node.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
}

/// Creates the Node, or brings what is ours in it up to date.
async fn register(shared: &Shared, out_of_reach: &BTreeSet<String>) -> Result<(), RequestError> {
    let name = &shared.config.node_name;
    let metadata = json!({"name": name, "labels": labels(shared)});
    let current = match shared.cluster.get::<Node>("", name).await {
        Ok(node) => Some(node),
        Err(error) if error.code() == Some(404) => None,
        Err(error) => return Err(error),
    };
    let status = status(shared, current.as_ref(), out_of_reach, Timestamp::now());
    match current {
        None => shared.cluster.create::<Node>("", json!({"metadata": metadata, "status": status})).await.map(drop),
        Some(_) => {
            shared.cluster.patch::<Node>("", name, &json!({ "metadata": metadata })).await?;
            // Conditions of others stay: strategic merge goes by their type. It would do so for addresses, too, of which
            // several are of one type, so they are replaced whole.
            let mut status = status;
            if let Some(addresses) = status["addresses"].as_array_mut() {
                addresses.push(json!({"$patch": "replace"}));
            }
            let path = format!("{}/status", cluster::path::<Node>("", name));
            let (method, media) = (http::Method::PATCH, "application/strategic-merge-patch+json");
            shared.cluster.send::<Value>(method, &path, media, Some(&json!({ "status": status }))).await.map(drop)
        }
    }
}

fn labels(shared: &Shared) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": shared.config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
    });
    for (name, value) in &shared.config.labels {
        labels[name] = value.as_str().into();
    }
    labels
}

/// What the node says of itself.
fn status(shared: &Shared, current: Option<&Node>, out_of_reach: &BTreeSet<String>, now: Timestamp) -> Value {
    let config = &shared.config;
    let addresses = config.node_addresses.iter().map(|address| json!({"type": "InternalIP", "address": address}));
    let hostname = json!({"type": "Hostname", "address": config.node_name});
    let capacity = capacity(config.pods_max);
    json!({
        "addresses": addresses.chain([hostname]).collect::<Vec<_>>(),
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [
            condition(current, "Ready", "True", ("AgentReady", "the agent runs Pods"), now),
            network_unavailable(current, out_of_reach, now),
        ],
        "nodeInfo": node_info(),
    })
}

/// Whether some node's Pods cannot be reached from here, and which node's.
fn network_unavailable(current: Option<&Node>, out_of_reach: &BTreeSet<String>, now: Timestamp) -> Value {
    let names: Vec<&str> = out_of_reach.iter().map(String::as_str).collect();
    let (status, reason, message) = match names.is_empty() {
        true => ("False", "RoutesSet", "routes lead to the Pods of all nodes".to_owned()),
        false => ("True", "NodeNotOnLink", format!("not on a link of this node: {}", names.join(", "))),
    };
    condition(current, "NetworkUnavailable", status, (reason, &message), now)
}

fn condition(
    current: Option<&Node>,
    name: &str,
    status: &str,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> Value {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let before = current.iter().flat_map(|node| &node.status.conditions).find(|condition| condition.r#type == name);
    let since = before.filter(|before| before.status == status).and_then(|before| before.last_transition_time.clone());
    json!({
        "type": name, "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": now, "lastTransitionTime": since.unwrap_or_else(|| now.clone()),
    })
}

fn capacity(pods_max: u32) -> Value {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB").map(|kib| format!("{kib}Ki")));
    json!({"cpu": cpus.to_string(), "memory": memory.unwrap_or_else(|| "0".to_owned()), "pods": pods_max.to_string()})
}

fn node_info() -> Value {
    let os_image = read("/etc/os-release")
        .lines()
        .find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
        .unwrap_or_else(|| "Linux".to_owned());
    json!({
        "machineID": read("/etc/machine-id").trim(),
        "systemUUID": "",
        "bootID": read("/proc/sys/kernel/random/boot_id").trim(),
        "kernelVersion": read("/proc/sys/kernel/osrelease").trim(),
        "osImage": os_image,
        "containerRuntimeVersion": concat!("maitred://", env!("CARGO_PKG_VERSION")),
        "kubeletVersion": concat!("v", env!("CARGO_PKG_VERSION"), "-maitred"),
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(),
    })
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The machine's architecture as Go and Kubernetes name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Renews the Lease, or makes it.
async fn renew(shared: &Shared) -> Result<(), RequestError> {
    let name = &shared.config.node_name;
    let renew_time = format!("{:.6}", Timestamp::now());
    let seconds = (shared.config.lease_period.as_secs() * 4).max(1);
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": seconds, "renewTime": renew_time});
    match shared.cluster.patch::<Lease>(LEASES, name, &json!({ "spec": spec })).await {
        Err(error) if error.code() == Some(404) => {
            let body = json!({"metadata": {"name": name, "namespace": LEASES}, "spec": spec});
            shared.cluster.create::<Lease>(LEASES, body).await.map(drop)
        }
        other => other.map(drop),
    }
}
