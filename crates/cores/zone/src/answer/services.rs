//! Names of Services, their endpoints and their ports (S-403 to S-407).

use super::{Found, Lookup, Session};
use crate::message::{Section, rtype};
use crate::name::Name;
use crate::place::Place;
use crate::reply::Owner;
use crate::shard::{Addrs, OwnRecords, ServiceView, Srv};
use crate::state::hash_labels;

impl<L: Lookup> Session<'_, '_, L> {
    /// Writes what stands at a place of the cluster's zone.
    pub(super) fn cluster(&mut self, place: Place<'_>, owner: Owner<'_>) -> Found {
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
    pub(super) fn addresses(&mut self, section: Section, addresses: Addrs<'_>, owner: Owner<'_>) -> Found {
        if self.query.qtype == rtype::A {
            self.v4(section, addresses.v4, owner)
        } else {
            self.v6(section, addresses.v6, owner)
        }
    }

    pub(super) fn v4(&mut self, section: Section, octets: &[u8], owner: Owner<'_>) -> Found {
        let ttl = self.config().ttl;
        self.reply.addresses::<4>(section, owner, (rtype::A, ttl), (octets, self.seed));
        if octets.is_empty() { Found::NoData } else { Found::Answered }
    }

    pub(super) fn v6(&mut self, section: Section, octets: &[u8], owner: Owner<'_>) -> Found {
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
}
