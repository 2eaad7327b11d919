//! One shard of the zone: every name of some Services, some namespaces and some addresses, immutable.
//!
//! A shard is a value that is built whole and shared by pointer, so that a reader sees all names of a Service change at
//! once. Its parts are shared each by itself: a change of one leaves the others where they are.
//!
//! Services lie in a few flat arrays, sorted, with their labels and addresses as wire bytes in one arena: about 50 bytes
//! per endpoint with its two names. Names below a Service are not stored whole; they follow from the Service's own.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use api::Protocol;

pub(crate) mod addresses;
mod build;

pub(crate) use addresses::{Addresses, Pointer};
pub(crate) use build::OwnerFacts;

/// An immutable part of the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shard {
    pub(crate) services: Arc<Services>,
    pub(crate) namespaces: Arc<Keys>,
    pub(crate) addresses: Arc<Addresses>,
    /// `namespace label, address octets` of Pods, only in mode "verified" (S-411).
    pub(crate) pods: Arc<Keys>,
}

/// A sorted set of byte strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(Box<[Box<[u8]>]>);

impl Keys {
    /// `sorted` is in order and without duplicates, as a set's iterator gives it.
    pub fn new<'a>(sorted: impl Iterator<Item = &'a Box<[u8]>>) -> Keys {
        Keys(sorted.cloned().collect())
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.0.binary_search_by(|other| (**other).cmp(key)).is_ok()
    }
}

/// The Services of a shard, with everything below their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Services {
    /// Labels, addresses and external names as they stand in packets.
    arena: Box<[u8]>,
    /// The upper half of each Service's hash, beside the nodes: a look-up reads one short array, one node and its place
    /// in the arena, however many Services there are.
    hashes: Box<[u32]>,
    /// Sorted by hash and key.
    nodes: Box<[ServiceNode]>,
    /// Per Service sorted by label.
    endpoints: Box<[EndpointNode]>,
    /// Per Service sorted by name and protocol.
    ports: Box<[PortNode]>,
    targets: Box<[SrvTarget]>,
    /// The port numbers of endpoints.
    numbers: Box<[u16]>,
}

/// A place in the arena, or a range of one of the arrays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ServiceNode {
    /// The labels of Service and namespace.
    key: Span,
    own: Own,
    ports: Span,
    /// The SRV records of the Service's own name, each (target, port) once.
    targets: Span,
    endpoints: Span,
}

/// What stands at the Service's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    ClusterIp(AddressSpans),
    /// The addresses of all ready endpoints, each once; the name exists while there are any.
    Headless(AddressSpans),
    /// A name in wire form.
    External(Span),
}

/// Addresses of both families in the arena, 4 and 16 bytes each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AddressSpans {
    v4: Span,
    v6: Span,
}

/// The endpoints that share a label. In the arena stand, one behind the other, the label and the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EndpointNode {
    start: u32,
    /// Where the port numbers begin.
    numbers: u32,
    numbers_count: u16,
    /// Bytes of all IPv4 addresses.
    v4_length: u16,
    v6_length: u16,
    label_length: u8,
}

impl EndpointNode {
    fn label<'s>(&self, arena: &'s [u8]) -> &'s [u8] {
        &arena[self.start as usize..][..self.label_length as usize]
    }

    fn addresses<'s>(&self, arena: &'s [u8]) -> Addrs<'s> {
        let addresses = &arena[self.start as usize + self.label_length as usize..];
        let (v4, rest) = addresses.split_at(self.v4_length as usize);
        Addrs { v4, v6: &rest[..self.v6_length as usize] }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PortNode {
    /// Without its length byte.
    name: Span,
    protocol: Protocol,
    targets: Span,
}

/// One SRV record: a port of an endpoint of the Service, or of the Service itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SrvTarget {
    /// Place among the Service's endpoints, or [`SELF`].
    endpoint: u32,
    port: u16,
}

/// The target is the Service itself.
const SELF: u32 = u32::MAX;

/// What stands at the name of a Service.
pub(crate) enum OwnRecords<'s> {
    /// Addresses; the name exists even without any (S-403).
    Addresses(Addrs<'s>),
    /// An alias of this name in wire form.
    Alias(&'s [u8]),
}

/// Addresses of both families in wire form, back to back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addrs<'s> {
    pub v4: &'s [u8],
    pub v6: &'s [u8],
}

impl Addrs<'_> {
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => self.v4.as_chunks().0.contains(&ip.octets()),
            IpAddr::V6(ip) => self.v6.as_chunks().0.contains(&ip.octets()),
        }
    }
}

/// An SRV record's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Srv<'s> {
    /// The endpoint's label with its length byte; empty if the target is the Service itself.
    pub label: &'s [u8],
    pub port: u16,
    pub addresses: Addrs<'s>,
}

/// One Service of a shard.
#[derive(Clone, Copy)]
pub(crate) struct ServiceView<'s> {
    services: &'s Services,
    node: &'s ServiceNode,
}

