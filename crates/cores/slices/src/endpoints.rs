//! The legacy Endpoints object of one Service (S-224…S-229).
//!
//! One family, Pods that are going away left out, ports without a Pod left out, cut at 1000 addresses.

use std::collections::BTreeSet;

use api::{AddressType, EndpointAddress, EndpointSubset, Endpoints, Labels, Metadata, Pod, Service};

use crate::metadata::{HEADLESS_LABEL, set_trigger};
use crate::plan::address_types;
use crate::pod;
use crate::repack::{Offer, repack, sort, truncate};

/// Label that says who writes an Endpoints object.
const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
/// Our value of [`MANAGED_BY_LABEL`], the one of Kubernetes's own controller.
const MANAGED_BY: &str = "endpoint-controller";
/// Annotation of an object that does not hold all addresses (S-228).
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Annotation of objects that leader elections once lived in.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// How many addresses an object holds (S-228).
const ADDRESSES_MAX: usize = 1000;

/// What the Endpoints of a Service follow from.
pub struct EndpointsInputs<'a> {
    /// The Service.
    pub service: &'a Service,
    /// Pods of its namespace; others, and those that it does not select, are ignored.
    pub pods: &'a [&'a Pod],
    /// The Endpoints object of the Service's name.
    pub existing: Option<&'a Endpoints>,
    /// The time of the change that led here, of [`crate::TriggerTimes`].
    pub trigger: Option<&'a str>,
}

/// The write that brings Endpoints in line.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointsPlan {
    /// Nothing is to be written.
    Keep,
    /// The object to POST.
    Create(Endpoints),
    /// The object to PUT.
    Update(Endpoints),
    /// The object to PUT before planning again: addresses that move to another node are left out of it, since the API
    /// lets no address change its node in one step (S-230).
    Step(Endpoints),
}

/// Says what to write so that the Service's Endpoints are right.
pub fn plan_endpoints(inputs: &EndpointsInputs<'_>) -> EndpointsPlan {
    let service = inputs.service;
    if !pod::follows_selector(service) {
        return EndpointsPlan::Keep;
    }
    let mut subsets = repack(offers(service, inputs.pods));
    let truncated = truncate(&mut subsets, ADDRESSES_MAX);
    let mut desired = Endpoints { metadata: metadata(service, inputs.existing), subsets };
    if truncated {
        desired.metadata.annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        desired.metadata.annotations.remove(OVER_CAPACITY);
    }

    let keep = inputs.existing.is_some_and(|existing| {
        let mut canonical = existing.subsets.clone();
        sort(&mut canonical);
        existing.metadata.deletion_timestamp.is_some()
            || (canonical == desired.subsets
                && existing.metadata.labels == desired.metadata.labels
                && existing.metadata.annotations == desired.metadata.annotations)
    });
    if keep {
        return EndpointsPlan::Keep;
    }
    set_trigger(&mut desired.metadata, inputs.trigger);
    let Some(existing) = inputs.existing else { return EndpointsPlan::Create(desired) };
    let moving = moving(&existing.subsets, &desired.subsets);
    if moving.is_empty() {
        return EndpointsPlan::Update(desired);
    }
    leave_out(&mut desired.subsets, &moving);
    EndpointsPlan::Step(desired)
}

fn addresses(subset: &EndpointSubset) -> impl Iterator<Item = &EndpointAddress> {
    subset.addresses.iter().chain(&subset.not_ready_addresses)
}

/// The IPs that are to have another node than they have.
fn moving(existing: &[EndpointSubset], desired: &[EndpointSubset]) -> BTreeSet<String> {
    let nodes: BTreeSet<(&str, &str)> = existing
        .iter()
        .flat_map(addresses)
        .filter_map(|address| Some((address.ip.as_str(), address.node_name.as_deref()?)))
        .filter(|(_, node)| !node.is_empty())
        .collect();
    let moves = |address: &&EndpointAddress| {
        let node = address.node_name.as_deref().unwrap_or_default();
        let mut held = nodes.range((address.ip.as_str(), "")..).take_while(|(ip, _)| *ip == address.ip);
        held.any(|(_, held)| *held != node)
    };
    desired.iter().flat_map(addresses).filter(moves).map(|address| address.ip.clone()).collect()
}

fn leave_out(subsets: &mut Vec<EndpointSubset>, ips: &BTreeSet<String>) {
    for subset in subsets.iter_mut() {
        subset.addresses.retain(|address| !ips.contains(&address.ip));
        subset.not_ready_addresses.retain(|address| !ips.contains(&address.ip));
    }
    subsets.retain(|subset| addresses(subset).next().is_some());
}

/// Whether the object is to be deleted because no Service has its name (S-229).
pub fn is_orphan(endpoints: &Endpoints, service_exists: bool) -> bool {
    !service_exists && !endpoints.metadata.annotations.contains_key(LEADER)
}

/// Whether the object is one that this controller wrote.
pub fn is_written_by_us(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.get(MANAGED_BY_LABEL).is_some_and(|by| by == MANAGED_BY)
}

/// The object's metadata, without the note of why it is written.
fn metadata(service: &Service, existing: Option<&Endpoints>) -> Metadata {
    let fresh = || Metadata {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..Metadata::default()
    };
    let metadata = existing.map_or_else(fresh, |endpoints| endpoints.metadata.clone());
    Metadata { labels: labels(service), ..metadata }
}

fn labels(service: &Service) -> Labels {
    let mut labels = service.metadata.labels.clone();
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels.remove(HEADLESS_LABEL);
    if service.is_headless() {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels
}

/// What each Pod offers. Of a Service with ports, a Pod that has none of them offers nothing; of a headless one without
/// ports, it offers its address.
fn offers(service: &Service, pods: &[&Pod]) -> Vec<Offer> {
    let family = address_types(service)[0];
    let publish = service.spec.publish_not_ready_addresses;
    let counts = |pod: &&Pod| pod::is_candidate(pod) && (publish || !pod::is_terminating(pod));
    let mut offers = Vec::new();
    for pod in pod::selected(service, pods).filter(counts) {
        let Some(address) = address(service, pod, family) else { continue };
        let ready = publish || pod::is_ready(pod);
        if service.spec.ports.is_empty() && service.is_headless() {
            offers.push(Offer { address: address.clone(), port: None, ready });
        }
        for mut port in pod::resolve_ports(service, pod) {
            port.name = port.name.filter(|name| !name.is_empty());
            offers.push(Offer { address: address.clone(), port: Some(port), ready });
        }
    }
    offers
}

fn address(service: &Service, pod: &Pod, family: AddressType) -> Option<EndpointAddress> {
    Some(EndpointAddress {
        ip: pod::addresses_of(pod, family).into_iter().next()?,
        hostname: pod::hostname(service, pod).unwrap_or_default().to_owned(),
        node_name: pod::node_name(pod).map(str::to_owned),
        target_ref: Some(pod::reference(pod)),
    })
}

#[cfg(test)]
mod tests;
