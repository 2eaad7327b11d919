//! Plans as netlink batches.
//!
//! A batch is one transaction: the kernel carries out all of it or nothing. Where the socket takes less than a whole
//! Plan (without privileges over the send buffer), the Plan is cut into several; each leaves the table usable.

use model::Family;

use crate::chain::Chain;
use crate::element::Element;
use crate::expression::{encode_verdict, value};
use crate::operation::{Operation, hook};
use crate::plan::{Cut, Plan};
use crate::set::{Data, Kind, Set};
use crate::wire::{Head, Writer, flag};

pub(crate) const SUBSYSTEM: u16 = 10;
pub(crate) const TABLE: &str = "maitred";
pub(crate) const BATCH_BEGIN: u16 = 0x10;
pub(crate) const BATCH_END: u16 = 0x11;
const BATCH_GENERATION: u16 = 1;
/// An attribute's length has 16 bits; a list is ended well before.
const LIST_BYTES: usize = 60_000;
/// Elements of one message.
const LIST_ELEMENTS: usize = 600;
/// Of both messages around a batch: header and, at the beginning, the generation.
const BATCH_BYTES: usize = 28 + 20;

/// Message types of nf_tables.
pub(crate) mod kind {
    pub const NEW_TABLE: u16 = 0;
    pub const GET_TABLE: u16 = 1;
    pub const DELETE_TABLE: u16 = 2;
    pub const NEW_CHAIN: u16 = 3;
    pub const GET_CHAIN: u16 = 4;
    pub const DELETE_CHAIN: u16 = 5;
    pub const NEW_RULE: u16 = 6;
    pub const GET_RULE: u16 = 7;
    pub const DELETE_RULE: u16 = 8;
    pub const NEW_SET: u16 = 9;
    pub const GET_SET: u16 = 10;
    pub const NEW_ELEMENT: u16 = 12;
    pub const GET_ELEMENT: u16 = 13;
    pub const DELETE_ELEMENT: u16 = 14;
}

pub(crate) mod set_flag {
    pub const INTERVAL: u32 = 0x4;
    pub const MAP: u32 = 0x8;
    pub const TIMEOUT: u32 = 0x10;
    pub const EVAL: u32 = 0x20;
    pub const CONCAT: u32 = 0x80;
}

/// Marks the element after a range of an interval set.
pub(crate) const INTERVAL_END: u32 = 1;

/// How Plans become batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The most bytes of one batch: what the socket's send buffer takes. Without it, everything is one transaction.
    pub bytes_max: Option<usize>,
    /// The generation that the Image was read at: a batch is refused if somebody changed the ruleset meanwhile. For the
    /// first batch only, since that one makes a new generation itself.
    pub generation: Option<u32>,
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Netlink messages, to be sent at once.
    pub bytes: Vec<u8>,
    /// Which Plan, and which step of it, each message stands for; message `i` has the sequence number `i + 1`.
    pub steps: Vec<(usize, usize)>,
}

/// How large an encoded Plan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Transactions.
    pub batches: usize,
    /// Messages, without those around a batch.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
    /// Elements added and deleted.
    pub elements: usize,
}

/// The Plans, in this order, as transactions. Plans of both families may go together: a batch is atomic over both.
pub fn encode(plans: &[&Plan], options: &Options) -> Vec<Batch> {
    let mut messages = Messages::default();
    for (index, plan) in plans.iter().enumerate() {
        for (number, step) in plan.steps.iter().enumerate() {
            messages.step = (index, number);
            messages.cut = step.cut;
            messages.operation(&step.operation, plan.family);
        }
    }
    messages.batches(options)
}

/// How large the batches of some Plans are.
pub fn statistics(plans: &[&Plan], batches: &[Batch]) -> Statistics {
    let elements = plans.iter().map(|plan| plan.elements()).map(|(added, deleted)| added + deleted).sum();
    Statistics {
        batches: batches.len(),
        messages: batches.iter().map(|batch| batch.steps.len()).sum(),
        bytes: batches.iter().map(|batch| batch.bytes.len()).sum(),
        elements,
    }
}

#[derive(Default)]
struct Messages {
    out: Writer,
    list: Vec<Message>,
    step: (usize, usize),
    cut: Cut,
}

struct Message {
    start: usize,
    end: usize,
    cut: Cut,
    step: (usize, usize),
}

