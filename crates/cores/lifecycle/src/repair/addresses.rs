//! Cluster IPs against IPAddress objects (S-145).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::{IpAddress, IpAddressSpec, Metadata, ParentReference, Service, ServiceCidr};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, reference};

/// Label of an IPAddress that says who allocated it (S-142).
const MANAGED_BY_LABEL: &str = "ipaddress.kubernetes.io/managed-by";
/// Our value of it.
const MANAGED_BY: &str = "ipallocator.k8s.io";
/// Label of an IPAddress that names its family.
const FAMILY_LABEL: &str = "ipaddress.kubernetes.io/ip-family";
/// How old an address without its Service has to be: the Service may be on its way.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// How old an address has to be that is newer than the Service which does not list it.
const GRACE_NEWER: SignedDuration = SignedDuration::from_secs(5);

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct AddressInputs<'a> {
    /// All Services.
    pub services: &'a [&'a Service],
    /// All IPAddress objects.
    pub addresses: &'a [&'a IpAddress],
    /// All ServiceCIDRs.
    pub cidrs: &'a [&'a ServiceCidr],
    /// Now.
    pub now: Timestamp,
}

/// What brings IPAddress objects in line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AddressPlan {
    /// Objects to POST.
    pub create: Vec<IpAddress>,
    /// Objects to delete, with uid and resource version for preconditions.
    pub delete: Vec<Metadata>,
    /// What to tell.
    pub events: Vec<Event>,
    /// When to look again even if nothing changes: something is too young to be judged.
    pub wake: Option<Timestamp>,
}

/// Says what is wrong with cluster IPs and what to do about it.
pub fn plan_addresses(inputs: &AddressInputs<'_>) -> AddressPlan {
    let mut plan = AddressPlan::default();
    let ranges: Vec<IpNet> = inputs.cidrs.iter().flat_map(|cidr| cidr.spec.cidrs.iter().copied()).collect();
    let held: BTreeMap<&str, &IpAddress> =
        inputs.addresses.iter().map(|address| (address.metadata.name.as_str(), *address)).collect();
    let mut created = BTreeMap::new();
    for service in inputs.services.iter().filter(|service| has_cluster_ips(service)) {
        for text in &service.spec.cluster_ips {
            let Some(Finding { event, missing }) = check_service(service, text, &ranges, &held, &created) else {
                continue;
            };
            plan.events.push(event);
            if let Some(address) = missing {
                created.insert(address.metadata.name.clone(), address.spec.parent_ref.clone());
                plan.create.push(address);
            }
        }
    }
    let services: BTreeMap<(&str, &str), &Service> = inputs
        .services
        .iter()
        .map(|service| ((service.metadata.namespace.as_str(), service.metadata.name.as_str()), *service))
        .collect();
    for address in inputs.addresses.iter().filter(|address| is_ours(address)) {
        judge(address, &services, inputs.now, &mut plan);
    }
    plan
}

fn has_cluster_ips(service: &Service) -> bool {
    !service.is_headless() && !service.is_external_name()
}

fn is_ours(address: &IpAddress) -> bool {
    address.metadata.deletion_timestamp.is_none()
        && address.metadata.labels.get(MANAGED_BY_LABEL).is_some_and(|manager| manager == MANAGED_BY)
}

/// Something wrong with a cluster IP.
struct Finding {
    event: Event,
    /// The IPAddress to create, if that repairs it.
    missing: Option<IpAddress>,
}

/// Checks one cluster IP of one Service; `created` holds what this plan already creates.
fn check_service(
    service: &Service,
    text: &str,
    ranges: &[IpNet],
    held: &BTreeMap<&str, &IpAddress>,
    created: &BTreeMap<String, ParentReference>,
) -> Option<Finding> {
    let regarding = reference("Service", &service.metadata);
    let finding =
        |reason, message, missing| Some(Finding { event: Event::warning(regarding.clone(), reason, message), missing });
    let Ok(address) = text.parse::<IpAddr>() else {
        let message = format!("Cluster IP {text} is not an IP address; recreate the Service");
        return finding("ClusterIPNotValid", message, None);
    };
    if !ranges.iter().any(|range| range.contains(&address)) {
        let message = format!("Cluster IP {address} is in no ServiceCIDR; recreate the Service");
        return finding("ClusterIPOutOfRange", message, None);
    }
    let name = address.to_string();
    let wanted = parent(service);
    match held.get(name.as_str()).map(|found| &found.spec.parent_ref).or(created.get(&name)) {
        Some(holder) if *holder == wanted => None,
        Some(holder) => {
            let holder = format!("{}/{}/{}", holder.resource, holder.namespace, holder.name);
            let message = format!("Cluster IP {address} is held by {holder}; recreate the Service");
            finding("ClusterIPAlreadyAllocated", message, None)
        }
        None => {
            let message = format!("Cluster IP {address} was not allocated; its IPAddress is created again");
            finding("ClusterIPNotAllocated", message, Some(ip_address(address, wanted)))
        }
    }
}

fn parent(service: &Service) -> ParentReference {
    ParentReference {
        group: String::new(),
        resource: "services".to_owned(),
        namespace: service.metadata.namespace.clone(),
        name: service.metadata.name.clone(),
    }
}

/// The object as allocation writes it (S-142).
fn ip_address(address: IpAddr, parent_ref: ParentReference) -> IpAddress {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let labels = [(FAMILY_LABEL, family), (MANAGED_BY_LABEL, MANAGED_BY)];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let metadata = Metadata { name: address.to_string(), labels, ..Metadata::default() };
    IpAddress { metadata, spec: IpAddressSpec { parent_ref } }
}

/// Decides on an IPAddress that nobody may need.
fn judge(address: &IpAddress, services: &BTreeMap<(&str, &str), &Service>, now: Timestamp, plan: &mut AddressPlan) {
    let parent = &address.spec.parent_ref;
    let name = &address.metadata.name;
    let holder = format!("{}/{}", parent.namespace, parent.name);
    let is_service = parent.group.is_empty() && parent.resource == "services";
    let service = services.get(&(parent.namespace.as_str(), parent.name.as_str()));
    let (reason, grace, message) = match service {
        _ if !is_service => ("IPAddressNotAllocated", None, format!("IPAddress {name} is not held by a Service")),
        None => {
            let message = format!("IPAddress {name} is held by Service {holder}, which does not exist");
            ("IPAddressNotAllocated", Some(GRACE), message)
        }
        Some(service) if lists(service, name) => return,
        Some(service) => {
            let message = format!("IPAddress {name} is held by Service {holder}, which does not list it");
            let is_newer = created_at(&address.metadata) > created_at(&service.metadata);
            let grace = if service.is_external_name() { Some(GRACE) } else { is_newer.then_some(GRACE_NEWER) };
            ("IPAddressWrongReference", grace, message)
        }
    };
    let due = grace.zip(created_at(&address.metadata)).and_then(|(grace, created)| created.checked_add(grace).ok());
    if let Some(due) = due.filter(|due| now < *due) {
        plan.wake = Some(plan.wake.map_or(due, |wake| wake.min(due)));
        return;
    }
    plan.delete.push(address.metadata.clone());
    plan.events.push(Event::warning(reference("IPAddress", &address.metadata), reason, message));
}

fn lists(service: &Service, address: &str) -> bool {
    let canonical: BTreeSet<String> = service
        .spec
        .cluster_ips
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(|address| address.to_string())
        .collect();
    has_cluster_ips(service) && canonical.contains(address)
}

fn created_at(metadata: &Metadata) -> Option<Timestamp> {
    metadata.creation_timestamp.as_deref().and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests;
