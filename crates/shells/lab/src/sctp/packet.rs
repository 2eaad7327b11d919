//! SCTP packets of one chunk in wire form (RFC 9260, sections 3.1 and 3.3.2 to 3.3.7). Pure.

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const STATE_COOKIE: u16 = 7;
const HEADER_BYTES: usize = 12;
const CHECKSUM: std::ops::Range<usize> = 8..12;
/// From a chunk's start to the optional parameters of INIT and INIT ACK.
const INIT_BYTES: usize = 20;

/// A packet with one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source_port: u16,
    pub destination_port: u16,
    /// The tag that the receiver chose; 0 in an INIT.
    pub verification_tag: u32,
    pub chunk: Chunk,
}

/// The chunks of an association's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Asks for an association, under the sender's tag.
    Init { tag: u32 },
    /// Agrees, under the sender's tag, with a cookie to be echoed.
    InitAck { tag: u32, cookie: Vec<u8> },
    /// Refuses.
    Abort,
}

impl Packet {
    /// The packet with its checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend(self.destination_port.to_be_bytes());
        bytes.extend(self.verification_tag.to_be_bytes());
        bytes.extend([0; 4]);
        match &self.chunk {
            Chunk::Init { tag } => encode_init(&mut bytes, INIT, *tag, &[]),
            Chunk::InitAck { tag, cookie } => encode_init(&mut bytes, INIT_ACK, *tag, cookie),
            Chunk::Abort => bytes.extend([ABORT, 0, 0, 4]),
        }
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes[CHECKSUM].copy_from_slice(&checksum);
        bytes
    }

    /// Reads a packet; `None` if it is damaged or begins with another chunk.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut unsigned = bytes.to_vec();
        unsigned.get_mut(CHECKSUM)?.fill(0);
        if bytes[CHECKSUM] != crc32c(&unsigned).to_le_bytes() {
            return None;
        }
        let chunk = &bytes[HEADER_BYTES..];
        let tag = || u32_at(chunk, 4);
        let chunk = match *chunk.first()? {
            INIT => Chunk::Init { tag: tag()? },
            INIT_ACK => Chunk::InitAck {
                tag: tag()?,
                cookie: cookie(chunk.get(INIT_BYTES..usize::from(u16_at(chunk, 2)?))?)?.to_vec(),
            },
            ABORT => Chunk::Abort,
            _ => return None,
        };
        Some(Self {
            source_port: u16_at(bytes, 0)?,
            destination_port: u16_at(bytes, 2)?,
            verification_tag: u32_at(bytes, 4)?,
            chunk,
        })
    }
}

fn encode_init(bytes: &mut Vec<u8>, kind: u8, tag: u32, cookie: &[u8]) {
    const WINDOW: u32 = 65_536;
    const STREAMS: u16 = 1;
    let parameter = if cookie.is_empty() { 0 } else { 4 + cookie.len() };
    bytes.extend([kind, 0]);
    bytes.extend(((INIT_BYTES + parameter) as u16).to_be_bytes());
    bytes.extend(tag.to_be_bytes());
    bytes.extend(WINDOW.to_be_bytes());
    bytes.extend(STREAMS.to_be_bytes());
    bytes.extend(STREAMS.to_be_bytes());
    // The first sequence number may be any.
    bytes.extend(tag.to_be_bytes());
    if parameter > 0 {
        bytes.extend(STATE_COOKIE.to_be_bytes());
        bytes.extend((parameter as u16).to_be_bytes());
        bytes.extend(cookie);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
}

/// The state cookie among parameters (kind, length, value; padded to four bytes).
fn cookie(mut parameters: &[u8]) -> Option<&[u8]> {
    loop {
        let (kind, length) = (u16_at(parameters, 0)?, usize::from(u16_at(parameters, 2)?));
        let value = parameters.get(4..length)?;
        if kind == STATE_COOKIE {
            return Some(value);
        }
        parameters = parameters.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// CRC32c (RFC 9260, appendix A), bit by bit: packets here are few and short.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL_REFLECTED: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL_REFLECTED } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C, and the vectors of RFC 3720, appendix B.4.
    #[test]
    fn the_checksum_agrees_with_published_vectors() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    fn init_ack() -> Packet {
        Packet {
            source_port: 9,
            destination_port: 20_000,
            verification_tag: 1,
            chunk: Chunk::InitAck { tag: 2, cookie: b"a cookie".to_vec() },
        }
    }

    #[test]
    fn an_init_stands_on_the_wire_as_the_rfc_says() {
        let init = Packet {
            source_port: 0x0102,
            destination_port: 0x0304,
            verification_tag: 0,
            chunk: Chunk::Init { tag: 0x0a0b_0c0d },
        };
        let bytes = init.encode();
        assert_eq!(bytes[..8], [1, 2, 3, 4, 0, 0, 0, 0]);
        assert_eq!(bytes[12..20], [1, 0, 0, 20, 0x0a, 0x0b, 0x0c, 0x0d]);
        assert_eq!(bytes.len(), 32);
        assert_eq!(Packet::decode(&bytes), Some(init));
    }

    #[test]
    fn packets_read_back_and_damaged_ones_are_turned_away() {
        let bytes = init_ack().encode();
        assert_eq!(Packet::decode(&bytes), Some(init_ack()));
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            assert_eq!(Packet::decode(&damaged), None, "byte {position}");
            assert_eq!(Packet::decode(&bytes[..position]), None, "{position} bytes");
        }
    }
}
