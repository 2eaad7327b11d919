//! The generator: so many queries are always under way, and every answer is the occasion for the next one.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kernel::mmsg::{Batch, tell_origin};
use kernel::netns::Namespace;

use super::PATIENCE;
use crate::machine;
use crate::objects::name;
use crate::protocol::Slice;
use crate::random::Random;

/// The longest answer that is read.
const BYTES_MAX: usize = 512;
const HEADER_BYTES: usize = 12;

/// Whom to ask for how many names, from where.
pub(super) struct Load {
    pub(super) namespace: Namespace,
    pub(super) to: SocketAddr,
    pub(super) names: usize,
}

impl Load {
    /// Asks for so long. Latencies are those of single queries only: with many under way they would measure the queue.
    pub(super) fn turn(&self, time: Duration, in_flight: usize, cpu: usize) -> anyhow::Result<Slice> {
        let queries: Vec<Vec<u8>> = (0..self.names).map(|number| query(&name(number))).collect();
        self.namespace.run(|| {
            machine::pin(cpu)?;
            let socket = open(self.to)?;
            let (busy, started) = (machine::busy(), Instant::now());
            let asked = Asking { socket: &socket, to: self.to, queries: &queries, random: Random::new(7) };
            let slice = asked.run(started + time, in_flight)?;
            Ok(Slice { elapsed: started.elapsed(), busy: machine::busy().saturating_sub(busy), ..slice })
        })?
    }
}

fn open(to: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((to.ip(), 0)).context("open the generator's socket")?;
    tell_origin(&socket)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// One turn.
struct Asking<'a> {
    socket: &'a UdpSocket,
    to: SocketAddr,
    queries: &'a [Vec<u8>],
    random: Random,
}

impl Asking<'_> {
    fn run(mut self, end: Instant, in_flight: usize) -> anyhow::Result<Slice> {
        let mut slice = Slice::default();
        let mut batch = Batch::new(in_flight, BYTES_MAX);
        let mut losses = 0;
        let mut sent = self.send(in_flight)?;
        while Instant::now() < end {
            if batch.receive(self.socket).is_err() {
                // All that was under way is lost.
                losses += 1;
                ensure!(losses < 10, "{} answers nothing", self.to);
                sent = self.send(in_flight)?;
                continue;
            }
            let now = Instant::now();
            if in_flight == 1 {
                slice.latencies.push(now - sent);
            }
            for datagram in batch.datagrams() {
                check(datagram.bytes)?;
                slice.operations += 1;
                datagram.reply.extend_from_slice(&self.queries[self.random.below(self.queries.len())]);
            }
            sent = Instant::now();
            batch.send_replies(self.socket);
        }
        Ok(slice)
    }

    fn send(&mut self, count: usize) -> anyhow::Result<Instant> {
        let sent = Instant::now();
        for _ in 0..count {
            let query = &self.queries[self.random.below(self.queries.len())];
            self.socket.send_to(query, self.to).with_context(|| format!("ask {}", self.to))?;
        }
        Ok(sent)
    }
}

/// An echo, which has no answers, or a reply without error that has one.
fn check(message: &[u8]) -> anyhow::Result<()> {
    ensure!(message.len() > HEADER_BYTES, "a reply of {} bytes", message.len());
    let is_reply = message[2] & 0x80 != 0;
    let (rcode, answers) = (message[3] & 0xf, u16::from_be_bytes([message[6], message[7]]));
    ensure!(!is_reply || (rcode, answers) == (0, 1), "a reply with code {rcode} and {answers} answers");
    Ok(())
}

/// A query for the address of a Service of the namespace `default`.
pub(super) fn query(service: &str) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [service, "default", "svc", "cluster", "local"] {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_an_address() {
        let bytes = query("s7");
        assert_eq!(&bytes[12..15], b"\x02s7");
        assert_eq!(&bytes[bytes.len() - 5..], [0, 0, 1, 0, 1]);
    }

    #[test]
    fn only_a_reply_with_one_answer_counts() {
        let mut reply = query("s7");
        assert!(check(&reply).is_ok(), "an echo");
        reply[2] |= 0x80;
        assert!(check(&reply).is_err(), "no answer");
        reply[7] = 1;
        assert!(check(&reply).is_ok());
        reply[3] = 3;
        assert!(check(&reply).is_err(), "NXDOMAIN");
    }
}
