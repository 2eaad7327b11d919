//! From facts to the flat arrays of [`Services`]. The output depends on the facts alone, never on their history:
//! everything is sorted and duplicates collapse.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::Protocol;

use super::{AddressSpans, EndpointNode, Own, PortNode, SELF, ServiceNode, Services, Span, SrvTarget, upper_half};
use crate::facts::{ServiceFacts, SliceFacts};

/// A Service and its slices, as far as they are known, for use in a build.
pub(crate) struct OwnerFacts {
    pub service: ServiceFacts,
    pub slices: Vec<SliceFacts>,
}

impl Services {
    /// Builds the part of one shard. Owners come in the order of their hashes and keys.
    pub fn build<'a>(
        owners: impl Iterator<Item = (&'a [u8], u64, OwnerFacts)>,
        ignore_empty_services: bool,
    ) -> Services {
        let mut builder = Builder::default();
        for (key, hash, owner) in owners {
            builder.owner((key, hash), &owner, ignore_empty_services);
        }
        builder.finish()
    }
}

#[derive(Default)]
struct Builder {
    arena: Vec<u8>,
    hashes: Vec<u32>,
    nodes: Vec<ServiceNode>,
    endpoints: Vec<EndpointNode>,
    ports: Vec<PortNode>,
    targets: Vec<SrvTarget>,
    numbers: Vec<u16>,
}

/// All endpoints of one Service that share a label.
#[derive(Default)]
struct Group {
    addresses: BTreeSet<IpAddr>,
    numbers: BTreeSet<u16>,
}

/// How many addresses may share a label: more than any reply holds, and their bytes fit a 16-bit length.
const GROUP_MAX: usize = 4095;

type Groups = BTreeMap<Box<[u8]>, Group>;
type PortTargets = BTreeMap<(Box<[u8]>, Protocol), BTreeSet<SrvTarget>>;

impl Builder {
    fn owner(&mut self, (key, hash): (&[u8], u64), owner: &OwnerFacts, ignore_empty_services: bool) {
        let service = &owner.service;
        let groups = groups(owner);
        let is_cluster_ip = matches!(service, ServiceFacts::ClusterIp { .. });
        if ignore_empty_services && is_cluster_ip && groups.is_empty() {
            return;
        }
        // The Service's addresses stand behind its key: the commonest answer reads them together.
        let key = self.bytes(key);
        let own = match service {
            ServiceFacts::ClusterIp { addresses, .. } => Own::ClusterIp(self.addresses(addresses.iter().copied())),
            ServiceFacts::Headless => {
                let all: BTreeSet<_> = groups.values().flat_map(|group| &group.addresses).copied().collect();
                Own::Headless(self.addresses(all.iter().copied()))
            }
            ServiceFacts::External(name) => Own::External(self.bytes(name.wire())),
        };
        let endpoints = match service {
            ServiceFacts::External(_) => Span::default(),
            _ => self.endpoints(&groups),
        };
        let by_port = port_targets(service, owner, &groups);
        let all: BTreeSet<SrvTarget> = by_port.values().flatten().copied().collect();
        let targets = push_all(&mut self.targets, all.into_iter());
        let ports = self.ports(by_port);
        self.hashes.push(upper_half(hash));
        self.nodes.push(ServiceNode { key, own, ports, targets, endpoints });
    }

    fn endpoints(&mut self, groups: &Groups) -> Span {
        // Most endpoints of a Service serve the same ports; those share one list.
        let mut shared: BTreeMap<&BTreeSet<u16>, Span> = BTreeMap::new();
        let first = self.endpoints.len();
        for (label, group) in groups {
            let numbers = *shared
                .entry(&group.numbers)
                .or_insert_with(|| push_all(&mut self.numbers, group.numbers.iter().copied()));
            let start = self.bytes(label).start;
            let addresses = self.addresses(group.addresses.iter().copied().take(GROUP_MAX));
            self.endpoints.push(EndpointNode {
                start,
                numbers: numbers.start,
                numbers_count: numbers.length as u16,
                v4_length: addresses.v4.length as u16,
                v6_length: addresses.v6.length as u16,
                label_length: label.len() as u8,
            });
        }
        span(first, self.endpoints.len())
    }

    /// Ports without a name have SRV records at the Service's name only (S-407).
    fn ports(&mut self, by_port: PortTargets) -> Span {
        let start = self.ports.len();
        for ((name, protocol), targets) in by_port.into_iter().filter(|((name, _), _)| !name.is_empty()) {
            let name = self.bytes(&name);
            let targets = push_all(&mut self.targets, targets.into_iter());
            self.ports.push(PortNode { name, protocol, targets });
        }
        span(start, self.ports.len())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Span {
        push_all(&mut self.arena, bytes.iter().copied())
    }

    /// Keeps the order within each family, so a Service's addresses stay as the object lists them.
    fn addresses(&mut self, addresses: impl Iterator<Item = IpAddr> + Clone) -> AddressSpans {
        let v4 = addresses.clone().filter_map(|address| if let IpAddr::V4(ip) = address { Some(ip) } else { None });
        let v6 = addresses.filter_map(|address| if let IpAddr::V6(ip) = address { Some(ip) } else { None });
        AddressSpans {
            v4: push_all(&mut self.arena, v4.flat_map(|ip| ip.octets())),
            v6: push_all(&mut self.arena, v6.flat_map(|ip| ip.octets())),
        }
    }

    fn finish(self) -> Services {
        Services {
            arena: self.arena.into(),
            hashes: self.hashes.into(),
            nodes: self.nodes.into(),
            endpoints: self.endpoints.into(),
            ports: self.ports.into(),
            targets: self.targets.into(),
            numbers: self.numbers.into(),
        }
    }
}

/// The ready endpoints by label, with the numbers of the ports of every slice they are in.
fn groups(owner: &OwnerFacts) -> Groups {
    let mut groups = Groups::new();
    for slice in &owner.slices {
        for endpoint in &slice.endpoints {
            let group = groups.entry(endpoint.label()).or_default();
            group.addresses.insert(endpoint.address);
            group.numbers.extend(slice.ports.iter().map(|port| port.port));
        }
    }
    groups
}

/// SRV records by port: of a ClusterIP Service its own ports, of a headless one the endpoints' (S-407).
fn port_targets(service: &ServiceFacts, owner: &OwnerFacts, groups: &Groups) -> PortTargets {
    let mut by_port = PortTargets::new();
    match service {
        ServiceFacts::ClusterIp { ports, .. } => {
            for port in ports {
                let target = SrvTarget { endpoint: SELF, port: port.port };
                by_port.entry((port.name.clone(), port.protocol)).or_default().insert(target);
            }
        }
        ServiceFacts::Headless => {
            let places: BTreeMap<&[u8], u32> = groups.keys().map(|label| &**label).zip(0..).collect();
            for slice in &owner.slices {
                for endpoint in &slice.endpoints {
                    let endpoint = places[&*endpoint.label()];
                    for port in &slice.ports {
                        let target = SrvTarget { endpoint, port: port.port };
                        by_port.entry((port.name.clone(), port.protocol)).or_default().insert(target);
                    }
                }
            }
        }
        ServiceFacts::External(_) => {}
    }
    by_port
}

fn push_all<T>(array: &mut Vec<T>, items: impl Iterator<Item = T>) -> Span {
    let start = array.len();
    array.extend(items);
    span(start, array.len())
}

/// A shard holds a few hundred Services; its arrays stay far below 4 G entries.
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, length: (end - start) as u32 }
}
