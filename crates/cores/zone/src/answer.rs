//! From a query to its answer: the table of S-400 to S-421.
//!
//! ```text
//! message → Query ─┬─ below the domain ── Place ── records of one shard ─┬─ reply
//!                  ├─ in a reverse zone ─ ReverseName ─ pointers ────────┤
//!                  └─ elsewhere: forward, or refuse                      └─ alias → chase
//! ```
//!
//! One look-up touches one shard, so a reply never mixes two states of a Service. Without an alias nothing is allocated.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use crate::chase;
use crate::message::{Query, Rcode, Section, Unanswerable, rtype};
use crate::name::{Name, QueryName};
use crate::place::Place;
use crate::reply::{Client, Owner, Reply, header_only, pointer};
use crate::reverse::{ReverseKind, ReverseName};
use crate::shard::{Addrs, OwnRecords, ServiceView, Srv};
use crate::state::{hash_address, hash_labels, pod_key};
use crate::{Config, PodMode, Shard};

/// The zone as a reader sees it at one moment.
pub trait Lookup {
    /// What the zone was configured with.
    fn config(&self) -> &Config;
    /// A shard by its place, below [`Config::shard_count`].
    fn shard(&self, at: usize) -> impl Deref<Target = Shard>;
    /// Unix time in seconds of the last change (S-412).
    fn serial(&self) -> u32;
    /// Whether every object has been seen once (S-414).
    fn is_synced(&self) -> bool;
}

/// What is to be done for a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send what stands in the buffer.
    Reply,
    /// Ask the upstreams: the name is in none of our zones and the client may recurse.
    Forward,
    /// Ask the upstreams for this name, with the query's type, and finish with [`answer_chased`] (S-408).
    Chase(Name),
    /// Send nothing.
    Drop,
}

/// Answers a message into `out`, which is overwritten. `seed` orders the addresses (S-421).
pub fn answer(message: &[u8], client: Client, zone: &impl Lookup, seed: u64, out: &mut Vec<u8>) -> Answer {
    respond(message, client, zone, seed, None, out)
}

/// Answers a message for which [`answer`] said [`Answer::Chase`], with the upstreams' reply to that, or nothing if there
/// was none. If the alias has changed meanwhile, the reply doesn't fit and counts as none.
pub fn answer_chased(
    message: &[u8],
    client: Client,
    zone: &impl Lookup,
    seed: u64,
    upstream: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Answer {
    respond(message, client, zone, seed, Some(Chased(upstream)), out)
}

/// What came of asking the upstreams for an alias.
#[derive(Clone, Copy)]
struct Chased<'u>(Option<&'u [u8]>);

/// What a look-up wrote.
enum Found {
    Answered,
    NoData,
    NxDomain,
    /// Nothing: the upstreams may know.
    Forward,
    Alias(Name),
}

fn respond(
    message: &[u8],
    client: Client,
    zone: &impl Lookup,
    seed: u64,
    chased: Option<Chased<'_>>,
    out: &mut Vec<u8>,
) -> Answer {
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(Unanswerable::Drop) => return Answer::Drop,
        Err(Unanswerable::Code(rcode)) => {
            header_only(message, rcode, out);
            return Answer::Reply;
        }
    };
    let reply = Reply::new(&query, client, zone.config(), out);
    if query.edns.is_some_and(|edns| edns.version != 0) {
        reply.finish(Rcode::BadVers);
    } else if query.qclass != rtype::CLASS_IN || matches!(query.qtype, rtype::AXFR | rtype::IXFR) {
        reply.finish(Rcode::Refused);
    } else if let Some((served, zone_label)) = Served::of(&query, zone.config()) {
        let zone_at = crate::message::HEADER_BYTES + query.name.start(zone_label);
        return Session { query: &query, client, zone, seed, zone_at, reply }.run(served, chased);
    } else if client.may_recurse {
        return Answer::Forward;
    } else {
        reply.finish(Rcode::Refused);
    }
    Answer::Reply
}

/// A name in one of our zones.
enum Served<'n> {
    Cluster(Place<'n>),
    Reverse(ReverseKind),
}

impl<'n> Served<'n> {
    /// Together with the label of the name at which the zone begins. DS records are the parent's (S-419).
    fn of(query: &'n Query<'_>, config: &Config) -> Option<(Served<'n>, usize)> {
        let name = &query.name;
        let (served, zone_label) = match name.labels_below(&config.domain) {
            Some(below) => (Served::Cluster(Place::of(name, below)), below),
            None => {
                let reverse = ReverseName::parse(name, &config.reverse)?;
                (Served::Reverse(reverse.kind), reverse.zone_label)
            }
        };
        (query.qtype != rtype::DS || zone_label > 0).then_some((served, zone_label))
    }
}

