//! Netlink in bytes: messages and attributes, written and read.
//!
//! The reader is total: whatever the bytes are, it ends and never reads past them. See netlink(7) and
//! <https://docs.kernel.org/userspace-api/netlink/specs.html>.

/// nlmsghdr and nfgenmsg together.
const HEADER: usize = 20;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

/// Flags of nlmsghdr.
pub(crate) mod flag {
    pub const REQUEST: u16 = 0x1;
    pub const ACK: u16 = 0x4;
    pub const DUMP: u16 = 0x300;
    pub const CREATE: u16 = 0x400;
    pub const APPEND: u16 = 0x800;
}

/// What a message begins with.
pub(crate) struct Head {
    pub kind: u16,
    pub flags: u16,
    pub family: u8,
    pub resource: u16,
    pub sequence: u32,
}

/// Appends messages and attributes to a buffer.
#[derive(Default)]
pub(crate) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    /// One message around what `body` writes.
    pub fn message(&mut self, head: Head, body: impl FnOnce(&mut Writer)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&head.kind.to_ne_bytes());
        self.bytes.extend_from_slice(&head.flags.to_ne_bytes());
        self.bytes.extend_from_slice(&head.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&[head.family, 0]);
        self.bytes.extend_from_slice(&head.resource.to_be_bytes());
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// An attribute that holds bytes, padded to four.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) {
        self.attribute_head(kind, payload.len() + 4);
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// An attribute around what `body` writes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Writer)) {
        let start = self.bytes.len();
        self.attribute_head(kind | NESTED, 0);
        body(self);
        let length = u16::try_from(self.bytes.len() - start).expect("a caller bounds what it nests to 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// A name, ended by a zero byte.
    pub fn text(&mut self, kind: u16, text: &str) {
        self.attribute_head(kind, text.len() + 5);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A 32-bit number in network order.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// A 64-bit number in network order.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }

    fn attribute_head(&mut self, kind: u16, length: usize) {
        self.bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
    }
}

/// A message that was read: its kind and its attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub kind: u16,
    pub family: u8,
    pub body: &'a [u8],
}

/// The messages in a buffer; what is cut off at its end is left out.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_ne(bytes.get(0..4)?)? as usize;
        let message = bytes.get(..length).filter(|_| length >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([message[4], message[5]]),
            family: message[16],
            body: &message[HEADER..],
        })
    })
}

/// The attributes in a buffer: type without flags, and payload.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.get(0..4)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK;
        let payload = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// The payload of the first attribute of this type.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

/// The name in the first attribute of this type.
pub(crate) fn find_text(bytes: &[u8], kind: u16) -> Option<&str> {
    find(bytes, kind).and_then(text)
}

/// The number, in network order, in the first attribute of this type.
pub(crate) fn find_be32(bytes: &[u8], kind: u16) -> Option<u32> {
    find(bytes, kind).and_then(be32)
}

/// A number in network order.
pub(crate) fn be32(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}

/// A number in network order.
pub(crate) fn be64(payload: &[u8]) -> Option<u64> {
    payload.try_into().ok().map(u64::from_be_bytes)
}

/// A number in the machine's order.
pub(crate) fn u32_ne(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_ne_bytes)
}

/// A name, with or without the zero byte that ends it.
pub(crate) fn text(payload: &[u8]) -> Option<&str> {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    std::str::from_utf8(&payload[..end]).ok()
}
