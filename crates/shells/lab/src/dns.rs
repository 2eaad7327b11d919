//! One DNS question from any namespace, and the answer in words.
//!
//! A client of its own, so that what the server of maitred says is read by code that knows nothing of it. It reads the
//! record types that Services have (RFC 1035, RFC 2782, RFC 3596); others are shown by their number.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use kernel::netns::Namespace;

use crate::LabError;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A = 1,
    /// An alias.
    Cname = 5,
    /// IPv6 addresses.
    Aaaa = 28,
    /// Ports and who serves them.
    Srv = 33,
}

/// What a DNS server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// 0 no error, 2 server failure, 3 no such name, 5 refused.
    pub code: u8,
    /// Whether the server speaks for the zone itself.
    pub authoritative: bool,
    /// The data of the answer section, in order: addresses, names, `priority weight port target`.
    pub answers: Vec<String>,
}

/// Asks a server over UDP from a namespace. `None` if nothing understandable came back in time.
pub fn dns_ask(
    namespace: &Namespace,
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    timeout: Duration,
) -> Result<Option<DnsAnswer>, LabError> {
    let question = question(name, kind);
    Ok(namespace.run(|| exchange(server, &question, timeout).and_then(|reply| parse(&reply)))?)
}

const ID: [u8; 2] = [0x6d, 0x64];

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    // Recursion is desired; one question.
    let mut bytes = [&ID[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, kind as u8, 0, 1]);
    bytes
}

fn exchange(server: SocketAddr, question: &[u8], timeout: Duration) -> Option<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(timeout)).ok()?;
    socket.send(question).ok()?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

fn parse(reply: &[u8]) -> Option<DnsAnswer> {
    let count = |at: usize| Some(u16::from_be_bytes([*reply.get(at)?, *reply.get(at + 1)?]));
    if reply.get(..2)? != ID || reply[2] & 0x80 == 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..count(4)? {
        at = name(reply, at)?.1 + 4;
    }
    let mut answers = Vec::new();
    for _ in 0..count(6)? {
        let (_, fixed) = name(reply, at)?;
        let length = usize::from(count(fixed + 8)?);
        let data = fixed + 10;
        answers.push(text(reply, count(fixed)?, data, length)?);
        at = data + length;
    }
    Some(DnsAnswer { code: reply[3] & 0xf, authoritative: reply[2] & 4 != 0, answers })
}

fn text(reply: &[u8], kind: u16, at: usize, length: usize) -> Option<String> {
    let data = reply.get(at..at + length)?;
    let number = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
    Some(match kind {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
        28 => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string(),
        2 | 5 | 12 => name(reply, at)?.0,
        33 => format!("{} {} {} {}", number(0)?, number(2)?, number(4)?, name(reply, at + 6)?.0),
        other => format!("type {other}"),
    })
}

/// A name, with compression undone, and where the bytes behind it begin.
fn name(reply: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut text, mut at, mut end) = (String::new(), at, None);
    // A compressed name is at most 127 labels, so more steps than that are a loop.
    for _ in 0..128 {
        match *reply.get(at)? {
            0 => return Some((text, end.unwrap_or(at + 1))),
            high @ 0xc0.. => {
                end.get_or_insert(at + 2);
                at = usize::from(high & 0x3f) << 8 | usize::from(*reply.get(at + 1)?);
            }
            length => {
                let label = reply.get(at + 1..at + 1 + usize::from(length))?;
                text += &String::from_utf8_lossy(label);
                text.push('.');
                at += 1 + usize::from(length);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_with_compressed_names_is_read() {
        let mut reply = question("_http._tcp.web", RecordType::Srv);
        reply[2] = 0x85;
        reply[7] = 1;
        // The owner by pointer; then type SRV, class IN, TTL 5, and a target that ends in the question's last label.
        reply.extend_from_slice(&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 12]);
        reply.extend_from_slice(&[0, 0, 0, 50, 31, 144, 3, b'p', b'o', b'd', 0xc0, 12 + 11]);
        let expected = DnsAnswer { code: 0, authoritative: true, answers: vec!["0 50 8080 pod.web.".to_owned()] };
        assert_eq!(parse(&reply), Some(expected));
    }

    #[test]
    fn nonsense_is_no_answer() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&[0; 12]), None);
        let mut looped = question("a", RecordType::A);
        looped[2] = 0x80;
        looped[7] = 1;
        let at = looped.len() as u8;
        looped.extend_from_slice(&[0xc0, at]);
        assert_eq!(parse(&looped), None);
    }
}
