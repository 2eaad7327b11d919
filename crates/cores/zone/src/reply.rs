//! A reply in the making, in wire form, never longer than the client takes (S-420).
//!
//! Owners are written as pointers into the question, which every reply repeats in the client's own case (S-400). A
//! record that does not fit is left out; where that makes an answer incomplete the reply says so (TC).

use crate::Config;
use crate::message::{Edns, HEADER_BYTES, Query, Rcode, Section, flag, rtype, u16_at};

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram; a reply that is too long is cut.
    Udp,
    /// A stream with messages of up to 65,535 bytes.
    Tcp,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// How.
    pub transport: Transport,
    /// Whether other names are looked up for this client.
    pub may_recurse: bool,
}

/// An owner's name: labels in wire form, then a pointer to the rest.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'l> {
    pub labels: &'l [u8],
    pub pointer: usize,
}

impl Owner<'static> {
    /// The name that begins at a place of the reply below 16,384.
    pub fn at(pointer: usize) -> Owner<'static> {
        Owner { labels: &[], pointer }
    }

    /// The name that was asked for.
    pub fn question() -> Owner<'static> {
        Owner::at(HEADER_BYTES)
    }
}

pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    flags: u16,
    /// What may be written, less the OPT record that ends the reply.
    limit: usize,
    counts: [u16; 3],
    edns: Option<Edns>,
    is_truncated: bool,
}

/// Bytes of an OPT record without options.
const OPT_BYTES: usize = 11;

