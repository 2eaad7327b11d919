//! Where `default/kubernetes` leads: its Endpoints and EndpointSlice list the live API servers (S-149).
//!
//! Each server keeps a Lease; the list is made of those that are alive. It is never emptied because Leases ran out:
//! an old address may still answer, none never does.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::{
    AddressType, Endpoint, EndpointAddress, EndpointConditions, EndpointPort, EndpointSlice, EndpointSubset, Endpoints,
    Metadata, Protocol, SERVICE_NAME_LABEL,
};

/// The name of the Service and of both objects.
const NAME: &str = "kubernetes";
/// Their namespace.
const NAMESPACE: &str = "default";
/// Label that keeps the mirroring controller away from the Endpoints.
const SKIP_MIRROR_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";

/// The API servers and what says so now.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The addresses of the live servers.
    pub live: &'a BTreeSet<IpAddr>,
    /// The port that they all serve.
    pub port: u16,
    /// The Service's primary family.
    pub family: AddressType,
    /// Whether an empty list is meant: the last server says goodbye (or takes its old address away at its start).
    pub leaving: bool,
    /// `default/kubernetes`.
    pub endpoints: Option<&'a Endpoints>,
    /// `default/kubernetes`.
    pub slice: Option<&'a EndpointSlice>,
}

/// What to do with one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Write<T> {
    /// Nothing.
    Keep,
    /// POST this.
    Create(T),
    /// PUT this.
    Update(T),
    /// Delete the object with this metadata: it cannot become what is wanted.
    Replace(Metadata),
}

/// Says what to write so that both objects list the live servers.
pub fn plan_api_endpoints(inputs: &Inputs<'_>) -> (Write<Endpoints>, Write<EndpointSlice>) {
    let of_family = |address: &&IpAddr| address.is_ipv4() == (inputs.family == AddressType::IPv4);
    let live: Vec<String> = inputs.live.iter().filter(of_family).map(IpAddr::to_string).collect();
    if live.is_empty() && !inputs.leaving {
        return (Write::Keep, Write::Keep);
    }
    (endpoints(inputs, &live), slice(inputs, &live))
}

fn endpoints(inputs: &Inputs<'_>, live: &[String]) -> Write<Endpoints> {
    let address = |ip: &String| EndpointAddress { ip: ip.clone(), ..EndpointAddress::default() };
    let subset = EndpointSubset {
        addresses: live.iter().map(address).collect(),
        not_ready_addresses: Vec::new(),
        ports: vec![port(inputs.port)],
    };
    let subsets = if live.is_empty() { Vec::new() } else { vec![subset] };
    let metadata = metadata(inputs.endpoints.map(|found| &found.metadata), SKIP_MIRROR_LABEL, "true");
    let desired = Endpoints { metadata, subsets };
    match inputs.endpoints {
        None => Write::Create(desired),
        Some(found) if *found == desired => Write::Keep,
        Some(_) => Write::Update(desired),
    }
}

fn slice(inputs: &Inputs<'_>, live: &[String]) -> Write<EndpointSlice> {
    let endpoint = |ip: &String| Endpoint {
        addresses: vec![ip.clone()],
        conditions: EndpointConditions { ready: Some(true), ..EndpointConditions::default() },
        ..Endpoint::default()
    };
    let desired = EndpointSlice {
        metadata: metadata(inputs.slice.map(|found| &found.metadata), SERVICE_NAME_LABEL, NAME),
        address_type: inputs.family,
        endpoints: live.iter().map(endpoint).collect(),
        ports: vec![port(inputs.port)],
    };
    match inputs.slice {
        None => Write::Create(desired),
        Some(found) if *found == desired => Write::Keep,
        // The address type is immutable (S-212); the next plan creates the slice anew.
        Some(found) if found.address_type != inputs.family => Write::Replace(found.metadata.clone()),
        Some(_) => Write::Update(desired),
    }
}

fn port(number: u16) -> EndpointPort {
    EndpointPort { name: Some("https".to_owned()), protocol: Protocol::Tcp, port: Some(number), app_protocol: None }
}

/// The metadata that is there, or fresh one, with one label that has to be there.
fn metadata(existing: Option<&Metadata>, label: &str, value: &str) -> Metadata {
    let fresh = || Metadata { name: NAME.to_owned(), namespace: NAMESPACE.to_owned(), ..Metadata::default() };
    let mut metadata = existing.cloned().unwrap_or_else(fresh);
    metadata.labels.insert(label.to_owned(), value.to_owned());
    metadata
}

#[cfg(test)]
mod tests;