impl Messages {
    fn operation(&mut self, operation: &Operation, family: Family) {
        match operation {
            Operation::AddTable => self.message(kind::NEW_TABLE, flag::CREATE, family, |out| out.text(1, TABLE)),
            Operation::DeleteTable => self.message(kind::DELETE_TABLE, 0, family, |out| out.text(1, TABLE)),
            Operation::AddSet { set, size } | Operation::ResizeSet { set, size } => {
                self.message(kind::NEW_SET, flag::CREATE, family, |out| declare(out, *set, *size, family));
            }
            Operation::FlushSet(set) => self.message(kind::DELETE_ELEMENT, 0, family, |out| {
                out.text(1, TABLE);
                out.text(2, &set.to_string());
            }),
            Operation::AddChain(chain) => {
                self.message(kind::NEW_CHAIN, flag::CREATE, family, |out| declare_chain(out, *chain));
            }
            Operation::FlushChain(chain) => self.message(kind::DELETE_RULE, 0, family, |out| {
                out.text(1, TABLE);
                out.text(2, &chain.to_string());
            }),
            Operation::DeleteChain(chain) => self.message(kind::DELETE_CHAIN, 0, family, |out| {
                out.text(1, TABLE);
                out.text(3, &chain.to_string());
            }),
            Operation::AddRule { chain, rule } => {
                self.message(kind::NEW_RULE, flag::CREATE | flag::APPEND, family, |out| {
                    out.text(1, TABLE);
                    out.text(2, &chain.to_string());
                    out.nest(4, |out| {
                        rule.expressions.iter().for_each(|expression| expression.encode(out, family == Family::V6));
                    });
                });
            }
            Operation::AddElements { set, elements } => {
                self.elements(kind::NEW_ELEMENT, flag::CREATE, *set, elements, family);
            }
            Operation::DeleteElements { set, elements } => {
                self.elements(kind::DELETE_ELEMENT, 0, *set, elements, family);
            }
        }
    }

    fn elements(&mut self, kind: u16, flags: u16, set: Set, elements: &[Element], family: Family) {
        let mut rest = elements;
        while !rest.is_empty() {
            let mut written = 0;
            self.message(kind, flags, family, |out| {
                out.text(1, TABLE);
                out.text(2, &set.to_string());
                out.nest(3, |out| {
                    let start = out.bytes.len();
                    let fits = |out: &Writer, count| out.bytes.len() - start < LIST_BYTES && count < LIST_ELEMENTS;
                    while written < rest.len() && fits(out, written) {
                        write_element(out, &rest[written], family, kind == kind::NEW_ELEMENT);
                        written += 1;
                    }
                });
            });
            rest = &rest[written..];
            self.cut = self.cut.min(Cut::Possible);
        }
    }

    fn message(&mut self, kind: u16, flags: u16, family: Family, body: impl FnOnce(&mut Writer)) {
        let start = self.out.bytes.len();
        self.out.message(head(SUBSYSTEM << 8 | kind, flags, family), body);
        self.list.push(Message { start, end: self.out.bytes.len(), cut: self.cut, step: self.step });
    }

    /// Cuts at the last good place before a batch gets too large, else at the last possible one. What cannot be cut goes
    /// as it is, and the socket says that it is too large.
    fn batches(self, options: &Options) -> Vec<Batch> {
        let room = options.bytes_max.unwrap_or(usize::MAX).saturating_sub(BATCH_BYTES);
        let mut batches = Vec::new();
        let mut from = 0;
        while from < self.list.len() {
            let start = self.list[from].start;
            let over = self.list[from..].iter().position(|message| message.end - start > room);
            let needed = self.list[from + 1..].iter().position(|message| message.cut == Cut::Needed);
            let end = needed.map_or(self.list.len(), |needed| from + 1 + needed);
            let to = match over.map(|over| self.last_cut(from, from + over)) {
                Some(cut) if cut < end => cut,
                _ => end,
            };
            let generation = options.generation.filter(|_| batches.is_empty());
            batches.push(self.batch(&self.list[from..to], generation));
            from = to;
        }
        batches
    }

    /// The best place to cut in `from + 1 ..= over`; if there is none, the first one after.
    fn last_cut(&self, from: usize, over: usize) -> usize {
        let before = |least: Cut| (from + 1..=over).rev().find(|at| self.list[*at].cut >= least);
        let after = || (over + 1..self.list.len()).find(|at| self.list[*at].cut >= Cut::Possible);
        before(Cut::Good).or_else(|| before(Cut::Possible)).or_else(after).unwrap_or(self.list.len())
    }

    fn batch(&self, messages: &[Message], generation: Option<u32>) -> Batch {
        let mut out = Writer::default();
        let (first, last) = (&messages[0], &messages[messages.len() - 1]);
        out.bytes.reserve(last.end - first.start + BATCH_BYTES);
        out.message(edge(BATCH_BEGIN, 0), |out| {
            if let Some(generation) = generation {
                out.be32(BATCH_GENERATION, generation);
            }
        });
        let offset = out.bytes.len();
        out.bytes.extend_from_slice(&self.out.bytes[first.start..last.end]);
        for (message, sequence) in messages.iter().zip(1u32..) {
            let at = offset + message.start - first.start;
            out.bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
        }
        // The last message asks for an answer, which comes once everything is carried out.
        let at = offset + last.start - first.start + 6;
        let flags = u16::from_ne_bytes([out.bytes[at], out.bytes[at + 1]]) | flag::ACK;
        out.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        out.message(edge(BATCH_END, messages.len() as u32 + 1), |_| ());
        Batch { bytes: out.bytes, steps: messages.iter().map(|message| message.step).collect() }
    }
}

