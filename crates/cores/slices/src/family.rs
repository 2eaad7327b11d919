//! The slices of one Service and one address type: Pods grouped by the ports they serve, each group packed.

use std::collections::BTreeMap;

use api::{AddressType, Endpoint, EndpointPort, EndpointSlice, Labels, Metadata, Service};

use crate::packing::{Packed, pack};
use crate::plan::{Candidate, Inputs, SLICE_LEN_LIMIT, SlicePlan};
use crate::{endpoint, metadata, pod};

/// A set of ports, order-independent (S-208).
type PortSet = Vec<EndpointPort>;

/// The endpoints that serve the same ports.
struct Group {
    /// In the Service's order, as people wrote them.
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
}

/// Plans the slices of one address type.
pub fn plan_family(
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
fn desired(service: &Service, address_type: AddressType, candidates: &[Candidate<'_>]) -> BTreeMap<PortSet, Group> {
    let mut groups: BTreeMap<PortSet, Group> = BTreeMap::new();
    for (pod, node) in candidates {
        if let Some(endpoint) = endpoint::endpoint(service, pod, *node, address_type) {
            let ports = pod::resolve_ports(service, pod);
            let group = groups.entry(sorted(ports.clone())).or_insert(Group { ports, endpoints: Vec::new() });
            group.endpoints.push(endpoint);
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
    fn pack_all<'s>(&self, owned: Vec<&'s EndpointSlice>, desired: BTreeMap<PortSet, Group>) -> Writes<'s> {
        let mut by_ports: BTreeMap<PortSet, Vec<&EndpointSlice>> = BTreeMap::new();
        for slice in owned {
            by_ports.entry(sorted(slice.ports.clone())).or_default().push(slice);
        }
        let len_max = self.slice_len_max.clamp(1, SLICE_LEN_LIMIT);
        let mut writes = Writes::default();
        for (set, Group { ports, endpoints }) in desired {
            let existing = by_ports.remove(&set).unwrap_or_default();
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

    fn new_slice(&self, endpoints: Vec<Endpoint>, ports: Vec<EndpointPort>) -> EndpointSlice {
        let mut slice = metadata::new_slice(self.service, self.address_type);
        metadata::set_trigger(&mut slice.metadata, self.trigger);
        EndpointSlice { endpoints, ports, ..slice }
    }

    fn rewrite(&self, old: &EndpointSlice, endpoints: Vec<Endpoint>, ports: Vec<EndpointPort>) -> EndpointSlice {
        let mut metadata = Metadata { labels: self.labels.clone(), ..old.metadata.clone() };
        metadata::set_trigger(&mut metadata, self.trigger);
        EndpointSlice { metadata, address_type: old.address_type, endpoints, ports }
    }
}
