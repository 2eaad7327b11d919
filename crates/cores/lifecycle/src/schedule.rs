//! Binds Pods to nodes.
//!
//! A Pod without `nodeName` goes to the Ready node that it tolerates, that its `nodeSelector` and its required node affinity
//! match, and that has the fewest Pods; among equals the first by name. A Pod with gates waits for them to go, and one of
//! another scheduler is left to that.
//!
//! What cannot be kept to is refused by name ([`Hindrance::Unimplemented`]): required affinity to or from other Pods, and
//! topology spread with `DoNotSchedule`. Preferences are ignored, which is within what they mean: `preferredDuring…` terms,
//! `ScheduleAnyway`, `PreferNoSchedule`. So are resources, priority and preemption: what runs here are processes of the host
//! that nobody has measured, and none takes another's place.

mod affinity;
mod hindrance;

use std::collections::BTreeMap;

use api::{Node, ObjectReference, Pod, Taint, Toleration};
use jiff::Timestamp;

use crate::event::reference;
pub use hindrance::{Hindrance, News, Refusal, Unfit};

/// The scheduler that this is, in `spec.schedulerName`.
const NAME: &str = "default-scheduler";

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
    /// It goes on waiting.
    Wait {
        /// The Pod.
        pod: ObjectReference,
        /// Why.
        hindrance: Hindrance,
        /// What to write; `None` if the Pod says so already.
        news: Option<News>,
    },
}

/// What bindings follow from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Pods without a node; those that do not wait for one are ignored.
    pub waiting: &'a [&'a Pod],
    /// How many Pods burden each node, by its name; nodes without any may be missing.
    pub load: &'a BTreeMap<String, usize>,
    /// All nodes.
    pub nodes: &'a [&'a Node],
    /// Now.
    pub now: Timestamp,
}

/// Says where each waiting Pod goes, the oldest first.
pub fn plan_bindings(inputs: &Inputs<'_>) -> Vec<Outcome> {
    let count = |node: &Node| inputs.load.get(&node.metadata.name).copied().unwrap_or_default();
    let mut load: BTreeMap<&str, usize> =
        inputs.nodes.iter().map(|node| (node.metadata.name.as_str(), count(node))).collect();
    let mut waiting: Vec<&Pod> = inputs.waiting.iter().copied().filter(|pod| waits(pod)).collect();
    waiting.sort_by_key(|pod| (&pod.metadata.creation_timestamp, &pod.metadata.namespace, &pod.metadata.name));
    waiting.into_iter().map(|pod| place(pod, inputs.nodes, &mut load, inputs.now)).collect()
}

/// Whether a Pod counts on its node.
pub fn burdens(pod: &Pod) -> bool {
    !pod.spec.node_name.is_empty() && !has_ended(pod)
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
}

fn waits(pod: &Pod) -> bool {
    let is_ours = matches!(pod.spec.scheduler_name.as_str(), "" | NAME);
    is_ours && pod.spec.node_name.is_empty() && pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}

/// Chooses for one Pod and counts it.
fn place(pod: &Pod, nodes: &[&Node], load: &mut BTreeMap<&str, usize>, now: Timestamp) -> Outcome {
    if let Some(hindrance) = Hindrance::in_itself(pod) {
        return wait(pod, hindrance, now);
    }
    let mut unfit = Unfit { nodes: nodes.len(), refusals: BTreeMap::new() };
    let mut fitting: Vec<&str> = Vec::new();
    for node in nodes {
        match refusal(pod, node) {
            Some(refusal) => *unfit.refusals.entry(refusal).or_default() += 1,
            None => fitting.push(&node.metadata.name),
        }
    }
    let Some(chosen) = fitting.into_iter().min_by_key(|name| (load[name], *name)) else {
        return wait(pod, Hindrance::NoNode(unfit), now);
    };
    *load.get_mut(chosen).expect("every node has a count") += 1;
    Outcome::Bind { pod: reference("Pod", &pod.metadata), node: chosen.to_owned() }
}

fn wait(pod: &Pod, hindrance: Hindrance, now: Timestamp) -> Outcome {
    let news = hindrance.news(pod, now);
    Outcome::Wait { pod: reference("Pod", &pod.metadata), hindrance, news }
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
    let selected = pod.spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value));
    if !selected || !affinity::allows(pod, node) {
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

/// As times stand in conditions.
pub(crate) fn whole_seconds(now: Timestamp) -> String {
    let seconds = Timestamp::from_second(now.as_second()).expect("the same time without its fraction is in range");
    seconds.to_string()
}

#[cfg(test)]
mod tests;