/// One query under way.
struct Session<'a, 'o, L> {
    query: &'a Query<'a>,
    client: Client,
    zone: &'a L,
    seed: u64,
    /// Where the name of our zone begins in the reply.
    zone_at: usize,
    reply: Reply<'o>,
}

impl<L: Lookup> Session<'_, '_, L> {
    fn run(mut self, served: Served<'_>, chased: Option<Chased<'_>>) -> Answer {
        self.reply.authoritative();
        let mut found = match served {
            Served::Cluster(place) => self.cluster(place, Owner::question()),
            Served::Reverse(kind) => self.reverse(kind),
        };
        if let Found::Alias(target) = found {
            found = match self.follow(target, chased) {
                Ok(found) => found,
                Err(outside) => return Answer::Chase(outside),
            };
        }
        self.conclude(found)
    }

    fn conclude(mut self, found: Found) -> Answer {
        let rcode = match found {
            Found::Answered => Rcode::NoError,
            Found::Forward if self.client.may_recurse && self.zone.is_synced() => return Answer::Forward,
            Found::NoData | Found::Alias(_) => self.negative(Rcode::NoError),
            Found::NxDomain | Found::Forward => self.negative(Rcode::NxDomain),
        };
        self.reply.finish(rcode);
        Answer::Reply
    }

    /// A negative answer carries the SOA; before the first sync nobody knows that something is missing (S-414).
    fn negative(&mut self, rcode: Rcode) -> Rcode {
        if !self.zone.is_synced() && !self.is_apex() {
            self.reply.not_authoritative();
            return Rcode::ServFail;
        }
        self.soa(Section::Authority);
        rcode
    }

    fn is_apex(&self) -> bool {
        self.zone_at == crate::message::HEADER_BYTES
    }

    fn config(&self) -> &Config {
        self.zone.config()
    }

    /// Writes what stands at a place of the cluster's zone.
    fn cluster(&mut self, place: Place<'_>, owner: Owner<'_>) -> Found {
        match place {
            Place::Apex => self.apex(owner),
            Place::Empty => Found::NoData,
            Place::DnsVersion => self.dns_version(owner),
            Place::NameServer => self.name_server(Section::Answer, owner),
            Place::Namespace { label } => {
                if self.has_namespace(label) {
                    Found::NoData
                } else {
                    Found::NxDomain
                }
            }
            Place::Service { key } => self.with_service(key, |session, service| session.service(service, key, owner)),
            Place::Endpoint { key, label } => {
                self.with_service(key, |session, service| session.endpoint(service, (key, label), owner))
            }
            Place::Port { key, name, protocol } => {
                self.with_service(key, |session, service| session.srv(service.srv_of_port(name, protocol), key))
            }
            Place::Pod { namespace, dashed } => self.pod(namespace, dashed, owner),
            Place::Nowhere => Found::NxDomain,
        }
    }

