//! Binds Pods to nodes.
//!
//! A Pod without `nodeName` goes to the Ready node that it tolerates, that its `nodeSelector` matches, and that has the
//! fewest Pods; among equals the first by name. Resources, affinity and preemption are left out: what runs here are
//! processes of the host that nobody has measured.

use std::collections::BTreeMap;
use std::fmt;

use api::{Node, ObjectReference, Pod, Taint, Toleration};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::{Event, reference};

/// What becomes of a Pod that waits for a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To be bound.
    Bind {
        /// The Pod.
        pod: ObjectReference,
        /// The node's name.
        node: String,
    },
    /// No node will have it.
    Unschedulable {
        /// The Pod.
        pod: ObjectReference,
        /// Why.
        reason: Unfit,
        /// Strategic merge patch of the Pod's status, and the Event to go with it; `None` if the Pod says so already.
        news: Option<(Value, Event)>,
    },
}

/// Why no node will have a Pod. Prints as the Event's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfit {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many of them refuse for which reason.
    pub refusals: BTreeMap<Refusal, usize>,
}

/// Why one node will not have a Pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// `spec.unschedulable`.
    Unschedulable,
    /// The node is not Ready.
    NotReady,
    /// A taint (key, value) that the Pod does not tolerate.
    Taint(String, String),
    /// `spec.nodeSelector` does not match.
    Selector,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unschedulable => out.write_str("node(s) were unschedulable"),
            Refusal::NotReady => out.write_str("node(s) were not ready"),
            Refusal::Taint(key, value) => write!(out, "node(s) had untolerated taint {{{key}: {value}}}"),
            Refusal::Selector => out.write_str("node(s) didn't match Pod's node affinity/selector"),
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return out.write_str("no nodes available to schedule pods");
        }
        let mut reasons: Vec<String> =
            self.refusals.iter().map(|(refusal, count)| format!("{count} {refusal}")).collect();
        reasons.sort();
        write!(out, "0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }
}

/// Says where each waiting Pod goes, the oldest first. `pods` are all Pods, since bound ones count.
pub fn plan_bindings(pods: &[&Pod], nodes: &[&Node], now: Timestamp) -> Vec<Outcome> {
    let mut load: BTreeMap<&str, usize> = nodes.iter().map(|node| (node.metadata.name.as_str(), 0)).collect();
    for pod in pods.iter().filter(|pod| !has_ended(pod)) {
        if let Some(count) = load.get_mut(pod.spec.node_name.as_str()) {
            *count += 1;
        }
    }
    let mut waiting: Vec<&Pod> = pods.iter().copied().filter(|pod| waits(pod)).collect();
    waiting.sort_by_key(|pod| (&pod.metadata.creation_timestamp, &pod.metadata.namespace, &pod.metadata.name));
    waiting.into_iter().map(|pod| place(pod, nodes, &mut load, now)).collect()
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
}

fn waits(pod: &Pod) -> bool {
    pod.spec.node_name.is_empty() && pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}

/// Chooses for one Pod and counts it.
fn place(pod: &Pod, nodes: &[&Node], load: &mut BTreeMap<&str, usize>, now: Timestamp) -> Outcome {
    let mut unfit = Unfit { nodes: nodes.len(), refusals: BTreeMap::new() };
    let mut fitting: Vec<&str> = Vec::new();
    for node in nodes {
        match refusal(pod, node) {
            Some(refusal) => *unfit.refusals.entry(refusal).or_default() += 1,
            None => fitting.push(&node.metadata.name),
        }
    }
    let Some(chosen) = fitting.into_iter().min_by_key(|name| (load[name], *name)) else {
        return unschedulable(pod, unfit, now);
    };
    *load.get_mut(chosen).expect("every node has a count") += 1;
    Outcome::Bind { pod: reference("Pod", &pod.metadata), node: chosen.to_owned() }
}

/// Why this node will not have the Pod: the first reason in the order in which Kubernetes asks.
fn refusal(pod: &Pod, node: &Node) -> Option<Refusal> {
    let cordon = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if node.spec.unschedulable && !tolerates(pod, &cordon) {
        return Some(Refusal::Unschedulable);
    }
    let keeps_away = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    let mut taints = node.spec.taints.iter().filter(keeps_away);
    if let Some(taint) = taints.find(|taint| !tolerates(pod, taint)) {
        return Some(Refusal::Taint(taint.key.clone(), taint.value.clone()));
    }
    let labels = &node.metadata.labels;
    if !pod.spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
        return Some(Refusal::Selector);
    }
    let is_ready =
        node.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True");
    (!is_ready || node.metadata.deletion_timestamp.is_some()).then_some(Refusal::NotReady)
}

fn tolerates(pod: &Pod, taint: &Taint) -> bool {
    pod.spec.tolerations.iter().any(|toleration| covers(toleration, taint))
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let key = toleration.key.is_empty() || toleration.key == taint.key;
    let value = match toleration.operator.as_str() {
        "Exists" => true,
        "" | "Equal" => !toleration.key.is_empty() && toleration.value == taint.value,
        _ => false,
    };
    effect && key && value
}

fn unschedulable(pod: &Pod, reason: Unfit, now: Timestamp) -> Outcome {
    let pod_reference = reference("Pod", &pod.metadata);
    let message = reason.to_string();
    let before = pod.status.conditions.iter().find(|condition| condition.r#type == "PodScheduled");
    let known = before.is_some_and(|condition| condition.status == "False" && condition.message == message);
    let since = before
        .filter(|condition| condition.status == "False")
        .and_then(|condition| condition.last_transition_time.clone())
        .unwrap_or_else(|| whole_seconds(now));
    let news = (!known).then(|| {
        let condition = json!({
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": since,
        });
        let patch = json!({"status": {"conditions": [condition]}});
        (patch, Event::warning(pod_reference.clone(), "FailedScheduling", message))
    });
    Outcome::Unschedulable { pod: pod_reference, reason, news }
}

/// As times stand in conditions.
pub(crate) fn whole_seconds(now: Timestamp) -> String {
    let seconds = Timestamp::from_second(now.as_second()).expect("the same time without its fraction is in range");
    seconds.to_string()
}

#[cfg(test)]
mod tests;
