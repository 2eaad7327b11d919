//! The endpoints that a node's agent published, when the node is lost.

use api::{AGENT_SLICE_MANAGER, Endpoint, EndpointSlice, ObjectReference};
use serde_json::{Value, json};

use crate::event::reference;

const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

/// The label selector of the slices that agents write.
pub fn agents_slices() -> String {
    format!("{MANAGED_BY_LABEL}={AGENT_SLICE_MANAGER}")
}

/// The node that an agent's slice speaks of, or nothing: an agent publishes no endpoint but its own node's.
pub fn node_of(slice: &EndpointSlice) -> &str {
    slice.endpoints.iter().find_map(|endpoint| endpoint.node_name.as_deref()).unwrap_or_default()
}

/// Merge patch by which no endpoint of the node is ready or hinted for any more, if one is. A merge patch replaces a list
/// whole, so it holds the other endpoints as they are, and the version that they follow from. The agent writes no field
/// that the slim type lacks.
pub(super) fn withdraw(slice: &EndpointSlice, node: &str) -> Option<(ObjectReference, Value)> {
    let is_agents = slice.metadata.labels.get(MANAGED_BY_LABEL).is_some_and(|manager| manager == AGENT_SLICE_MANAGER);
    let leads_there = |endpoint: &Endpoint| endpoint.node_name.as_deref() == Some(node) && leads_on(endpoint);
    if !is_agents || !slice.endpoints.iter().any(leads_there) {
        return None;
    }
    let mut endpoints = slice.endpoints.clone();
    for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.node_name.as_deref() == Some(node)) {
        endpoint.conditions.ready = Some(false);
        endpoint.conditions.serving = Some(false);
        endpoint.hints = None;
    }
    let metadata = json!({"resourceVersion": slice.metadata.resource_version});
    Some((reference("EndpointSlice", &slice.metadata), json!({"metadata": metadata, "endpoints": endpoints})))
}

/// Whether anybody would still use the endpoint, or prefer it. Unset means ready and serving (S-302).
fn leads_on(endpoint: &Endpoint) -> bool {
    let conditions = &endpoint.conditions;
    conditions.ready != Some(false) || conditions.serving != Some(false) || endpoint.hints.is_some()
}
