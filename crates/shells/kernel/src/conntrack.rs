//! The connection tracking table: its UDP entries, and the deletion of exactly the entries that were named (S-330).
//!
//! Which entries are stale is not known here. An entry is deleted by its original tuple, its zone and its id, so that one
//! that was made anew between dump and deletion stays. TCP and SCTP entries are never touched.

use std::net::{IpAddr, SocketAddr};

use crate::netlink::{NetlinkError, Socket, attribute, attributes, message, messages};

const NETLINK_NETFILTER: i32 = 12;
const SUBSYSTEM: u16 = 1;
const NEW: u16 = SUBSYSTEM << 8;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const NESTED: u16 = 0x8000;
const UDP: u8 = 17;
/// nlmsghdr and nfgenmsg.
const HEADER: usize = 20;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// CTA_FILTER: which fields of the tuple beside it a dump's entries have to share. Since Linux 5.8; older kernels
/// overlook it.
const FILTER: u16 = 25;
const FILTER_ORIGINAL_FLAGS: u16 = 1;
/// CTA_FILTER_F_CTA_PROTO_NUM of `net/netfilter/nf_internals.h`.
const FILTER_PROTOCOL: u32 = 1 << 3;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
/// Deletions that are sent at once. Each is acknowledged, and so many answers fit into the smallest receive buffer that a
/// machine gives to those who may not ask for more (`net.core.rmem_max`).
const DELETIONS: usize = 100;

/// The addresses of one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Who sends.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
}

/// A UDP entry of the connection tracking table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConntrackEntry {
    /// As the client sends.
    pub original: Tuple,
    /// As the server answers: `reply.source` is who serves the client.
    pub reply: Tuple,
    /// The zone, 0 by default.
    pub zone: u16,
    /// The kernel's number for the entry.
    pub id: u32,
}

