//! What a name below the cluster's domain can stand for, from its labels alone (S-401, S-407).

use api::Protocol;

use crate::name::QueryName;

/// A place in the zone. Keys and labels are in lower case with their length bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'n> {
    /// `Z` itself.
    Apex,
    /// `svc.Z` and `pod.Z`, which exist and hold nothing.
    Empty,
    /// `dns-version.Z`.
    DnsVersion,
    /// `ns.dns.Z`.
    NameServer,
    /// `ns.svc.Z` and `ns.pod.Z`.
    Namespace { label: &'n [u8] },
    /// `svc.ns.svc.Z`.
    Service { key: &'n [u8] },
    /// `ep.svc.ns.svc.Z`.
    Endpoint { key: &'n [u8], label: &'n [u8] },
    /// `_port._proto.svc.ns.svc.Z`; the port's name is without length byte.
    Port { key: &'n [u8], name: &'n [u8], protocol: Protocol },
    /// `a-b-c-d.ns.pod.Z`; the dashed name is without length byte.
    Pod { namespace: &'n [u8], dashed: &'n [u8] },
    /// Any other name.
    Nowhere,
}

impl<'n> Place<'n> {
    /// `below` is how many labels the name has below the domain.
    pub fn of(name: &'n QueryName, below: usize) -> Place<'n> {
        let Some(left) = below.checked_sub(1) else { return Place::Apex };
        match (name.label(left), left) {
            (b"svc" | b"pod", 0) => Place::Empty,
            (b"svc" | b"pod", 1) => Place::Namespace { label: name.labels(0, 1) },
            (b"svc", 2) => Place::Service { key: name.labels(0, 2) },
            (b"svc", 3) => Place::Endpoint { key: name.labels(1, 3), label: name.labels(0, 1) },
            (b"svc", 4) => Place::port(name).unwrap_or(Place::Nowhere),
            (b"pod", 2) => Place::Pod { namespace: name.labels(1, 2), dashed: name.label(0) },
            (b"dns-version", 0) => Place::DnsVersion,
            (b"dns", 1) if name.label(0) == b"ns" => Place::NameServer,
            _ => Place::Nowhere,
        }
    }

    fn port(name: &'n QueryName) -> Option<Place<'n>> {
        let port = name.label(0).strip_prefix(b"_").filter(|port| !port.is_empty())?;
        let protocol = match name.label(1) {
            b"_tcp" => Protocol::Tcp,
            b"_udp" => Protocol::Udp,
            b"_sctp" => Protocol::Sctp,
            _ => return None,
        };
        Some(Place::Port { key: name.labels(2, 4), name: port, protocol })
    }
}
