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
/// Deletions that are sent at once.
const DELETIONS: usize = 500;

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
        let mut request = Vec::new();
        message(&mut request, GET, REQUEST | DUMP, 0, &[family(v6), 0, 0, 0]);
        let dump = self.socket.dump(&request)?;
        let entries = messages(&dump).filter(|message| message.kind == NEW);
        Ok(entries.filter_map(|message| decode(message.bytes.get(HEADER..)?)).collect())
    }

    /// Deletes these entries and returns how many of them were still there.
    pub fn delete(&mut self, entries: &[ConntrackEntry]) -> Result<usize, NetlinkError> {
        let mut deleted = 0;
        for some in entries.chunks(DELETIONS) {
            let mut batch = Vec::new();
            for (entry, sequence) in some.iter().zip(1..) {
                message(&mut batch, DELETE, REQUEST | ACK, sequence, &encode(entry));
            }
            for answer in self.socket.exchange(&batch)? {
                match answer.result {
                    Ok(()) => deleted += 1,
                    Err(failure) if failure.errno() == Some(libc::ENOENT) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(deleted)
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

    #[test]
    fn cut_off_bytes_are_no_entry() {
        let whole = encode(&entry("10.0.0.1:4000", "10.96.0.10:53", "10.0.0.2:5353"));
        for length in 4..whole.len() {
            assert_eq!(decode(&whole[4..length]), None);
        }
    }
}
