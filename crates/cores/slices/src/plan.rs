//! The plan for the EndpointSlices of one Service (S-200…S-217).

use std::collections::BTreeMap;

use api::{AddressType, Endpoint, EndpointPort, EndpointSlice, Labels, Metadata, Node, Pod, Service};

use crate::metadata::{self, MANAGED_BY, MANAGED_BY_LABEL};
use crate::packing::{Packed, pack};
use crate::{endpoint, pod};

/// How many endpoints a slice holds by default (S-212).
pub const SLICE_LEN_DEFAULT: usize = 100;
/// How many the API lets a slice hold (S-212).
const SLICE_LEN_LIMIT: usize = 1000;

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

/// A set of ports, order-independent (S-208).
type PortSet = Vec<EndpointPort>;

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
    let mut types: Vec<AddressType> = match spec.ip_families.as_slice() {
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
    if types.is_empty() {
        types = vec![AddressType::IPv4, AddressType::IPv6];
    }
    types.dedup();
    types
}

/// A Pod that counts, and its Node if it has one.
type Candidate<'a> = (&'a Pod, Option<&'a Node>);

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

/// Plans the slices of one address type.
fn plan_family(
    inputs: &Inputs<'_>,
    address_type: AddressType,
    candidates: &[Candidate<'_>],
    existing: Vec<&EndpointSlice>,
    plan: &mut SlicePlan,
) {
    let (owned, foreign): (Vec<&EndpointSlice>, Vec<&EndpointSlice>) =
        existing.into_iter().partition(|slice| metadata::is_owned(slice, inputs.service));
    plan.delete.extend(foreign.into_iter().map(|slice| slice.metadata.clone()));

    let desired = desired(inputs.service, address_type, candidates);
    let labels = metadata::labels(inputs.service);
    let Inputs { service, trigger, slice_len_max, .. } = *inputs;
    let writer = Writer { service, address_type, labels: &labels, trigger, slice_len_max };
    let mut writes = match desired.is_empty() {
        true => writer.placeholder(owned),
        false => writer.pack_all(owned, desired),
    };
    writer.reuse(&mut writes);
    plan.create.append(&mut writes.create);
    plan.update.append(&mut writes.update);
    plan.delete.extend(writes.delete.into_iter().map(|slice| slice.metadata.clone()));
}

/// The endpoints of one address type by the ports that they serve.
fn desired(
    service: &Service,
    address_type: AddressType,
    candidates: &[Candidate<'_>],
) -> BTreeMap<PortSet, Vec<Endpoint>> {
    let mut groups: BTreeMap<PortSet, Vec<Endpoint>> = BTreeMap::new();
    for (pod, node) in candidates {
        if let Some(endpoint) = endpoint::endpoint(service, pod, *node, address_type) {
            groups.entry(sorted(pod::resolve_ports(service, pod))).or_default().push(endpoint);
        }
    }
    groups
}

fn sorted(mut ports: Vec<EndpointPort>) -> PortSet {
    ports.sort();
    ports
}

/// The writes of one address type, before what is deleted is reused for what is created.
#[derive(Default)]
struct Writes<'a> {
    create: Vec<EndpointSlice>,
    update: Vec<EndpointSlice>,
    delete: Vec<&'a EndpointSlice>,
}

/// Turns packed endpoints into objects.
struct Writer<'a> {
    service: &'a Service,
    address_type: AddressType,
    labels: &'a Labels,
    trigger: Option<&'a str>,
    slice_len_max: usize,
}

impl Writer<'_> {
    /// Packs every port set; slices of other port sets go.
    fn pack_all<'s>(&self, owned: Vec<&'s EndpointSlice>, desired: BTreeMap<PortSet, Vec<Endpoint>>) -> Writes<'s> {
        let mut by_ports: BTreeMap<PortSet, Vec<&EndpointSlice>> = BTreeMap::new();
        for slice in owned {
            by_ports.entry(sorted(slice.ports.clone())).or_default().push(slice);
        }
        let len_max = self.slice_len_max.clamp(1, SLICE_LEN_LIMIT);
        let mut writes = Writes::default();
        for (ports, endpoints) in desired {
            let existing = by_ports.remove(&ports).unwrap_or_default();
            let Packed { rewritten, new, emptied } = pack(&existing, endpoints, self.labels, len_max);
            let rewritten = rewritten.into_iter();
            writes
                .update
                .extend(rewritten.map(|(slice, endpoints)| self.rewrite(slice, endpoints, slice.ports.clone())));
            writes.create.extend(new.into_iter().map(|endpoints| self.new_slice(endpoints, ports.clone())));
            writes.delete.extend(emptied);
        }
        writes.delete.extend(by_ports.into_values().flatten());
        writes
    }

    /// Exactly one slice without endpoints and ports says that there are none (S-209).
    fn placeholder<'s>(&self, mut owned: Vec<&'s EndpointSlice>) -> Writes<'s> {
        let is_placeholder = |slice: &&EndpointSlice| {
            slice.endpoints.is_empty() && slice.ports.is_empty() && slice.metadata.labels == *self.labels
        };
        let mut create = Vec::new();
        match owned.iter().position(is_placeholder) {
            Some(index) => drop(owned.remove(index)),
            None => create.push(self.new_slice(Vec::new(), Vec::new())),
        }
        Writes { create, update: Vec::new(), delete: owned }
    }

    /// Rewrites slices that would be deleted instead of creating others (S-214).
    fn reuse(&self, writes: &mut Writes<'_>) {
        let count = writes.create.len().min(writes.delete.len());
        let pairs = writes.delete.drain(..count).zip(writes.create.drain(..count));
        writes.update.extend(pairs.map(|(old, new)| self.rewrite(old, new.endpoints, new.ports)));
    }

    fn new_slice(&self, endpoints: Vec<Endpoint>, ports: PortSet) -> EndpointSlice {
        let mut slice = metadata::new_slice(self.service, self.address_type);
        metadata::set_trigger(&mut slice.metadata, self.trigger);
        EndpointSlice { endpoints, ports, ..slice }
    }

    fn rewrite(&self, old: &EndpointSlice, endpoints: Vec<Endpoint>, ports: PortSet) -> EndpointSlice {
        let mut metadata = Metadata { labels: self.labels.clone(), ..old.metadata.clone() };
        metadata::set_trigger(&mut metadata, self.trigger);
        EndpointSlice { metadata, address_type: old.address_type, endpoints, ports }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
