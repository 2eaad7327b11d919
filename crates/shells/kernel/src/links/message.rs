//! The bytes of route netlink: building one request, walking the messages and attributes of an answer. Pure.
//!
//! Layout: a 16-byte header, a fixed structure per kind of object, then attributes (length, kind, payload), each
//! padded to four bytes. Numbers are in host byte order. <https://docs.kernel.org/userspace-api/netlink/intro.html>

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Set in an attribute's kind when its payload is a list of attributes.
const NESTED: u16 = 1 << 15;
/// Flag of a route whose next hop needs no route of its own (`rtnetlink.h`); `libc` lacks it.
pub const RTNH_F_ONLINK: u32 = 4;

/// One request under construction.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Self { bytes }
    }

    /// A request about a link; index 0 leaves the link to an `IFLA_IFNAME` attribute.
    pub fn link(kind: u16, flags: u16, index: u32, up: Option<bool>) -> Self {
        Self::new(kind, flags, &link_fixed(index, up))
    }

    /// A request about an address of the link with this index.
    pub fn address(kind: u16, flags: u16, family: u8, prefix_len: u8, scope: u8, index: u32) -> Self {
        let mut fixed = vec![family, prefix_len, 0, scope];
        fixed.extend_from_slice(&index.to_ne_bytes());
        Self::new(kind, flags, &fixed)
    }

    /// A request about a route in the main table.
    pub fn route(kind: u16, flags: u16, family: u8, prefix_len: u8, protocol: u8, scope: u8, on_link: bool) -> Self {
        let mut fixed = vec![family, prefix_len, 0, 0, libc::RT_TABLE_MAIN, protocol, scope, libc::RTN_UNICAST];
        let flags_of_hop: u32 = if on_link { RTNH_F_ONLINK } else { 0 };
        fixed.extend_from_slice(&flags_of_hop.to_ne_bytes());
        Self::new(kind, flags, &fixed)
    }

    /// Appends an attribute.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        let length = (ATTRIBUTE_HEADER_BYTES + payload.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.pad();
        self
    }

    /// Appends an attribute that holds a name, with the zero byte the kernel expects.
    pub fn name(&mut self, kind: u16, name: &str) -> &mut Self {
        let mut payload = name.as_bytes().to_vec();
        payload.push(0);
        self.attribute(kind, &payload)
    }

    /// Appends an attribute whose payload is written by `fill`.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Appends the fixed structure of a link, as the description of a veth peer begins with one.
    pub fn peer_header(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&link_fixed(0, None));
        self
    }

    /// The finished request.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

fn link_fixed(index: u32, up: Option<bool>) -> [u8; 16] {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(up) = up {
        let flag = libc::IFF_UP as u32;
        fixed[8..12].copy_from_slice(&(if up { flag } else { 0 }).to_ne_bytes());
        fixed[12..16].copy_from_slice(&flag.to_ne_bytes());
    }
    fixed
}

/// One message of an answer: its kind, sequence number and what follows the header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Received<'a> {
    pub kind: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

/// Splits a datagram into its messages; a truncated one ends the walk.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(datagram, 0)? as usize;
        let payload = datagram.get(HEADER_BYTES..length)?;
        let received = Received { kind: u16_at(datagram, 4)?, sequence: u32_at(datagram, 8)?, payload };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(received)
    })
}

/// Splits the attributes that follow a fixed structure; a truncated one ends the walk.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u16_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 2)? & !NESTED;
        let payload = bytes.get(ATTRIBUTE_HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// The host-order number at `offset`, if the bytes reach that far.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// The host-order number at `offset`, if the bytes reach that far.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_written_are_the_attributes_read() {
        let mut message = Message::link(libc::RTM_NEWLINK, 0, 7, Some(true));
        message.name(libc::IFLA_IFNAME, "eth0");
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(1, b"veth");
        });
        let bytes = message.finish(42);

        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].kind, all[0].sequence), (libc::RTM_NEWLINK, 42));
        assert_eq!(u32_at(all[0].payload, 4), Some(7));
        let found: Vec<_> = attributes(&all[0].payload[16..]).collect();
        assert_eq!(found[0], (libc::IFLA_IFNAME, &b"eth0\0"[..]));
        assert_eq!(found[1].0, libc::IFLA_LINKINFO);
        assert_eq!(attributes(found[1].1).collect::<Vec<_>>(), [(1, &b"veth"[..])]);
    }

    #[test]
    fn every_prefix_of_an_answer_is_read_without_a_panic() {
        let mut message = Message::link(libc::RTM_NEWLINK, 0, 7, None);
        message.name(libc::IFLA_IFNAME, "a-longer-name");
        let bytes = message.finish(1);
        for length in 0..bytes.len() {
            assert_eq!(messages(&bytes[..length]).count(), 0, "{length} bytes");
        }
    }

    #[test]
    fn a_length_of_zero_ends_the_walk() {
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }
}
