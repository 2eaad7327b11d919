//! What EndpointSlices contribute to one Service port (S-302, S-303).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use api::{AddressType, EndpointSlice, ServicePort};
use model::{Endpoint, Family};

use crate::addresses::parse_address;
use crate::{Candidate, Hints, Problem};

/// Who could serve this port, sorted by address and port.
///
/// `slices` come in the order of their names: where two entries for one address and port are both alive, the later one
/// holds, whatever order the events had.
pub fn candidates<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    port: &ServicePort,
    family: Family,
    node_name: &str,
) -> Vec<Candidate<'a>> {
    let mut found = BTreeMap::<SocketAddr, Candidate>::new();
    for slice in slices.into_iter().filter(|slice| family_of(slice) == Some(family)) {
        for number in port_numbers(slice, port) {
            for endpoint in &slice.endpoints {
                let Some(candidate) = candidate(endpoint, number, family, node_name) else { continue };
                let socket = candidate.endpoint.socket();
                // A Pod's address may be given to a new Pod while the old one still terminates (S-303).
                if !candidate.terminating || !found.contains_key(&socket) {
                    found.insert(socket, candidate);
                }
            }
        }
    }
    found.into_values().collect()
}

/// The numbers under which a slice serves a Service port: the port of the same name and protocol. A port without a name
/// or a number is not for proxies.
fn port_numbers(slice: &EndpointSlice, port: &ServicePort) -> impl Iterator<Item = u16> {
    slice
        .ports
        .iter()
        .filter(|offered| offered.name.as_ref() == Some(&port.name) && offered.protocol == port.protocol)
        .filter_map(|offered| offered.port.filter(|number| *number != 0))
}

/// An endpoint under its first address; unset conditions mean: ready, serving, not terminating.
fn candidate<'a>(endpoint: &'a api::Endpoint, port: u16, family: Family, node_name: &str) -> Option<Candidate<'a>> {
    let address = parse_address(endpoint.addresses.first()?).filter(|address| Family::of(*address) == family)?;
    let local = endpoint.node_name.as_deref() == Some(node_name);
    Some(Candidate {
        endpoint: Endpoint { address, port, local, weight: 1 },
        ready: endpoint.conditions.ready.unwrap_or(true),
        serving: endpoint.conditions.serving.unwrap_or(true),
        terminating: endpoint.conditions.terminating.unwrap_or(false),
        hints: hints(endpoint),
    })
}

fn hints(endpoint: &api::Endpoint) -> Hints<'_> {
    let Some(hints) = &endpoint.hints else { return Hints::default() };
    Hints {
        nodes: hints.for_nodes.iter().map(|hint| hint.name.as_str()).collect(),
        zones: hints.for_zones.iter().map(|hint| hint.name.as_str()).collect(),
    }
}

fn family_of(slice: &EndpointSlice) -> Option<Family> {
    match slice.address_type {
        AddressType::IPv4 => Some(Family::V4),
        AddressType::IPv6 => Some(Family::V6),
        AddressType::Fqdn => None,
    }
}

/// The endpoints that are left out because their address can't be read or is of another family than the slice.
pub fn problems(slice: &EndpointSlice) -> impl Iterator<Item = Problem> {
    let family = family_of(slice);
    slice.endpoints.iter().enumerate().filter_map(move |(index, endpoint)| {
        let (family, value) = (family?, endpoint.addresses.first()?);
        let (kind, object) = ("EndpointSlice", slice.metadata.key());
        let field = format!("endpoints[{index}].addresses[0]");
        match parse_address(value) {
            None => Some(Problem::Malformed { kind, object, field, value: value.clone() }),
            Some(address) if Family::of(address) != family => {
                Some(Problem::OtherFamily { kind, object, field, value: value.clone() })
            }
            Some(_) => None,
        }
    })
}
