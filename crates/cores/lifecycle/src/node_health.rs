//! Nodes that stopped giving signs of life.
//!
//! An agent renews its node's Lease. When that has not happened for the grace period, the node's conditions become
//! `Unknown`, a taint keeps new Pods away, and the node's Pods and the endpoints that its agent itself published (its DNS
//! server) stop being ready, so that Services lead elsewhere. Pods are not moved. When the agent is back it posts its own
//! conditions and slices; only the taint is taken away here.
//!
//! Times are compared on one clock: a renewal counts from when *we* saw it ([`Heartbeats`]), so a node whose clock is
//! wrong is not lost for it.

mod endpoints;

use std::collections::BTreeMap;

use api::{Condition, EndpointSlice, Lease, Node, ObjectReference, Pod, Taint};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::event::{Event, reference};
use crate::schedule::whole_seconds;
pub use endpoints::{agents_slices, node_of};

/// How long a node may be silent.
pub const GRACE_DEFAULT: SignedDuration = SignedDuration::from_secs(50);

/// The taint of a node that says it is not ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The taint of a node that says nothing.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// When each node last gave a sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeats {
    /// By node: the renewal as the Lease tells it, and when it was seen.
    by_node: BTreeMap<String, (Option<String>, Timestamp)>,
}

impl Heartbeats {
    /// Notes the node's Lease and returns when the node last gave a sign of life. That is when a change of the Lease was seen,
    /// and first sight is one: nodes cannot renew their Leases while the API is away, and each gets a whole grace period once
    /// it is back.
    pub fn observe(&mut self, node: &Node, lease: Option<&Lease>, now: Timestamp) -> Timestamp {
        let renewed = lease.and_then(|lease| lease.spec.renew_time.clone());
        if let Some((before, seen)) = self.by_node.get(&node.metadata.name)
            && (*before == renewed || renewed.is_none())
        {
            return *seen;
        }
        self.by_node.insert(node.metadata.name.clone(), (renewed, now));
        now
    }

    /// Forgets a node that no longer exists.
    pub fn forget(&mut self, node: &str) {
        self.by_node.remove(node);
    }
}

/// What is to be written for one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeHealthPlan {
    /// Strategic merge patch of the node's status.
    pub status: Option<Value>,
    /// Merge patch of the node: its taints, with the resource version that they follow from.
    pub taints: Option<Value>,
    /// Strategic merge patches of the status of Pods on the node.
    pub pods: Vec<(ObjectReference, Value)>,
    /// Merge patches of its agent's EndpointSlices, with the resource version that they follow from.
    pub slices: Vec<(ObjectReference, Value)>,
    /// What to tell.
    pub events: Vec<Event>,
    /// When to look again even if nothing changes: the end of the grace period.
    pub wake: Option<Timestamp>,
}

impl NodeHealthPlan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == NodeHealthPlan { wake: self.wake, ..NodeHealthPlan::default() }
    }
}

/// What leads traffic to a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnNode<'a> {
    /// The Pods that are bound to it.
    pub pods: &'a [&'a Pod],
    /// The EndpointSlices that its agent wrote.
    pub slices: &'a [&'a EndpointSlice],
}

/// Says what a node's signs of life mean for it and for what is on it.
pub fn plan_node(
    node: &Node,
    on_node: OnNode<'_>,
    last_seen: Timestamp,
    grace: SignedDuration,
    now: Timestamp,
) -> NodeHealthPlan {
    if node.metadata.deletion_timestamp.is_some() {
        return NodeHealthPlan::default();
    }
    let deadline = last_seen.saturating_add(grace).expect("durations of signed seconds saturate");
    let lost = now > deadline;
    let ready = if lost { "Unknown" } else { status_of(node, "Ready") };
    let mut plan = NodeHealthPlan { taints: taints(node, ready), ..NodeHealthPlan::default() };
    if !lost {
        plan.wake = deadline.checked_add(SignedDuration::from_millis(1)).ok();
        return plan;
    }
    plan.status = unknown_conditions(node, now);
    if plan.status.is_some() {
        let message = format!("Node {} status is now: NodeNotReady", node.metadata.name);
        plan.events.push(Event::normal(reference("Node", &node.metadata), "NodeNotReady", message));
    }
    let withdrawn = |slice: &&EndpointSlice| endpoints::withdraw(slice, &node.metadata.name);
    plan.slices = on_node.slices.iter().filter_map(withdrawn).collect();
    for pod in on_node.pods.iter().filter(|pod| pod.spec.node_name == node.metadata.name && is_ready(pod)) {
        let pod = reference("Pod", &pod.metadata);
        plan.events.push(Event::warning(pod.clone(), "NodeNotReady", "Node is not ready".to_owned()));
        let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": whole_seconds(now)});
        // Another Pod of the same name must not get it.
        let patch = json!({"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}});
        plan.pods.push((pod, patch));
    }
    plan
}

fn status_of<'a>(node: &'a Node, condition: &str) -> &'a str {
    find(node, condition).map_or("Unknown", |condition| condition.status.as_str())
}

fn find<'a>(node: &'a Node, r#type: &str) -> Option<&'a Condition> {
    node.status.conditions.iter().find(|condition| condition.r#type == r#type)
}

fn is_ready(pod: &&&Pod) -> bool {
    pod.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
}

/// `Ready`, and what else the agent used to post, becomes `Unknown`.
fn unknown_conditions(node: &Node, now: Timestamp) -> Option<Value> {
    let posted = |kind: &&str| *kind == "Ready" || find(node, kind).is_some();
    let stale = |kind: &&str| find(node, kind).is_none_or(|condition| condition.status != "Unknown");
    let kinds = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
    let conditions: Vec<Value> = kinds
        .iter()
        .filter(|kind| posted(kind) && stale(kind))
        .map(|kind| {
            let (reason, message) = match find(node, kind) {
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
            };
            json!({"type": kind, "status": "Unknown", "reason": reason, "message": message,
                   "lastTransitionTime": whole_seconds(now)})
        })
        .collect();
    (!conditions.is_empty()).then(|| json!({"status": {"conditions": conditions}}))
}

/// The taints that go with the state of `Ready`, if they are not there yet. Taints of others stay.
fn taints(node: &Node, ready: &str) -> Option<Value> {
    let wanted = match ready {
        "True" => None,
        "False" => Some(NOT_READY),
        _ => Some(UNREACHABLE),
    };
    let ours = |taint: &&Taint| taint.effect == "NoSchedule" && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str());
    let present: Vec<&str> = node.spec.taints.iter().filter(ours).map(|taint| taint.key.as_str()).collect();
    if present == wanted.into_iter().collect::<Vec<_>>() {
        return None;
    }
    let mut taints: Vec<Taint> = node.spec.taints.iter().filter(|taint| !ours(taint)).cloned().collect();
    taints.extend(wanted.map(|key| Taint { key: key.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }));
    let metadata = json!({"resourceVersion": node.metadata.resource_version});
    Some(json!({"metadata": metadata, "spec": {"taints": taints}}))
}

#[cfg(test)]
mod tests;
