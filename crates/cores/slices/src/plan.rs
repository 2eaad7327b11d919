//! The plan for the EndpointSlices of one Service (S-200…S-217).

use api::{AddressType, EndpointSlice, Metadata, Node, Pod, Service};

use crate::family::plan_family;
use crate::metadata::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::pod;

/// How many endpoints a slice holds by default (S-212).
pub const SLICE_LEN_DEFAULT: usize = 100;
/// How many the API lets a slice hold (S-212).
pub const SLICE_LEN_LIMIT: usize = 1000;

/// What the slices of a Service follow from.
pub struct Inputs<'a> {
    /// The Service.
    pub service: &'a Service,
    /// Pods of its namespace; others, and those that it does not select, are ignored.
    pub pods: &'a [&'a Pod],
    /// A Node by name.
    pub nodes: &'a dyn Fn(&str) -> Option<&'a Node>,
    /// The slices that carry the Service's name; those that somebody else manages are left alone (S-217).
    pub existing: &'a [&'a EndpointSlice],
    /// The time of the change that led here, of [`crate::TriggerTimes`].
    pub trigger: Option<&'a str>,
    /// Endpoints per slice, 1 to 1000; [`SLICE_LEN_DEFAULT`] unless configured.
    pub slice_len_max: usize,
}

/// The writes that bring the slices in line: carried out in the order create, update, delete (S-214), so that an
/// endpoint that moves is for a moment in two slices rather than in none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlicePlan {
    /// Objects to POST.
    pub create: Vec<EndpointSlice>,
    /// Objects to PUT: name, uid and resource version are those of the slice that is rewritten.
    pub update: Vec<EndpointSlice>,
    /// Slices to delete, with uid and resource version for preconditions.
    pub delete: Vec<Metadata>,
    /// Why to plan again soon, although nothing may change meanwhile that we hear of.
    pub retry: Option<Retry>,
}

impl SlicePlan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.delete.is_empty()
    }
}

/// Why a plan is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// These Pods are on Nodes that do not exist (yet), and are left out (S-204): Pod and Node names.
    NodesMissing(Vec<(String, String)>),
}

impl std::fmt::Display for Retry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Retry::NodesMissing(pods) = self;
        write!(out, "{} Pods are on missing Nodes", pods.len())?;
        pods.first().map_or(Ok(()), |(pod, node)| write!(out, ", such as {pod} on {node}"))
    }
}

/// Says what to write so that the Service's slices are right.
pub fn plan_slices(inputs: &Inputs<'_>) -> SlicePlan {
    if !pod::follows_selector(inputs.service) {
        return SlicePlan::default();
    }
    let (candidates, retry) = candidates(inputs);
    let mut ours: Vec<&EndpointSlice> = inputs.existing.iter().copied().filter(|slice| is_ours(slice)).collect();
    ours.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));

    let mut plan = SlicePlan { retry, ..SlicePlan::default() };
    let families = address_types(inputs.service);
    for family in &families {
        let existing: Vec<&EndpointSlice> = ours.extract_if(.., |slice| slice.address_type == *family).collect();
        plan_family(inputs, *family, &candidates, existing, &mut plan);
    }
    // What is left is of a family that the Service no longer has.
    plan.delete.extend(ours.into_iter().map(|slice| slice.metadata.clone()));
    if inputs.service.metadata.deletion_timestamp.is_some() {
        // The garbage collector would race with us for them (S-214).
        plan.create.clear();
    }
    plan
}

/// Slices that are being deleted are as good as gone: waiting for their finalizers would stop the Service.
fn is_ours(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.get(MANAGED_BY_LABEL).is_some_and(|manager| manager == MANAGED_BY)
        && slice.metadata.deletion_timestamp.is_none()
}

/// The families to serve. A server fills them in (S-110); where it did not, the cluster IP tells.
pub fn address_types(service: &Service) -> Vec<AddressType> {
    let spec = &service.spec;
    let named: Vec<AddressType> = match spec.ip_families.as_slice() {
        [] => {
            let addresses = spec.cluster_ips.iter().chain([&spec.cluster_ip]);
            addresses.filter_map(|text| pod::parse_address(text)).map(pod::type_of).collect()
        }
        families => families
            .iter()
            .filter_map(|family| match family.as_str() {
                "IPv4" => Some(AddressType::IPv4),
                "IPv6" => Some(AddressType::IPv6),
                _ => None,
            })
            .collect(),
    };
    let mut types = Vec::new();
    for address_type in named {
        if !types.contains(&address_type) {
            types.push(address_type);
        }
    }
    if types.is_empty() {
        types = vec![AddressType::IPv4, AddressType::IPv6];
    }
    types
}

/// A Pod that counts, and its Node if it has one.
pub type Candidate<'a> = (&'a Pod, Option<&'a Node>);

/// The Pods that count (S-202), without those whose Node is missing (S-204).
fn candidates<'a>(inputs: &Inputs<'a>) -> (Vec<Candidate<'a>>, Option<Retry>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for pod in pod::selected(inputs.service, inputs.pods).filter(|pod| pod::is_candidate(pod)) {
        let name = pod::node_name(pod);
        let node = name.and_then(inputs.nodes);
        match name {
            Some(name) if node.is_none() && !inputs.service.spec.publish_not_ready_addresses => {
                missing.push((pod.metadata.name.clone(), name.to_owned()));
            }
            _ => found.push((pod, node)),
        }
    }
    missing.sort();
    (found, (!missing.is_empty()).then_some(Retry::NodesMissing(missing)))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
