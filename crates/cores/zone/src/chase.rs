//! What upstreams replied about the target of an alias (S-408), taken over into our own reply.

use crate::message::{Query, Record, Records, Section, count, expand_name, flag, rtype, u16_at};
use crate::name::{Name, QueryName};
use crate::reply::Reply;

/// A query for the target of an alias, to be sent to an upstream. `id` is the message's id, which nobody may guess.
pub fn chase_query(target: &Name, qtype: u16, id: u16, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&flag::RD.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(target.wire());
    out.extend_from_slice(&qtype.to_be_bytes());
    out.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
}

/// The type that a query asks for, if it is a query.
pub fn query_type(message: &[u8]) -> Option<u16> {
    Query::parse(message).ok().map(|query| query.qtype)
}

/// Whether a message is a usable reply about a name and type: one that says what there is, or that there is nothing.
pub(crate) fn answers(reply: &[u8], target: &Name, qtype: u16) -> bool {
    let Some(flags) = u16_at(reply, 2) else { return false };
    let Some((name, end)) = QueryName::parse(reply, crate::message::HEADER_BYTES) else { return false };
    flags & flag::QR != 0
        && matches!(flags & 0xf, 0 | 3)
        && count(reply, Section::Question) == 1
        && name.wire() == target.to_lower_case().wire()
        && u16_at(reply, end) == Some(qtype)
}

/// Appends the aliases and addresses of a reply, as many as are well-formed and fit.
pub(crate) fn append_answers(message: &[u8], reply: &mut Reply<'_>) {
    let Some(mut records) = Records::of(message) else { return };
    while let Some(Some(record)) = records.next_record() {
        if record.section != Section::Answer {
            return;
        }
        if record.class != rtype::CLASS_IN || append(message, &record, reply).is_none() {
            continue;
        }
    }
}

fn append(message: &[u8], record: &Record, reply: &mut Reply<'_>) -> Option<()> {
    let mut owner = Vec::new();
    expand_name(message, record.owner, &mut owner)?;
    let rdata = message.get(record.rdata..record.rdata_end)?;
    let mut target = Vec::new();
    let rdata = match (record.rtype, rdata.len()) {
        (rtype::A, 4) | (rtype::AAAA, 16) => rdata,
        (rtype::CNAME, _) => {
            expand_name(message, record.rdata, &mut target)?;
            &target
        }
        _ => return None,
    };
    reply.foreign_record(&owner, (record.rtype, record.ttl), rdata);
    Some(())
}