    fn with_service(&mut self, key: &[u8], then: impl FnOnce(&mut Self, ServiceView<'_>) -> Found) -> Found {
        let hash = hash_labels(key);
        let shard = self.zone.shard(self.config().shard_of(hash));
        shard.services.find(key, hash).map_or(Found::NxDomain, |service| then(self, service))
    }

    fn service(&mut self, service: ServiceView<'_>, key: &[u8], owner: Owner<'_>) -> Found {
        match (service.own(), self.query.qtype) {
            (None, _) => Found::NxDomain,
            (Some(OwnRecords::Alias(name)), rtype::A | rtype::AAAA | rtype::CNAME) => {
                Name::from_wire(name).map_or(Found::NoData, Found::Alias)
            }
            (Some(OwnRecords::Addresses(addresses)), rtype::A | rtype::AAAA) => {
                self.addresses(Section::Answer, addresses, owner)
            }
            (Some(OwnRecords::Addresses(_)), rtype::SRV) => match self.srv(service.srv(), key) {
                Found::NxDomain => Found::NoData,
                found => found,
            },
            (Some(_), _) => Found::NoData,
        }
    }

    fn endpoint(&mut self, service: ServiceView<'_>, (key, label): (&[u8], &[u8]), owner: Owner<'_>) -> Found {
        let Some((addresses, numbers)) = service.endpoint(label) else { return Found::NxDomain };
        match self.query.qtype {
            rtype::A | rtype::AAAA => self.addresses(Section::Answer, addresses, owner),
            rtype::SRV => match self.srv(numbers.iter().map(|port| Srv { label, port: *port, addresses }), key) {
                Found::NxDomain => Found::NoData,
                found => found,
            },
            _ => Found::NoData,
        }
    }

    /// Addresses of the family that was asked for.
    fn addresses(&mut self, section: Section, addresses: Addrs<'_>, owner: Owner<'_>) -> Found {
        if self.query.qtype == rtype::A {
            self.v4(section, addresses.v4, owner)
        } else {
            self.v6(section, addresses.v6, owner)
        }
    }

    fn v4(&mut self, section: Section, octets: &[u8], owner: Owner<'_>) -> Found {
        let ttl = self.config().ttl;
        self.reply.addresses::<4>(section, owner, (rtype::A, ttl), (octets, self.seed));
        if octets.is_empty() { Found::NoData } else { Found::Answered }
    }

    fn v6(&mut self, section: Section, octets: &[u8], owner: Owner<'_>) -> Found {
        let ttl = self.config().ttl;
        self.reply.addresses::<16>(section, owner, (rtype::AAAA, ttl), (octets, self.seed));
        if octets.is_empty() { Found::NoData } else { Found::Answered }
    }

    /// SRV records with the addresses of their targets beside them (S-407); NXDOMAIN if there are none. The records come
    /// grouped by target.
    fn srv<'s>(&mut self, records: impl ExactSizeIterator<Item = Srv<'s>> + Clone, key: &[u8]) -> Found {
        if records.len() == 0 || self.query.qtype != rtype::SRV {
            return if records.len() == 0 { Found::NxDomain } else { Found::NoData };
        }
        let (ttl, domain) = (self.config().ttl, self.zone.config().domain.wire());
        let weight = (100 / records.len()).max(1) as u16;
        for srv in records.clone() {
            let written = self.reply.record(Section::Answer, Owner::question(), (rtype::SRV, ttl), |out| {
                let ([w0, w1], [p0, p1]) = (weight.to_be_bytes(), srv.port.to_be_bytes());
                out.extend_from_slice(&[0, 0, w0, w1, p0, p1]);
                // RFC 2782 wants the target without compression.
                for part in [srv.label, key, b"\x03svc", domain] {
                    out.extend_from_slice(part);
                }
            });
            if written.is_none() {
                return Found::Answered;
            }
        }
        let service_at = self.zone_at - b"\x03svc".len() - key.len();
        let mut last = None;
        for srv in records {
            if last.replace(srv.label) != Some(srv.label) {
                let owner = Owner { labels: srv.label, pointer: service_at };
                self.v4(Section::Additional, srv.addresses.v4, owner);
                self.v6(Section::Additional, srv.addresses.v6, owner);
            }
        }
        Found::Answered
    }

    fn apex(&mut self, owner: Owner<'_>) -> Found {
        match self.query.qtype {
            rtype::SOA => self.soa(Section::Answer),
            rtype::NS => {
                self.ns();
                // Glue, so that the name server's own name need not be asked for.
                let glue = Owner { labels: b"\x02ns\x03dns", pointer: owner.pointer };
                self.name_server(Section::Additional, glue);
            }
            _ => return Found::NoData,
        }
        Found::Answered
    }

    fn dns_version(&mut self, owner: Owner<'_>) -> Found {
        if self.query.qtype != rtype::TXT {
            return Found::NoData;
        }
        let text = |out: &mut Vec<u8>| out.extend_from_slice(b"\x051.1.0");
        self.reply.record(Section::Answer, owner, (rtype::TXT, DNS_VERSION_TTL), text);
        Found::Answered
    }

    /// The addresses of this DNS itself: its Service's, else those that it was told (S-412).
    fn name_server(&mut self, section: Section, owner: Owner<'_>) -> Found {
        let config = self.zone.config();
        let (namespace, name) = &config.dns_service;
        let key = crate::name::lower_labels([name.as_str(), namespace]).unwrap_or_default();
        let hash = hash_labels(&key);
        let shard = self.zone.shard(config.shard_of(hash));
        let own =
            shard.services.find(&key, hash).map(ServiceView::cluster_ips).filter(|addresses| !addresses.is_empty());
        let (v4, v6) = wire_addresses(&config.local_addresses);
        let addresses = own.unwrap_or(Addrs { v4: &v4, v6: &v6 });
        match (section, self.query.qtype) {
            (Section::Additional, _) => {
                self.v4(section, addresses.v4, owner);
                self.v6(section, addresses.v6, owner)
            }
            (_, rtype::A | rtype::AAAA) => self.addresses(section, addresses, owner),
            _ => Found::NoData,
        }
    }

