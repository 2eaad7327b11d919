//! nf_tables messages by hand, for what somebody else does to the kernel.

use kernel::nfnetlink::NfSocket;

use crate::scene::{Scene, chain};

/// A message of nf_tables: type, flags beside the request's own, IP family, attributes.
pub struct Message {
    pub kind: u16,
    pub flags: u16,
    pub family: u8,
    pub body: Vec<u8>,
}

/// NLM_F_CREATE.
pub const CREATE: u16 = 0x400;
/// NLM_F_APPEND.
pub const APPEND: u16 = 0x800;

/// Carries out messages as one transaction on node-0.
pub fn transact(scene: &Scene, messages: &[Message]) {
    const REQUEST: u16 = 1;
    const ACK: u16 = 4;
    const NFTABLES: u16 = 10;
    let edge = |kind, sequence| message(kind, REQUEST, sequence, [0, 0, 0, NFTABLES as u8], &[]);
    let mut batch = edge(0x10, 0);
    for (one, sequence) in messages.iter().zip(1..) {
        let kind = NFTABLES << 8 | one.kind;
        batch.extend(message(kind, REQUEST | ACK | one.flags, sequence, [one.family, 0, 0, 0], &one.body));
    }
    batch.extend(edge(0x11, messages.len() as u32 + 1));
    let mut socket = scene.lab.node(0).run(NfSocket::open).unwrap().unwrap();
    socket.send_batch(&batch).unwrap_or_else(|error| panic!("{}", chain(&error)));
}

/// An attribute, padded to four bytes.
pub fn attribute(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = 4 + body.len();
    let mut bytes = [&(length as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), body].concat();
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// An attribute made of attributes.
pub fn nest(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 0x8000, &parts.concat())
}

/// A name.
pub fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

/// A number in the order of the network.
pub fn number(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

fn message(kind: u16, flags: u16, sequence: u32, head: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = (20 + body.len()) as u32;
    let header =
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &sequence.to_ne_bytes()].concat();
    [&header[..], &0u32.to_ne_bytes(), &head, body].concat()
}

/// Walks over netlink attributes: kind and content of each.
pub fn attributes(mut bytes: &mut [u8], mut each: impl FnMut(u16, &mut [u8])) {
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        if length < 4 {
            return;
        }
        let end = length.next_multiple_of(4).min(bytes.len());
        let (one, after) = std::mem::take(&mut bytes).split_at_mut(end);
        each(kind, &mut one[4..length]);
        bytes = after;
    }
}

/// Walks over the messages of a batch: type, IP family and attributes of each.
pub fn messages(batch: &mut [u8], mut each: impl FnMut(u16, u8, &mut [u8])) {
    let mut rest = batch;
    while rest.len() >= 20 {
        let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
        let kind = u16::from_ne_bytes(rest[4..6].try_into().unwrap());
        let (message, after) = rest.split_at_mut(length.next_multiple_of(4));
        each(kind, message[16], &mut message[20..length]);
        rest = after;
    }
}
