//! Why a Pod is not bound, and how it says so.

use std::collections::BTreeMap;
use std::fmt;

use api::{Pod, PodAffinity};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::whole_seconds;
use crate::event::{Event, reference};

/// Why a Pod is not bound. Prints as the message of its condition and Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// `spec.schedulingGates`: somebody wants it to wait.
    Gated,
    /// It asks for what maitred does not implement: the fields' paths and what is wrong with each.
    Unimplemented(Vec<(String, &'static str)>),
    /// No node will have it.
    NoNode(Unfit),
}

/// Why no node will have a Pod.
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
    /// `spec.nodeSelector` or the required node affinity does not match.
    Selector,
}

/// What is to be written about a Pod that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Strategic merge patch of the Pod's status.
    pub status: Value,
    /// The Event to go with it. Gates have none: whoever set them knows.
    pub event: Option<Event>,
}

impl Hindrance {
    /// What keeps the Pod from being bound whatever nodes there are.
    pub(super) fn in_itself(pod: &Pod) -> Option<Hindrance> {
        if !pod.spec.scheduling_gates.is_empty() {
            return Some(Hindrance::Gated);
        }
        let fields = unimplemented(pod);
        (!fields.is_empty()).then_some(Hindrance::Unimplemented(fields))
    }

    /// The reason of the condition, as Kubernetes gives it.
    fn reason(&self) -> &'static str {
        match self {
            Hindrance::Gated => "SchedulingGated",
            Hindrance::Unimplemented(_) | Hindrance::NoNode(_) => "Unschedulable",
        }
    }

    /// What is to be written for this to be known, if the Pod does not say so already.
    pub(super) fn news(&self, pod: &Pod, now: Timestamp) -> Option<News> {
        let (reason, message) = (self.reason(), self.to_string());
        let before = pod.status.conditions.iter().find(|condition| condition.r#type == "PodScheduled");
        let before = before.filter(|condition| condition.status == "False");
        if before.is_some_and(|condition| condition.reason == reason && condition.message == message) {
            return None;
        }
        let since = before.and_then(|condition| condition.last_transition_time.clone());
        let condition = json!({
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastTransitionTime": since.unwrap_or_else(|| whole_seconds(now)),
        });
        let event = (*self != Hindrance::Gated)
            .then(|| Event::warning(reference("Pod", &pod.metadata), "FailedScheduling", message));
        Some(News { status: json!({"status": {"conditions": [condition]}}), event })
    }
}

/// Demands that would be broken in silence if the Pod were bound: the fields' paths and what is wrong with each.
fn unimplemented(pod: &Pod) -> Vec<(String, &'static str)> {
    let affinity = pod.spec.affinity.as_ref();
    let affinities = [
        ("podAffinity", affinity.and_then(|affinity| affinity.pod_affinity.as_ref())),
        ("podAntiAffinity", affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref())),
    ];
    let demands = |affinity: &PodAffinity| !affinity.required.is_empty();
    let affinities = affinities.into_iter().filter(|(_, affinity)| affinity.is_some_and(demands)).map(|(name, _)| {
        let field = format!("spec.affinity.{name}.requiredDuringSchedulingIgnoredDuringExecution");
        (field, "maitred does not implement this field")
    });
    let constraints = pod.spec.topology_spread_constraints.iter().enumerate();
    let spread =
        constraints.filter(|(_, constraint)| constraint.when_unsatisfiable != "ScheduleAnyway").map(|(index, _)| {
            let field = format!("spec.topologySpreadConstraints[{index}].whenUnsatisfiable");
            (field, "maitred does not implement DoNotSchedule")
        });
    affinities.chain(spread).collect()
}

impl fmt::Display for Hindrance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hindrance::Gated => out.write_str("Scheduling is blocked due to non-empty scheduling gates"),
            Hindrance::Unimplemented(fields) => {
                let all: Vec<String> = fields.iter().map(|(field, why)| format!("{field}: {why}")).collect();
                out.write_str(&all.join("; "))
            }
            Hindrance::NoNode(unfit) => unfit.fmt(out),
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