pub(crate) fn edge(kind: u16, sequence: u32) -> Head {
    Head { kind, flags: flag::REQUEST, family: 0, resource: SUBSYSTEM, sequence }
}

pub(crate) fn head(kind: u16, flags: u16, family: Family) -> Head {
    Head { kind, flags: flag::REQUEST | flags, family: family_number(family), resource: 0, sequence: 0 }
}

pub(crate) fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

fn declare_chain(out: &mut Writer, chain: Chain) {
    out.text(1, TABLE);
    out.text(3, &chain.to_string());
    if let Some((number, priority, _)) = hook(chain) {
        out.nest(4, |out| {
            out.be32(1, number);
            out.be32(2, priority as u32);
        });
        out.text(7, "nat");
    }
}

/// The flags of a set.
pub(crate) fn set_flags(set: Set) -> u32 {
    let map = if set.data() == Data::Nothing { 0 } else { set_flag::MAP };
    map | match set.kind() {
        Kind::Sized(_) | Kind::Small => 0,
        Kind::Interval => set_flag::INTERVAL,
        Kind::ConcatInterval => set_flag::INTERVAL | set_flag::CONCAT,
        Kind::Dynamic(_) => set_flag::TIMEOUT | set_flag::EVAL,
    }
}

/// Type and length of a set's keys.
pub(crate) fn key_type(set: Set, family: Family) -> (u32, u32) {
    concatenation(set.key(), family)
}

/// Type and length of a map's data.
pub(crate) fn data_type(set: Set, family: Family) -> Option<(u32, u32)> {
    match set.data() {
        Data::Nothing => None,
        Data::Verdict => Some((0xffff_ff00, 0)),
        Data::Fields(fields) => Some(concatenation(fields, family)),
    }
}

fn concatenation(fields: &[crate::set::Field], family: Family) -> (u32, u32) {
    fields.iter().fold((0, 0), |(number, size), field| (number << 6 | field.number(family), size + field.size(family)))
}

fn declare(out: &mut Writer, set: Set, size: u32, family: Family) {
    out.text(1, TABLE);
    out.text(2, &set.to_string());
    out.be32(3, set_flags(set));
    let (number, length) = key_type(set, family);
    out.be32(4, number);
    out.be32(5, length);
    if let Some((number, length)) = data_type(set, family) {
        out.be32(6, number);
        if length > 0 {
            out.be32(7, length);
        }
    }
    out.nest(9, |out| {
        if size > 0 {
            out.be32(1, size);
        }
        if set.kind() == Kind::ConcatInterval {
            out.nest(2, |out| {
                for field in set.key() {
                    out.nest(1, |out| out.be32(1, field.size_unpadded(family)));
                }
            });
        }
    });
    // The kernel wants a number for the set within the batch.
    out.be32(10, set.index() as u32 + 1);
    byte_order(out, set);
}

/// Tells the `nft` program how to print single fields; the kernel keeps it unread.
fn byte_order(out: &mut Writer, set: Set) {
    const HOST: u32 = 1;
    const NETWORK: u32 = 2;
    let order = |fields: &[crate::set::Field]| if fields == [crate::set::Field::Word] { HOST } else { NETWORK };
    let mut data = vec![0, 4];
    data.extend(order(set.key()).to_ne_bytes());
    if let Data::Fields(fields) = set.data() {
        data.extend([1, 4]);
        data.extend(order(fields).to_ne_bytes());
    }
    out.attribute(13, &data);
}

fn write_element(out: &mut Writer, element: &Element, family: Family, with_data: bool) {
    let key = element.key(family);
    let last = element.last_key(family);
    if let (Kind::Interval, Some(last)) = (element.set().kind(), &last) {
        return write_range(out, key.bytes(), last.bytes());
    }
    out.nest(1, |out| {
        value(out, 1, key.bytes());
        if let Some(data) = element.value().filter(|_| with_data) {
            value(out, 2, data.bytes());
        }
        if let Some(verdict) = element.verdict().filter(|_| with_data) {
            out.nest(2, |out| encode_verdict(out, verdict));
        }
        if let Some(last) = last {
            value(out, 10, last.bytes());
        }
    });
}

/// Plain interval sets hold where a range begins and where the next address after it is.
pub(crate) fn write_range(out: &mut Writer, first: &[u8], last: &[u8]) {
    out.nest(1, |out| value(out, 1, first));
    if let Some(next) = next(last) {
        out.nest(1, |out| {
            value(out, 1, &next);
            out.be32(3, INTERVAL_END);
        });
    }
}

fn next(address: &[u8]) -> Option<Vec<u8>> {
    let mut next = address.to_vec();
    let carry = next.iter().rposition(|byte| *byte != 255)?;
    next[carry] += 1;
    next[carry + 1..].fill(0);
    Some(next)
}