impl Services {
    /// The Service with this key (labels of Service and namespace, lower case) and its hash.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<ServiceView<'_>> {
        self.with_hash(hash).find(|service| service.key() == key)
    }

    /// The Services with a hash: one, but for collisions.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = ServiceView<'_>> {
        let hash = upper_half(hash);
        let from = self.hashes.partition_point(|other| *other < hash);
        let same = self.hashes[from..].iter().take_while(move |other| **other == hash);
        same.zip(&self.nodes[from..]).map(|(_, node)| ServiceView { services: self, node })
    }

    fn addresses(&self, spans: AddressSpans) -> Addrs<'_> {
        Addrs { v4: &self.arena[spans.v4.range()], v6: &self.arena[spans.v6.range()] }
    }
}

impl<'s> ServiceView<'s> {
    /// What stands at the Service's own name, if that exists.
    pub fn own(self) -> Option<OwnRecords<'s>> {
        match self.node.own {
            Own::ClusterIp(spans) => Some(OwnRecords::Addresses(self.services.addresses(spans))),
            Own::Headless(spans) => Some(self.services.addresses(spans))
                .filter(|addresses| !addresses.is_empty())
                .map(OwnRecords::Addresses),
            Own::External(name) => Some(OwnRecords::Alias(&self.services.arena[name.range()])),
        }
    }

    /// The SRV records of the Service's own name.
    pub fn srv(self) -> impl ExactSizeIterator<Item = Srv<'s>> + Clone {
        self.targets(self.node.targets)
    }

    /// The SRV records of a named port, none if there is no such port.
    pub fn srv_of_port(self, name: &[u8], protocol: Protocol) -> impl ExactSizeIterator<Item = Srv<'s>> + Clone {
        let ports = &self.services.ports[self.node.ports.range()];
        let found = ports
            .binary_search_by(|port| (&self.services.arena[port.name.range()], port.protocol).cmp(&(name, protocol)));
        self.targets(found.map(|at| ports[at].targets).unwrap_or_default())
    }

    /// The addresses and port numbers of the endpoints with this label (with length byte).
    pub fn endpoint(self, label: &[u8]) -> Option<(Addrs<'s>, &'s [u16])> {
        let endpoints = &self.services.endpoints[self.node.endpoints.range()];
        let arena = &self.services.arena;
        let at = endpoints.binary_search_by(|other| other.label(arena).cmp(label)).ok()?;
        let endpoint = &endpoints[at];
        let numbers = &self.services.numbers[endpoint.numbers as usize..][..endpoint.numbers_count as usize];
        Some((endpoint.addresses(arena), numbers))
    }

    fn targets(self, span: Span) -> impl ExactSizeIterator<Item = Srv<'s>> + Clone {
        let endpoints = &self.services.endpoints[self.node.endpoints.range()];
        self.services.targets[span.range()].iter().map(move |target| match endpoints.get(target.endpoint as usize) {
            Some(endpoint) => {
                let arena = &self.services.arena;
                Srv { label: endpoint.label(arena), port: target.port, addresses: endpoint.addresses(arena) }
            }
            None => Srv { label: &[], port: target.port, addresses: self.cluster_ips() },
        })
    }

    /// The Service's own virtual addresses.
    pub fn cluster_ips(self) -> Addrs<'s> {
        match self.node.own {
            Own::ClusterIp(spans) => self.services.addresses(spans),
            Own::Headless(_) | Own::External(_) => Addrs::default(),
        }
    }

    /// The addresses whose reverse names lead here: the Service's own and its endpoints' (S-406).
    pub fn reverse_addresses(self) -> impl Iterator<Item = IpAddr> {
        let endpoints = self.services.endpoints[self.node.endpoints.range()].iter();
        let endpoints = endpoints.flat_map(move |endpoint| each(endpoint.addresses(&self.services.arena)));
        each(self.cluster_ips()).chain(endpoints)
    }

    /// The labels of Service and namespace.
    pub fn key(self) -> &'s [u8] {
        &self.services.arena[self.node.key.range()]
    }

    /// Whether an address is one of the Service's own.
    pub fn has_cluster_ip(self, address: IpAddr) -> bool {
        self.cluster_ips().contains(address)
    }

    /// The labels of the endpoints with an address.
    pub fn endpoint_labels_of(self, address: IpAddr) -> impl Iterator<Item = &'s [u8]> {
        let (endpoints, arena) = (&self.services.endpoints[self.node.endpoints.range()], &self.services.arena);
        let found = endpoints.iter().filter(move |endpoint| endpoint.addresses(arena).contains(address));
        found.map(|endpoint| endpoint.label(arena))
    }
}

/// The part of a hash that does not choose the shard.
fn upper_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Addresses in wire form, one by one.
fn each(addresses: Addrs<'_>) -> impl Iterator<Item = IpAddr> + '_ {
    let v4 = addresses.v4.as_chunks::<4>().0.iter().map(|octets| IpAddr::from(*octets));
    v4.chain(addresses.v6.as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)))
}
