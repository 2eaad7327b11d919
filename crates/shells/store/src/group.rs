//! The log's record: a group of transactions that became durable together.
//!
//! ```text
//!  sector 0                                     … last sector
//!  ┌──────────────────────────────┬────────────────────────┬─────────┐
//!  │ header, 48 bytes             │ payload: transactions  │ zeros   │
//!  └──────────────────────────────┴────────────────────────┴─────────┘
//!  header       magic · header checksum · sequence · first revision · oldest readable revision ·
//!               payload length · payload checksum · number of transactions (all little-endian)
//!  transaction  number of writes, then for each: 1 · key · value (a put) or 0 · key (a removal);
//!               keys and values begin with their length (u32)
//! ```
//!
//! A group begins and ends on a sector boundary, so writing one never rewrites a sector of an older one. The header's
//! checksum is seeded with the segment's salt, so no value that a user stores can pass for a header. A group without
//! transactions is a *seal*: it says that what is before it was synced.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Key, Revision, Write};

/// What a disk writes whole or not at all.
pub(crate) const SECTOR: usize = 512;

const MAGIC: [u8; 4] = *b"\xFFmtG";
const HEADER: usize = 48;

/// The rest of the last sector, too.
pub(crate) fn padded(length: usize) -> usize {
    length.next_multiple_of(SECTOR)
}

/// A group's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Numbers the groups of a store, from 1.
    pub(crate) sequence: u64,
    /// The revision of the first transaction; the others' follow.
    pub(crate) first: Revision,
    /// The oldest revision that may be read.
    pub(crate) floor: Revision,
    /// How many transactions it has.
    pub(crate) transactions: u32,
    payload_length: u32,
    payload_checksum: u32,
}

/// A group on its way to the log.
#[derive(Debug)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    transactions: u32,
}

impl Group {
    pub(crate) fn new() -> Group {
        Group { bytes: vec![0; HEADER], transactions: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.transactions == 0
    }

    /// Its length so far.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, writes: &[Write]) {
        self.transactions += 1;
        put_u32(&mut self.bytes, writes.len());
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    self.bytes.push(1);
                    put_bytes(&mut self.bytes, key.as_bytes());
                    put_bytes(&mut self.bytes, value);
                }
                Write::Delete(key) => {
                    self.bytes.push(0);
                    put_bytes(&mut self.bytes, key.as_bytes());
                }
            }
        }
    }

    /// The group's sectors.
    pub(crate) fn finish(mut self, sequence: u64, first: Revision, floor: Revision, salt: u64) -> Vec<u8> {
        let payload = &self.bytes[HEADER..];
        let header = Header {
            sequence,
            first,
            floor,
            transactions: self.transactions,
            payload_length: u32::try_from(payload.len()).expect("a group has less than 4 GiB"),
            payload_checksum: crc32fast::hash(payload),
        };
        header.encode(salt, &mut self.bytes[..HEADER]);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.bytes
    }
}

impl Header {
    fn encode(&self, salt: u64, bytes: &mut [u8]) {
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.floor.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.payload_length.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.transactions.to_le_bytes());
        let checksum = header_checksum(&bytes[8..HEADER], salt);
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The header at the beginning of some bytes, if there is one.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        let mut fields = Fields(bytes.strip_prefix(&MAGIC)?);
        if fields.u32()? != header_checksum(&bytes[8..], salt) {
            return None;
        }
        let (sequence, first, floor) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (payload_length, payload_checksum, transactions) = (fields.u32()?, fields.u32()?, fields.u32()?);
        Some(Header { sequence, first, floor, transactions, payload_length, payload_checksum })
    }

    /// The payload that follows the header, if it is whole.
    pub(crate) fn payload<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let payload = bytes.get(HEADER..HEADER + self.payload_length as usize)?;
        (crc32fast::hash(payload) == self.payload_checksum).then_some(payload)
    }

    /// How many bytes the group has in all.
    pub(crate) fn group_length(&self) -> usize {
        padded(HEADER + self.payload_length as usize)
    }

    /// The revisions of its transactions.
    pub(crate) fn revisions(&self) -> Range<Revision> {
        self.first..self.first + u64::from(self.transactions)
    }
}

fn header_checksum(bytes: &[u8], salt: u64) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&salt.to_le_bytes());
    checksum.update(bytes);
    checksum.finalize()
}

/// The transactions of a payload; `None` where the bytes make no sense although their checksum is right.
pub(crate) fn transactions(payload: &[u8], count: u32) -> Option<Vec<Vec<Write>>> {
    let mut fields = Fields(payload);
    let transactions = (0..count).map(|_| fields.writes()).collect::<Option<_>>()?;
    fields.0.is_empty().then_some(transactions)
}

/// Appends a length or number.
pub(crate) fn put_u32(bytes: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).expect("keys, values and groups have less than 4 GiB");
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Appends bytes, behind their length.
pub(crate) fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_u32(bytes, value.len());
    bytes.extend_from_slice(value);
}

/// Bytes that are read field by field; every read is `None` past the end.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    pub(crate) fn key(&mut self) -> Option<Key> {
        std::str::from_utf8(self.slice()?).ok().map(Arc::from)
    }

    /// A value of its own: a slice would keep the whole file's bytes in memory.
    pub(crate) fn value(&mut self) -> Option<Bytes> {
        self.slice().map(Bytes::copy_from_slice)
    }

    fn writes(&mut self) -> Option<Vec<Write>> {
        let count = self.u32()?;
        (0..count).map(|_| self.write()).collect()
    }

    fn write(&mut self) -> Option<Write> {
        match self.array::<1>()? {
            [1] => Some(Write::Put(self.key()?, self.value()?)),
            [0] => Some(Write::Delete(self.key()?)),
            _ => None,
        }
    }
}
