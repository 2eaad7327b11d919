//! DNS messages as they arrive (RFC 1035 section 4): header, question, records. Every function is total: whatever the
//! bytes, it returns, within the bounds of the message.

use crate::name::{NAME_BYTES_MAX, QueryName};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 12;

/// Record types and the one class that is served (RFC 1035, 2782, 3596, 6891).
pub mod rtype {
    #![allow(missing_docs, reason = "the field's own names")]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const CLASS_IN: u16 = 1;
}

/// Response codes (RFC 1035 section 4.1.1, RFC 6891 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the field's own names")]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    BadVers = 16,
}

/// Bits of the header's second half-word.
pub(crate) mod flag {
    pub const QR: u16 = 0x8000;
    pub const OPCODE: u16 = 0x7800;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    pub const CD: u16 = 0x0010;
}

/// A query that can be answered, over the bytes that it came in.
#[derive(Debug)]
pub(crate) struct Query<'m> {
    pub message: &'m [u8],
    pub name: QueryName,
    pub qtype: u16,
    pub qclass: u16,
    /// Where the first question ends.
    pub question_end: usize,
    pub edns: Option<Edns>,
}

/// What the client says in its OPT record (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub udp_bytes: u16,
    pub version: u8,
    pub dnssec_ok: bool,
}

/// Why a message is no query to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unanswerable {
    /// Too short for a header, or itself a reply: to answer it could make a loop.
    Drop,
    /// The header alone is answered with this code.
    Code(Rcode),
}

impl<'m> Query<'m> {
    pub fn parse(message: &'m [u8]) -> Result<Query<'m>, Unanswerable> {
        let flags = u16_at(message, 2).filter(|_| message.len() >= HEADER_BYTES).ok_or(Unanswerable::Drop)?;
        if flags & flag::QR != 0 {
            return Err(Unanswerable::Drop);
        }
        if flags & flag::OPCODE != 0 {
            return Err(Unanswerable::Code(Rcode::NotImp));
        }
        if count(message, Section::Question) == 0 {
            return Err(Unanswerable::Code(Rcode::ServFail));
        }
        Query::parse_question(message).ok_or(Unanswerable::Code(Rcode::FormErr))
    }

    fn parse_question(message: &'m [u8]) -> Option<Query<'m>> {
        let (name, end) = QueryName::parse(message, HEADER_BYTES)?;
        let (qtype, qclass) = (u16_at(message, end)?, u16_at(message, end + 2)?);
        let edns = find_edns(message)?;
        Some(Query { message, name, qtype, qclass, question_end: end + 4, edns })
    }

    /// The first question as the client wrote it.
    pub fn question(&self) -> &'m [u8] {
        &self.message[HEADER_BYTES..self.question_end]
    }
}

/// The OPT record of a message; the outer option is empty if the message is malformed or has two of them.
fn find_edns(message: &[u8]) -> Option<Option<Edns>> {
    // Half of all queries are one question and nothing else.
    if message[4..HEADER_BYTES] == [0, 1, 0, 0, 0, 0, 0, 0] {
        return Some(None);
    }
    let mut found = None;
    let mut records = Records::of(message)?;
    while let Some(record) = records.next_record()? {
        if record.rtype != rtype::OPT {
            continue;
        }
        let is_root = message.get(record.owner) == Some(&0);
        if found.is_some() || record.section != Section::Additional || !is_root {
            return None;
        }
        let [_, version, flags, _] = record.ttl.to_be_bytes();
        found = Some(Edns { udp_bytes: record.class, version, dnssec_ok: flags & 0x80 != 0 });
    }
    Some(found)
}

/// Sections of a message, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Question,
    Answer,
    Authority,
    Additional,
}

/// A record within a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub section: Section,
    /// Where its owner's name begins.
    pub owner: usize,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub rdata: usize,
    pub rdata_end: usize,
}

/// Walks the records of a message.
pub(crate) struct Records<'m> {
    message: &'m [u8],
    at: usize,
    section: Section,
    left: u16,
}

impl<'m> Records<'m> {
    /// Begins behind the questions; nothing if these are malformed.
    pub fn of(message: &'m [u8]) -> Option<Records<'m>> {
        let mut at = HEADER_BYTES;
        for _ in 0..count(message, Section::Question) {
            at = skip_name(message, at)? + 4;
        }
        (at <= message.len()).then_some(Records { message, at, section: Section::Question, left: 0 })
    }

    /// The next record, `Some(None)` behind the last; nothing if it is malformed.
    pub fn next_record(&mut self) -> Option<Option<Record>> {
        while self.left == 0 {
            self.section = match self.section {
                Section::Question => Section::Answer,
                Section::Answer => Section::Authority,
                Section::Authority => Section::Additional,
                Section::Additional => return Some(None),
            };
            self.left = count(self.message, self.section);
        }
        self.left -= 1;
        let owner = self.at;
        let fixed = skip_name(self.message, owner)?;
        let (rtype, class) = (u16_at(self.message, fixed)?, u16_at(self.message, fixed + 2)?);
        let ttl = u32::from_be_bytes(self.message.get(fixed + 4..fixed + 8)?.try_into().ok()?);
        let rdata = fixed + 10;
        let rdata_end = rdata + u16_at(self.message, fixed + 8)? as usize;
        self.at = rdata_end;
        let record = Record { section: self.section, owner, rtype, class, ttl, rdata, rdata_end };
        (rdata_end <= self.message.len()).then_some(Some(record))
    }
}

/// How many entries the header announces for a section; none if there is no header.
pub(crate) fn count(message: &[u8], section: Section) -> u16 {
    u16_at(message, 4 + 2 * section as usize).unwrap_or(0)
}

pub(crate) fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// The place behind a name, which may end in a pointer.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=0x3f => at += 1 + length as usize,
            0xc0.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// Appends a name without compression; returns the place behind it in the message. Pointers only lead backwards, which
/// bounds the work.
pub(crate) fn expand_name(message: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let end = skip_name(message, at)?;
    let begin = out.len();
    let (mut at, mut earliest) = (at, at);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                out.push(0);
                return (out.len() - begin <= NAME_BYTES_MAX).then_some(end);
            }
            1..=0x3f => {
                out.extend_from_slice(message.get(at..at + 1 + length as usize)?);
                at += 1 + length as usize;
            }
            0xc0.. => {
                let to = (u16_at(message, at)? & 0x3fff) as usize;
                if to >= earliest {
                    return None;
                }
                (at, earliest) = (to, to);
            }
            _ => return None,
        }
        if out.len() - begin > NAME_BYTES_MAX {
            return None;
        }
    }
}
