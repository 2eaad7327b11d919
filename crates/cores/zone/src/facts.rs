//! What the zone keeps of an object: parsed addresses, labels in wire form, nothing else.
//!
//! Between builds they are kept packed, a few dozen bytes per object: a zone of a million endpoints keeps a million of
//! them beside its shards. The objects come from the API and are parsed here, once; an address or label that cannot stand in DNS is left out,
//! since one bad endpoint must not hide the others.

use std::net::IpAddr;

use api::{AddressType, Endpoint, EndpointSlice, Protocol, Service};

use crate::Config;
use crate::name::{LABEL_BYTES_MAX, Name, lower_labels};

mod packed;

pub(crate) use packed::Packed;

/// What a Service's own name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceFacts {
    /// Its virtual addresses, and the Service's ports.
    ClusterIp { addresses: Vec<IpAddr>, ports: Vec<PortFact> },
    /// Its ready endpoints.
    Headless,
    /// Another name (S-408).
    External(Name),
}

/// A port: the label of its name (lower case, without length byte; empty if it has no name), protocol and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortFact {
    pub name: Box<[u8]>,
    pub protocol: Protocol,
    pub port: u16,
}

/// The ready endpoints of one slice with the ports that all of them serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SliceFacts {
    pub endpoints: Box<[EndpointFact]>,
    pub ports: Box<[PortFact]>,
}

/// A ready endpoint. Without a label it is called by its address (S-405).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointFact {
    pub address: IpAddr,
    pub label: Option<Box<[u8]>>,
}

impl ServiceFacts {
    /// Nothing for a Service that has no name in DNS: an ExternalName that is an address or no name (S-408).
    pub fn parse(service: &Service) -> Option<ServiceFacts> {
        let spec = &service.spec;
        if service.is_external_name() {
            let target = spec.external_name.as_str();
            let is_address = target.trim_end_matches('.').parse::<IpAddr>().is_ok();
            return Name::parse(target)
                .ok()
                .filter(|name| !is_address && name.label_count() > 0)
                .map(ServiceFacts::External);
        }
        if service.is_headless() {
            return Some(ServiceFacts::Headless);
        }
        let texts =
            if spec.cluster_ips.is_empty() { std::slice::from_ref(&spec.cluster_ip) } else { &spec.cluster_ips };
        let ports = spec.ports.iter().filter_map(|port| PortFact::new(&port.name, port.protocol, port.port)).collect();
        Some(ServiceFacts::ClusterIp { addresses: texts.iter().filter_map(|ip| ip.parse().ok()).collect(), ports })
    }
}

impl PortFact {
    /// Nothing for a name that does not fit a label behind its underscore.
    fn new(name: &str, protocol: Protocol, port: u16) -> Option<PortFact> {
        let name = name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        (name.len() < LABEL_BYTES_MAX).then_some(PortFact { name, protocol, port })
    }
}

impl SliceFacts {
    pub fn parse(slice: &EndpointSlice, config: &Config) -> SliceFacts {
        let endpoints = slice.endpoints.iter().filter_map(|endpoint| EndpointFact::parse(endpoint, slice, config));
        let ports = slice.ports.iter().filter_map(|port| {
            PortFact::new(port.name.as_deref().unwrap_or_default(), port.protocol, port.port.filter(|port| *port > 0)?)
        });
        SliceFacts { endpoints: endpoints.collect(), ports: ports.collect() }
    }
}

impl EndpointFact {
    /// Nothing for an endpoint that is not ready (unset means ready, S-404) or whose address is not of the slice's family.
    fn parse(endpoint: &Endpoint, slice: &EndpointSlice, config: &Config) -> Option<EndpointFact> {
        let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        let family = if address.is_ipv4() { AddressType::IPv4 } else { AddressType::IPv6 };
        if endpoint.conditions.ready == Some(false) || family != slice.address_type {
            return None;
        }
        let pod = || endpoint.target_ref.as_ref().map(|pod| pod.name.as_str()).filter(|_| config.endpoint_pod_names);
        let hostname = endpoint.hostname.as_deref().filter(|hostname| !hostname.is_empty());
        // A Pod's name may have dots, which a label has not; such an endpoint is called by its address.
        let text = hostname.or_else(pod).filter(|text| !text.contains('.'));
        Some(EndpointFact { address, label: text.and_then(|text| lower_labels([text])) })
    }

    /// The endpoint's label with its length byte, in lower case.
    pub fn label(&self) -> Box<[u8]> {
        self.label.clone().unwrap_or_else(|| {
            lower_labels([dashed(self.address).as_str()]).expect("an address has 2 to 39 characters")
        })
    }
}

/// An address as a label: `10-0-0-1`, `fd00--1`, and `fd00--0` for `fd00::`, since a label ends in no dash (S-405).
pub(crate) fn dashed(address: IpAddr) -> String {
    let text = address.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') { text + "0" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s405_an_address_becomes_a_label() {
        let check = |address: &str, label: &str| assert_eq!(dashed(address.parse().unwrap()), label, "{address}");
        check("10.0.0.1", "10-0-0-1");
        check("fd00::1", "fd00--1");
        check("fd00:1::", "fd00-1--0");
    }
}
