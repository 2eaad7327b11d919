//! What has to be known of messages to pass them on (S-423): ids, whether a reply belongs to a query, what to do with
//! one that is too long.

use crate::Config;
use crate::message::{HEADER_BYTES, Query, Rcode, flag, u16_at};
use crate::name::QueryName;
use crate::reply::{Client, Reply, header_only};

/// Writes another id over a message's own.
pub fn replace_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// Whether a message is a reply to a query: its id, its opcode and its question are the same, letters of either case.
pub fn is_reply_to(query: &[u8], reply: &[u8]) -> bool {
    let opcode = |message| u16_at(message, 2).map(|flags| flags & flag::OPCODE);
    let is_reply = u16_at(reply, 2).is_some_and(|flags| flags & flag::QR != 0);
    is_reply
        && query[..2.min(query.len())] == reply[..2]
        && opcode(query) == opcode(reply)
        && question(query) == question(reply)
}

/// The first question: name in lower case, type and class.
fn question(message: &[u8]) -> Option<(Vec<u8>, u16, u16)> {
    let (name, end) = QueryName::parse(message, HEADER_BYTES)?;
    Some((name.wire().to_vec(), u16_at(message, end)?, u16_at(message, end + 2)?))
}

/// Whether a reply was cut and has to be asked for again over TCP.
pub fn is_truncated(reply: &[u8]) -> bool {
    u16_at(reply, 2).is_some_and(|flags| flags & flag::TC != 0)
}

/// Answers a query with a code and no records: SERVFAIL when no upstream answered, REFUSED when too many wait.
pub fn failure(message: &[u8], rcode: Rcode, client: Client, config: &Config, out: &mut Vec<u8>) {
    match Query::parse(message) {
        Ok(query) => Reply::new(&query, client, config, out).finish(rcode),
        Err(_) if message.len() >= HEADER_BYTES => header_only(message, rcode, out),
        Err(_) => out.clear(),
    }
}

/// Passes an upstream's reply on: as it is, if the client can take it, else as a cut reply without records.
pub fn fit(message: &[u8], reply: &[u8], client: Client, config: &Config, out: &mut Vec<u8>) {
    let Ok(query) = Query::parse(message) else { return failure(message, Rcode::ServFail, client, config, out) };
    let empty = Reply::new(&query, client, config, out);
    if reply.len() > empty.bytes_max() {
        return empty.finish_truncated();
    }
    out.clear();
    out.extend_from_slice(reply);
    replace_id(out, u16_at(message, 0).unwrap_or(0));
}