/// A socket to the connection tracking table.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    /// Opens a socket in the caller's network namespace, to which it belongs from then on.
    pub fn open() -> Result<Conntrack, NetlinkError> {
        Ok(Conntrack { socket: Socket::open(NETLINK_NETFILTER)? })
    }

    /// The UDP entries of one family. A dump that a change interrupts is repeated.
    pub fn udp_entries(&mut self, v6: bool) -> Result<Vec<ConntrackEntry>, NetlinkError> {
        Ok(udp_entries_of(&self.udp_dump(v6)?))
    }

    /// A node's table is mostly TCP, so the kernel is asked to leave that out. One that can't leaves nothing out.
    fn udp_dump(&mut self, v6: bool) -> Result<Vec<u8>, NetlinkError> {
        let all = vec![family(v6), 0, 0, 0];
        let mut udp = all.clone();
        let mut protocol = Vec::new();
        attribute(&mut protocol, PROTOCOL_NUMBER, &[UDP]);
        let mut tuple = Vec::new();
        attribute(&mut tuple, TUPLE_PROTOCOL | NESTED, &protocol);
        attribute(&mut udp, TUPLE_ORIGINAL | NESTED, &tuple);
        let mut filter = Vec::new();
        attribute(&mut filter, FILTER_ORIGINAL_FLAGS, &FILTER_PROTOCOL.to_ne_bytes());
        attribute(&mut udp, FILTER | NESTED, &filter);
        match self.dump(&udp) {
            Err(failure) if matches!(failure.errno(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => self.dump(&all),
            dump => dump,
        }
    }

    fn dump(&mut self, body: &[u8]) -> Result<Vec<u8>, NetlinkError> {
        let mut request = Vec::new();
        message(&mut request, GET, REQUEST | DUMP, 0, body);
        self.socket.dump(&request)
    }

    /// Deletes these entries and returns how many of them were still there. One that the kernel refuses to delete holds up
    /// no other; the first refusal is the error.
    pub fn delete(&mut self, entries: &[ConntrackEntry]) -> Result<usize, NetlinkError> {
        let (mut deleted, mut refused) = (0, None);
        for some in entries.chunks(DELETIONS) {
            let mut batch = Vec::new();
            for (entry, sequence) in some.iter().zip(1..) {
                message(&mut batch, DELETE, REQUEST | ACK, sequence, &encode(entry));
            }
            for answer in self.socket.exchange(&batch)? {
                match answer.result {
                    Ok(()) => deleted += 1,
                    Err(failure) if failure.errno() == Some(libc::ENOENT) => {}
                    Err(failure) => refused = refused.or(Some(failure)),
                }
            }
        }
        refused.map_or(Ok(deleted), Err)
    }
}

fn family(v6: bool) -> u8 {
    (if v6 { libc::AF_INET6 } else { libc::AF_INET }) as u8
}

fn encode(entry: &ConntrackEntry) -> Vec<u8> {
    let mut body = vec![family(entry.original.source.is_ipv6()), 0, 0, 0];
    attribute(&mut body, TUPLE_ORIGINAL | NESTED, &encode_tuple(&entry.original));
    attribute(&mut body, ID, &entry.id.to_be_bytes());
    attribute(&mut body, ZONE, &entry.zone.to_be_bytes());
    body
}

fn encode_tuple(tuple: &Tuple) -> Vec<u8> {
    let mut addresses = Vec::new();
    for (kind, address) in [(1, tuple.source.ip()), (2, tuple.destination.ip())] {
        match address {
            IpAddr::V4(address) => attribute(&mut addresses, kind, &address.octets()),
            IpAddr::V6(address) => attribute(&mut addresses, kind + 2, &address.octets()),
        }
    }
    let mut ports = Vec::new();
    attribute(&mut ports, 1, &[UDP]);
    attribute(&mut ports, 2, &tuple.source.port().to_be_bytes());
    attribute(&mut ports, 3, &tuple.destination.port().to_be_bytes());
    let mut out = Vec::new();
    attribute(&mut out, 1 | NESTED, &addresses);
    attribute(&mut out, 2 | NESTED, &ports);
    out
}

/// The UDP entries in the bytes of a dump; what is none, or breaks off, is left out.
pub fn udp_entries_of(dump: &[u8]) -> Vec<ConntrackEntry> {
    let entries = messages(dump).filter(|message| message.kind == NEW);
    entries.filter_map(|message| decode(message.bytes.get(HEADER..)?)).collect()
}

/// The entry, if it is a UDP one.
fn decode(body: &[u8]) -> Option<ConntrackEntry> {
    let (mut original, mut reply, mut zone, mut id) = (None, None, 0, None);
    for (kind, payload) in attributes(body) {
        match kind {
            TUPLE_ORIGINAL => original = Some(decode_tuple(payload)?),
            TUPLE_REPLY => reply = Some(decode_tuple(payload)?),
            ID => id = payload.try_into().ok().map(u32::from_be_bytes),
            ZONE => zone = u16::from_be_bytes(payload.try_into().ok()?),
            _ => {}
        }
    }
    Some(ConntrackEntry { original: original?, reply: reply?, zone, id: id? })
}

fn decode_tuple(tuple: &[u8]) -> Option<Tuple> {
    let part = |kind| attributes(tuple).find(|(found, _)| *found == kind).map(|(_, payload)| payload);
    let (addresses, ports) = (part(1)?, part(2)?);
    let address = |kind| attributes(addresses).find_map(|(found, octets)| decode_address(found, octets, kind));
    let number = |kind| attributes(ports).find(|(found, _)| *found == kind).map(|(_, payload)| payload);
    let port = |kind| number(kind)?.try_into().ok().map(u16::from_be_bytes);
    if number(1)? != [UDP] {
        return None;
    }
    Some(Tuple { source: SocketAddr::new(address(1)?, port(2)?), destination: SocketAddr::new(address(2)?, port(3)?) })
}

/// The address, if the attribute is of the wanted kind in either family.
fn decode_address(found: u16, octets: &[u8], wanted: u16) -> Option<IpAddr> {
    match octets.len() {
        4 if found == wanted => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 if found == wanted + 2 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(client: &str, service: &str, server: &str) -> ConntrackEntry {
        let [client, service, server] = [client, service, server].map(|text| text.parse().unwrap());
        ConntrackEntry {
            original: Tuple { source: client, destination: service },
            reply: Tuple { source: server, destination: client },
            zone: 3,
            id: 0xdead_beef,
        }
    }

    #[test]
    fn what_is_asked_to_be_deleted_is_what_was_dumped() {
        for entry in [
            entry("10.0.0.1:4000", "10.96.0.10:53", "10.0.0.2:5353"),
            entry("[fd00::1]:4000", "[fd00::10]:53", "[fd00::2]:5353"),
        ] {
            let mut body = encode(&entry)[4..].to_vec();
            attribute(&mut body, TUPLE_REPLY | NESTED, &encode_tuple(&entry.reply));
            assert_eq!(decode(&body), Some(entry));
        }
    }

    #[test]
    fn an_entry_of_another_protocol_is_left_out() {
        let udp = entry("10.0.0.1:4000", "10.96.0.10:53", "10.0.0.2:5353");
        let mut body = Vec::new();
        for (kind, tuple) in [(TUPLE_ORIGINAL, udp.original), (TUPLE_REPLY, udp.reply)] {
            let mut tuple = encode_tuple(&tuple);
            let protocol = tuple.iter().position(|byte| *byte == UDP).unwrap();
            tuple[protocol] = 6;
            attribute(&mut body, kind | NESTED, &tuple);
        }
        attribute(&mut body, ID, &[0; 4]);
        assert_eq!(decode(&body), None);
    }

    /// Writes an entry of this protocol into the table, as if a packet had made it.
    fn insert(conntrack: &mut Conntrack, entry: &ConntrackEntry, protocol: u8) {
        const TIMEOUT: u16 = 7;
        const STATUS: u16 = 3;
        const CREATE: u16 = 0x400;
        const CONFIRMED: u32 = 1 << 3;
        let mut body = vec![family(entry.original.source.is_ipv6()), 0, 0, 0];
        for (kind, tuple) in [(TUPLE_ORIGINAL, entry.original), (TUPLE_REPLY, entry.reply)] {
            let mut tuple = encode_tuple(&tuple);
            let at = tuple.windows(5).position(|five| five == [5, 0, 1, 0, UDP]).unwrap() + 4;
            tuple[at] = protocol;
            attribute(&mut body, kind | NESTED, &tuple);
        }
        attribute(&mut body, STATUS, &CONFIRMED.to_be_bytes());
        attribute(&mut body, TIMEOUT, &60u32.to_be_bytes());
        let mut request = Vec::new();
        message(&mut request, NEW, REQUEST | ACK | CREATE, 1, &body);
        for answer in conntrack.socket.exchange(&request).unwrap() {
            answer.result.unwrap();
        }
    }

    #[test]
    fn s330_a_dump_holds_no_tcp_entries_and_no_other_family() {
        let Ok(namespace) = crate::netns::Namespace::create() else {
            println!("SKIP: no network namespaces");
            return;
        };
        let v4 = entry("10.0.0.1:4000", "10.96.0.10:53", "10.0.0.2:5353");
        let v6 = entry("[fd00::1]:4000", "[fd00::10]:53", "[fd00::2]:5353");
        let work = || {
            let mut conntrack = Conntrack::open().unwrap();
            for entry in [v4, v6] {
                insert(&mut conntrack, &entry, UDP);
                insert(&mut conntrack, &entry, 6);
                insert(&mut conntrack, &entry, 132);
            }
            [false, true].map(|v6| {
                let dump = conntrack.udp_dump(v6).unwrap();
                let dumped = messages(&dump).filter(|message| message.kind == NEW).count();
                (dumped, conntrack.udp_entries(v6).unwrap())
            })
        };
        let found = namespace.run(work).unwrap();
        for ((dumped, entries), expected) in found.into_iter().zip([v4, v6]) {
            assert_eq!(dumped, 1, "the kernel sends only what was asked for");
            let tuples: Vec<_> = entries.iter().map(|entry| (entry.original, entry.reply)).collect();
            assert_eq!(tuples, [(expected.original, expected.reply)]);
        }
    }

    #[test]
    fn s330_an_entry_that_cannot_be_deleted_holds_up_no_other() {
        let Ok(namespace) = crate::netns::Namespace::create() else {
            println!("SKIP: no network namespaces");
            return;
        };
        let good = entry("10.0.0.1:4000", "10.96.0.10:53", "10.0.0.2:5353");
        // Of two families at once: no such entry can exist, and the kernel refuses it as malformed.
        let malformed = entry("10.0.0.1:4000", "[fd00::10]:53", "10.0.0.2:5353");
        let work = || {
            let mut conntrack = Conntrack::open().unwrap();
            insert(&mut conntrack, &good, UDP);
            let listed = conntrack.udp_entries(false).unwrap();
            let result = conntrack.delete(&[&[malformed], &listed[..]].concat());
            (listed.len(), result.map_err(|failure| failure.errno()), conntrack.udp_entries(false).unwrap())
        };
        let (listed, result, left) = namespace.run(work).unwrap();
        assert_eq!((listed, result, left), (1, Err(Some(libc::EINVAL)), vec![]));
    }

    #[test]
    fn cut_off_bytes_are_no_entry() {
        let whole = encode(&entry("10.0.0.1:4000", "10.96.0.10:53", "10.0.0.2:5353"));
        for length in 4..whole.len() {
            assert_eq!(decode(&whole[4..length]), None);
        }
    }
}
