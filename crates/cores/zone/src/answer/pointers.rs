//! From addresses back to names (S-406, S-410).

use std::net::IpAddr;

use super::{Found, Lookup, Session};
use crate::message::{Section, rtype};
use crate::reply::Owner;
use crate::reverse::ReverseKind;
use crate::state::hash_address;

impl<L: Lookup> Session<'_, '_, L> {
    /// S-410. The end of a reverse zone may be an address, where the range is a single one.
    pub(super) fn reverse(&mut self, kind: ReverseKind) -> Found {
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
}
