//! The end of a namespace: everything in it is deleted, Pods first (KEP-5080), and then it may go.

use std::collections::BTreeMap;

use api::{Metadata, Namespace};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::schedule::whole_seconds;

/// The entry of `spec.finalizers` that holds a namespace until it is empty.
const FINALIZER: &str = "kubernetes";

/// An object in the namespace.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// `plural` or `plural.group`.
    pub resource: &'a str,
    /// Its name, deletion and finalizers.
    pub metadata: &'a Metadata,
}

/// What to write for a namespace that is being deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespacePlan {
    /// Strategic merge patch of the status: phase, and what is waited for.
    pub status: Option<Value>,
    /// Objects to delete: resource, and metadata with the uid for a precondition.
    pub delete: Vec<(String, Metadata)>,
    /// The `spec.finalizers` to PUT to the `finalize` subresource, after which the namespace is gone unless somebody
    /// else holds it.
    pub finalize: Option<Vec<String>>,
}

/// Says what the deletion of a namespace takes next. Nothing for a namespace that lives.
pub fn plan_namespace(namespace: &Namespace, contents: &[Content<'_>], now: Timestamp) -> NamespacePlan {
    if namespace.metadata.deletion_timestamp.is_none() {
        return NamespacePlan::default();
    }
    let mut plan = NamespacePlan { status: status(namespace, contents, now), ..NamespacePlan::default() };
    if contents.is_empty() {
        let others = namespace.spec.finalizers.iter().filter(|name| *name != FINALIZER).cloned().collect();
        plan.finalize = namespace.spec.finalizers.iter().any(|name| name == FINALIZER).then_some(others);
        return plan;
    }
    // Pods first: what they rely on (their NetworkPolicies, their Services) outlives them.
    let pods_remain = contents.iter().any(|content| content.resource == "pods");
    let mut next: Vec<(String, Metadata)> = contents
        .iter()
        .filter(|content| !pods_remain || content.resource == "pods")
        .filter(|content| content.metadata.deletion_timestamp.is_none())
        .map(|content| (content.resource.to_owned(), content.metadata.clone()))
        .collect();
    next.sort_by(|a, b| (&a.0, &a.1.name).cmp(&(&b.0, &b.1.name)));
    plan.delete = next;
    plan
}

/// The phase, and two conditions that say what is waited for, if the status does not say so yet.
fn status(namespace: &Namespace, contents: &[Content<'_>], now: Timestamp) -> Option<Value> {
    let mut by_resource: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_finalizer: BTreeMap<&str, usize> = BTreeMap::new();
    for content in contents {
        *by_resource.entry(content.resource).or_default() += 1;
        content.metadata.finalizers.iter().for_each(|name| *by_finalizer.entry(name).or_default() += 1);
    }
    let list = |counts: &BTreeMap<&str, usize>, verb: &str| {
        counts.iter().map(|(name, count)| format!("{name} {verb} {count}")).collect::<Vec<_>>().join(", ")
    };
    let remaining = match by_resource.is_empty() {
        true => ("False", "ContentRemoved", "All content successfully removed".to_owned()),
        false => ("True", "SomeResourcesRemain", format!("Remaining resources: {}", list(&by_resource, "×"))),
    };
    let held = match by_finalizer.is_empty() {
        true => ("False", "ContentHasNoFinalizers", "No finalizer holds content".to_owned()),
        false => ("True", "SomeFinalizersRemain", format!("Remaining finalizers: {}", list(&by_finalizer, "×"))),
    };
    let conditions: Vec<Value> = [("NamespaceContentRemaining", remaining), ("NamespaceFinalizersRemaining", held)]
        .into_iter()
        .filter_map(|(kind, (status, reason, message))| {
            let before = namespace.status.conditions.iter().find(|condition| condition.r#type == kind);
            if before.is_some_and(|before| before.status == status && before.message == message) {
                return None;
            }
            let since = before
                .filter(|before| before.status == status)
                .and_then(|before| before.last_transition_time.clone())
                .unwrap_or_else(|| whole_seconds(now));
            Some(json!({"type": kind, "status": status, "reason": reason, "message": message,
                        "lastTransitionTime": since}))
        })
        .collect();
    let known = namespace.status.phase == "Terminating" && conditions.is_empty();
    (!known).then(|| json!({"status": {"phase": "Terminating", "conditions": conditions}}))
}

#[cfg(test)]
mod tests;
