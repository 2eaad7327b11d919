//! The names that the zone has of itself: its SOA, its name server, its version (S-402, S-412).

use std::net::IpAddr;

use super::{Found, Lookup, Session};
use crate::Config;
use crate::message::{Query, Section, rtype};
use crate::reply::{Owner, pointer};
use crate::shard::{Addrs, ServiceView};
use crate::state::hash_labels;

/// Seconds; S-402, S-412.
const DNS_VERSION_TTL: u32 = 28_800;
const SOA_REFRESH: u32 = 7200;
const SOA_RETRY: u32 = 1800;
const SOA_EXPIRE: u32 = 86_400;

impl<L: Lookup> Session<'_, '_, L> {
    pub(super) fn apex(&mut self, owner: Owner<'_>) -> Found {
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

    pub(super) fn dns_version(&mut self, owner: Owner<'_>) -> Found {
        if self.query.qtype != rtype::TXT {
            return Found::NoData;
        }
        let text = |out: &mut Vec<u8>| out.extend_from_slice(b"\x051.1.0");
        self.reply.record(Section::Answer, owner, (rtype::TXT, DNS_VERSION_TTL), text);
        Found::Answered
    }

    /// The addresses of this DNS itself: its Service's, else those that it was told (S-412).
    pub(super) fn name_server(&mut self, section: Section, owner: Owner<'_>) -> Found {
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

    /// The SOA of our zone (S-412).
    pub(super) fn soa(&mut self, section: Section) {
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
    pub(super) fn ns(&mut self) {
        let (config, zone_at) = (self.zone.config(), self.zone_at);
        self.reply.record(Section::Answer, Owner::at(zone_at), (rtype::NS, config.ttl), |out| {
            out.extend_from_slice(b"\x02ns\x03dns");
            push_domain(out, config, self.query, zone_at);
        });
    }
}

/// The cluster's domain, as a pointer where the question has it: not in a reverse name.
fn push_domain(out: &mut Vec<u8>, config: &Config, query: &Query<'_>, zone_at: usize) {
    if query.name.labels_below(&config.domain).is_some() {
        out.extend_from_slice(&pointer(zone_at));
    } else {
        out.extend_from_slice(config.domain.wire());
    }
}

/// Both families; a wildcard is where we listen, not where anybody finds us.
fn wire_addresses(addresses: &[IpAddr]) -> (Vec<u8>, Vec<u8>) {
    let addresses = addresses.iter().filter(|ip| !ip.is_unspecified());
    let v4 = addresses.clone().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip.octets()) } else { None });
    let v6 = addresses.filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip.octets()) } else { None });
    (v4.flatten().collect(), v6.flatten().collect())
}