    fn has_namespace(&self, label: &[u8]) -> bool {
        self.zone.shard(self.config().shard_of(hash_labels(label))).namespaces.contains(label)
    }

    /// S-411.
    fn pod(&mut self, namespace: &[u8], dashed: &[u8], owner: Owner<'_>) -> Found {
        let address = parse_dashed(dashed).filter(|address| match self.config().pods {
            PodMode::Disabled => false,
            PodMode::Insecure => self.has_namespace(namespace),
            PodMode::Verified => self.has_pod(namespace, *address),
        });
        match (address, self.query.qtype) {
            (None, _) => Found::NxDomain,
            (Some(IpAddr::V4(ip)), rtype::A) => self.v4(Section::Answer, &ip.octets(), owner),
            (Some(IpAddr::V6(ip)), rtype::AAAA) => self.v6(Section::Answer, &ip.octets(), owner),
            (Some(_), _) => Found::NoData,
        }
    }

    fn has_pod(&self, namespace: &[u8], address: IpAddr) -> bool {
        let key = pod_key(namespace, address);
        self.zone.shard(self.config().shard_of(hash_labels(key.as_bytes()))).pods.contains(key.as_bytes())
    }

    /// S-410. The end of a reverse zone may be an address, where the range is a single one.
    fn reverse(&mut self, kind: ReverseKind) -> Found {
        match (kind, self.query.qtype) {
            (_, rtype::SOA) if self.is_apex() => {
                self.soa(Section::Answer);
                Found::Answered
            }
            (_, rtype::NS) if self.is_apex() => {
                self.ns();
                Found::Answered
            }
            (ReverseKind::Address(address), qtype) => self.pointers(address, qtype),
            (ReverseKind::Prefix, _) => Found::NoData,
            (ReverseKind::Invalid, _) => self.reverse_miss(),
        }
    }

    /// A Service's own address leads to the Service alone, any other to every endpoint that has it.
    fn pointers(&mut self, address: IpAddr, qtype: u16) -> Found {
        let config = self.zone.config();
        let listed = self.zone.shard(config.shard_of(hash_address(address)));
        let is_own = |hash: u64| {
            let shard = self.zone.shard(config.shard_of(hash));
            shard.services.with_hash(hash).any(|service| service.has_cluster_ip(address))
        };
        let of_services = listed.addresses.find(address).any(is_own);
        let mut count = 0;
        for hash in listed.addresses.find(address) {
            let shard = self.zone.shard(config.shard_of(hash));
            for service in shard.services.with_hash(hash) {
                if of_services && service.has_cluster_ip(address) {
                    count += 1;
                    self.pointer(qtype, &[], service.key());
                }
                for label in service.endpoint_labels_of(address).filter(|_| !of_services) {
                    count += 1;
                    self.pointer(qtype, label, service.key());
                }
            }
        }
        match (count, qtype) {
            (0, _) => self.reverse_miss(),
            (_, rtype::PTR) => Found::Answered,
            _ => Found::NoData,
        }
    }

    /// One PTR record, if that is what was asked for.
    fn pointer(&mut self, qtype: u16, label: &[u8], key: &[u8]) {
        if qtype == rtype::PTR {
            let config = self.zone.config();
            self.reply.record(Section::Answer, Owner::question(), (rtype::PTR, config.ttl), |out| {
                for part in [label, key, b"\x03svc", config.domain.wire()] {
                    out.extend_from_slice(part);
                }
            });
        }
    }

    fn reverse_miss(&self) -> Found {
        if self.config().reverse_fallthrough { Found::Forward } else { Found::NxDomain }
    }