impl<'o> Reply<'o> {
    /// Header and question.
    pub fn new(query: &Query<'_>, client: Client, config: &Config, out: &'o mut Vec<u8>) -> Reply<'o> {
        out.clear();
        let asked = u16_at(query.message, 2).unwrap_or(0);
        let recursion = if client.may_recurse { flag::RA } else { 0 };
        out.extend_from_slice(&query.message[..2]);
        out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(query.question());
        let udp_max = config.udp_bytes_max.clamp(512, 4096);
        let edns = query.edns.map(|edns| Edns { udp_bytes: edns.udp_bytes.clamp(512, udp_max), ..edns });
        let bytes_max = match client.transport {
            Transport::Udp => edns.map_or(512, |edns| edns.udp_bytes as usize),
            Transport::Tcp => u16::MAX as usize,
        };
        let flags = flag::QR | asked & (flag::RD | flag::CD) | recursion;
        let limit = bytes_max - edns.map_or(0, |_| OPT_BYTES);
        Reply { out, flags, limit, counts: [0; 3], edns, is_truncated: false }
    }

    /// Says that the answer is from the zone itself.
    pub fn authoritative(&mut self) {
        self.flags |= flag::AA;
    }

    /// Takes that back.
    pub fn not_authoritative(&mut self) {
        self.flags &= !flag::AA;
    }

    /// Drops the records that were written.
    pub fn clear_records(&mut self, question_end: usize) {
        self.out.truncate(question_end);
        self.counts = [0; 3];
        self.is_truncated = false;
    }

    /// Writes one record whose data `rdata` appends; returns where its data begins, or nothing if it did not fit.
    pub fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        (rtype, ttl): (u16, u32),
        rdata: impl FnOnce(&mut Vec<u8>),
    ) -> Option<usize> {
        let begin = self.out.len();
        if self.is_truncated {
            return None;
        }
        self.out.extend_from_slice(owner.labels);
        self.out.extend_from_slice(&pointer(owner.pointer));
        let at = self.tail(rtype, ttl, rdata);
        self.keep(section, begin).then_some(at)
    }

    /// The same with an owner that is written in full, for names from elsewhere.
    pub fn foreign_record(&mut self, owner: &[u8], (rtype, ttl): (u16, u32), rdata: &[u8]) {
        let begin = self.out.len();
        if !self.is_truncated {
            self.out.extend_from_slice(owner);
            self.tail(rtype, ttl, |out| out.extend_from_slice(rdata));
            self.keep(Section::Answer, begin);
        }
    }

    /// Writes addresses of `N` bytes in an order that `seed` gives (S-421).
    pub fn addresses<const N: usize>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        (rtype, ttl): (u16, u32),
        (addresses, seed): (&[u8], u64),
    ) {
        let (addresses, _) = addresses.as_chunks::<N>();
        for at in Order::new(addresses.len(), seed) {
            if self.record(section, owner, (rtype, ttl), |out| out.extend_from_slice(&addresses[at])).is_none() {
                break;
            }
        }
    }

    /// Type, class, TTL and data with its length; returns where the data begins.
    fn tail(&mut self, rtype: u16, ttl: u32, rdata: impl FnOnce(&mut Vec<u8>)) -> usize {
        let ([t0, t1], [c0, c1], [s0, s1, s2, s3]) =
            (rtype.to_be_bytes(), rtype::CLASS_IN.to_be_bytes(), ttl.to_be_bytes());
        self.out.extend_from_slice(&[t0, t1, c0, c1, s0, s1, s2, s3, 0, 0]);
        let at = self.out.len();
        rdata(self.out);
        let length = (self.out.len() - at) as u16;
        self.out[at - 2..at].copy_from_slice(&length.to_be_bytes());
        at
    }

    /// Counts the record that began at a place, or takes it back if it goes beyond the limit. Additional records are
    /// a courtesy: without them the reply is still complete.
    fn keep(&mut self, section: Section, begin: usize) -> bool {
        let fits = self.out.len() <= self.limit;
        if fits {
            self.counts[section as usize - 1] += 1;
        } else {
            self.out.truncate(begin);
            self.is_truncated = section != Section::Additional;
        }
        fits
    }

    /// The longest message that the client takes.
    pub fn bytes_max(&self) -> usize {
        self.limit + self.edns.map_or(0, |_| OPT_BYTES)
    }

    /// Ends the reply as one that says nothing but that the whole of it is too long.
    pub fn finish_truncated(mut self) {
        self.is_truncated = true;
        self.finish(Rcode::NoError);
    }

    /// Ends the reply with its code, its counts and, for a client that sent one, an OPT record.
    pub fn finish(mut self, rcode: Rcode) {
        let code = rcode as u16;
        if let Some(edns) = self.edns {
            let [size_high, size_low] = edns.udp_bytes.to_be_bytes();
            let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
            let opt = [0, 0, rtype::OPT as u8, size_high, size_low, (code >> 4) as u8, 0, dnssec_ok, 0, 0, 0];
            self.out.extend_from_slice(&opt);
            self.counts[2] += 1;
        }
        let truncated = if self.is_truncated { flag::TC } else { 0 };
        self.out[2..4].copy_from_slice(&(self.flags | truncated | code & 0xf).to_be_bytes());
        for (at, count) in (6..).step_by(2).zip(self.counts) {
            self.out[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
    }
}

/// A compression pointer (RFC 1035 section 4.1.4).
pub(crate) fn pointer(to: usize) -> [u8; 2] {
    (0xc000 | to as u16 & 0x3fff).to_be_bytes()
}

/// Answers with a header alone.
pub(crate) fn header_only(message: &[u8], rcode: Rcode, out: &mut Vec<u8>) {
    out.clear();
    let asked = u16_at(message, 2).unwrap_or(0);
    let flags = flag::QR | asked & (flag::OPCODE | flag::RD | flag::CD) | rcode as u16;
    out.extend_from_slice(&message[..2]);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
}

/// An order of 0..count: a random beginning and a random stride without a common divisor. Each place is first equally
/// often, as clients that take the first address need it, at the cost of a few divisions, not of a shuffle.
struct Order {
    next: usize,
    stride: usize,
    count: usize,
    left: usize,
}

impl Order {
    fn new(count: usize, seed: u64) -> Order {
        if count < 2 {
            return Order { next: 0, stride: 0, count, left: count };
        }
        let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 31).wrapping_mul(0x94d0_49bb_1331_11eb);
        let (next, wish) = ((mixed >> 32) as usize % count, 1 + mixed as u32 as usize % (count - 1));
        let stride = (wish..count).find(|stride| greatest_common_divisor(*stride, count) == 1);
        Order { next, stride: stride.unwrap_or(1), count, left: count }
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let at = self.next;
        self.next += self.stride;
        if self.next >= self.count {
            self.next -= self.count;
        }
        Some(at)
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s421_an_order_visits_each_place_once_and_begins_anywhere() {
        for count in [0, 1, 2, 3, 4, 12, 97, 1000] {
            let mut firsts = vec![0; count];
            for seed in 0..2000 {
                let order: Vec<usize> = Order::new(count, seed).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "{count} {seed}");
                if let Some(first) = order.first() {
                    firsts[*first] += 1;
                }
            }
            // 2,000 throws: each of up to twelve places comes up at least half as often as it should.
            let expected_min = if count <= 12 { 1000 / count.max(1) } else { 0 };
            assert!(firsts.iter().all(|times| *times >= expected_min), "{count}: {firsts:?}");
        }
    }
}
