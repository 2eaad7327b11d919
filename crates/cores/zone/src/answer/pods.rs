//! Dashed names of Pods, and which namespaces exist (S-401, S-411).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Found, Lookup, Session};
use crate::PodMode;
use crate::message::{Section, rtype};
use crate::name::LABEL_BYTES_MAX;
use crate::reply::Owner;
use crate::state::{hash_labels, pod_key};

impl<L: Lookup> Session<'_, '_, L> {
    pub(super) fn has_namespace(&self, label: &[u8]) -> bool {
        self.zone.shard(self.config().shard_of(hash_labels(label))).namespaces.contains(label)
    }

    /// S-411.
    pub(super) fn pod(&mut self, namespace: &[u8], dashed: &[u8], owner: Owner<'_>) -> Found {
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
}

/// An address with dashes for dots or colons (S-411). Three single dashes make an IPv4 address.
fn parse_dashed(label: &[u8]) -> Option<IpAddr> {
    let mut buffer = [0; LABEL_BYTES_MAX];
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