    /// Follows an alias: through the zone for at most ten steps, then through the upstreams (S-408). `Err` is the name
    /// that they have to be asked for.
    fn follow(&mut self, first: Name, chased: Option<Chased<'_>>) -> Result<Found, Name> {
        let (mut owner, mut owner_name, mut target) = (Owner::question(), Name::from(&self.query.name), first);
        for _ in 0..ALIAS_STEPS_MAX {
            let alias = target.to_lower_case();
            if alias == owner_name {
                break;
            }
            let ttl = self.config().ttl;
            let cname = |out: &mut Vec<u8>| out.extend_from_slice(target.wire());
            let written = self.reply.record(Section::Answer, owner, (rtype::CNAME, ttl), cname);
            let Some(at) = written.filter(|_| self.query.qtype != rtype::CNAME) else { return Ok(Found::Answered) };
            let Some((name, _)) = QueryName::parse(alias.wire(), 0) else { break };
            let Some(below) = name.labels_below(&self.config().domain) else {
                return self.outside(target, chased);
            };
            match self.cluster(Place::of(&name, below), Owner::at(at)) {
                Found::Alias(next) => (owner, owner_name, target) = (Owner::at(at), alias, next),
                Found::Answered => return Ok(Found::Answered),
                Found::NoData | Found::NxDomain | Found::Forward => break,
            }
        }
        // An alias that leads to nothing is withheld.
        self.reply.clear_records(self.query.question_end);
        Ok(Found::NoData)
    }

    /// An alias of a name that is not ours. A client that may not recurse gets the alias alone.
    fn outside(&mut self, target: Name, chased: Option<Chased<'_>>) -> Result<Found, Name> {
        match chased {
            _ if !self.client.may_recurse => Ok(Found::Answered),
            None => Err(target),
            Some(Chased(upstream)) => {
                let reply = upstream.filter(|reply| chase::answers(reply, &target, self.query.qtype));
                let Some(reply) = reply else {
                    self.reply.clear_records(self.query.question_end);
                    return Ok(Found::NoData);
                };
                chase::append_answers(reply, &mut self.reply);
                Ok(Found::Answered)
            }
        }
    }

    /// The SOA of our zone (S-412).
    fn soa(&mut self, section: Section) {
        let (zone, zone_at) = (self.zone, self.zone_at);
        let config = zone.config();
        self.reply.record(section, Owner::at(zone_at), (rtype::SOA, config.ttl), |out| {
            for label in [&b"\x02ns\x03dns"[..], b"\x0ahostmaster"] {
                out.extend_from_slice(label);
                push_domain(out, config, self.query, zone_at);
            }
            for number in [zone.serial(), SOA_REFRESH, SOA_RETRY, SOA_EXPIRE, config.ttl] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        });
    }

    /// The NS record of our zone, which was asked for at its apex.
    fn ns(&mut self) {
        let (config, zone_at) = (self.zone.config(), self.zone_at);
        self.reply.record(Section::Answer, Owner::at(zone_at), (rtype::NS, config.ttl), |out| {
            out.extend_from_slice(b"\x02ns\x03dns");
            push_domain(out, config, self.query, zone_at);
        });
    }
}

/// Seconds; S-402, S-412.
const DNS_VERSION_TTL: u32 = 28_800;
const SOA_REFRESH: u32 = 7200;
const SOA_RETRY: u32 = 1800;
const SOA_EXPIRE: u32 = 86_400;
/// S-408.
const ALIAS_STEPS_MAX: usize = 10;

/// The cluster's domain, as a pointer where the question has it: not in a reverse name.
fn push_domain(out: &mut Vec<u8>, config: &Config, query: &Query<'_>, zone_at: usize) {
    if query.name.labels_below(&config.domain).is_some() {
        out.extend_from_slice(&pointer(zone_at));
    } else {
        out.extend_from_slice(config.domain.wire());
    }
}

fn wire_addresses(addresses: &[IpAddr]) -> (Vec<u8>, Vec<u8>) {
    let v4 = addresses.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip.octets()) } else { None });
    let v6 = addresses.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip.octets()) } else { None });
    (v4.flatten().collect(), v6.flatten().collect())
}

/// An address with dashes for dots or colons (S-411). Three single dashes make an IPv4 address.
fn parse_dashed(label: &[u8]) -> Option<IpAddr> {
    let mut buffer = [0; crate::name::LABEL_BYTES_MAX];
    let buffer = buffer.get_mut(..label.len())?;
    let dashes = label.iter().filter(|byte| **byte == b'-').count();
    let is_v4 = dashes == 3 && !label.windows(2).any(|pair| pair == b"--");
    for (to, from) in buffer.iter_mut().zip(label) {
        *to = match from {
            b'-' if is_v4 => b'.',
            b'-' => b':',
            // A colon or dot in a label is not the same name as a dash.
            b':' | b'.' => return None,
            other => *other,
        };
    }
    let text = std::str::from_utf8(buffer).ok()?;
    if is_v4 { text.parse::<Ipv4Addr>().ok().map(IpAddr::V4) } else { text.parse::<Ipv6Addr>().ok().map(IpAddr::V6) }
}
