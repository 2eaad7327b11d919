//! Whether a node is one that a Pod's required node affinity asks for.
//!
//! As in Kubernetes, terms are alternatives, the requirements of a term hold together, and a requirement that says nothing
//! sensible (an unknown operator, a number of values that the operator cannot take) matches no node.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity>

use std::cmp::Ordering;

use api::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod};

/// Whether the Pod may go there as far as its node affinity is concerned.
pub(super) fn allows(pod: &Pod, node: &Node) -> bool {
    let affinity = pod.spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    required.is_none_or(|selector| selector.node_selector_terms.iter().any(|term| matches(term, node)))
}

fn matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let label = |key: &str| node.metadata.labels.get(key).map(String::as_str);
    let (expressions, fields) = (&term.match_expressions, &term.match_fields);
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|requirement| holds(requirement, label(&requirement.key)))
        && fields.iter().all(|requirement| holds_for_field(requirement, node))
}

fn holds(requirement: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = &requirement.values;
    let is_listed = found.is_some_and(|found| values.iter().any(|value| value == found));
    match requirement.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !values.is_empty() && !is_listed,
        "Exists" => values.is_empty() && found.is_some(),
        "DoesNotExist" => values.is_empty() && found.is_none(),
        "Gt" => compare(found, values) == Some(Ordering::Greater),
        "Lt" => compare(found, values) == Some(Ordering::Less),
        _ => false,
    }
}

/// How what was found compares to the one value, if both are whole numbers.
fn compare(found: Option<&str>, values: &[String]) -> Option<Ordering> {
    let [value] = values else { return None };
    let (found, value): (i64, i64) = (found?.parse().ok()?, value.parse().ok()?);
    Some(found.cmp(&value))
}

/// The name is the one field that may be asked for, and only whether it is or is not one given name.
fn holds_for_field(requirement: &NodeSelectorRequirement, node: &Node) -> bool {
    requirement.key == "metadata.name"
        && requirement.values.len() == 1
        && matches!(requirement.operator.as_str(), "In" | "NotIn")
        && holds(requirement, Some(&node.metadata.name))
}
