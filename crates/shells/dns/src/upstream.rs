//! Asking upstreams: over UDP, and over TCP where the reply was cut (S-423; RFC 5452).
//!
//! Each query has a socket of its own, so that the kernel draws its source port, and an id of our own; a reply counts
//! only with the same id and question. An upstream that fails twice in a row is down: it is asked last until a probe
//! in the background succeeds.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::config::Config;
use crate::forward::Random;

/// Failures in a row after which an upstream is down.
const FAILURES_MAX: u32 = 2;
/// How often an upstream that is down is probed.
const PROBE_EVERY: Duration = Duration::from_millis(500);

pub(crate) struct Upstreams {
    servers: Vec<Arc<Upstream>>,
    read: Duration,
    overall: Duration,
    random: Arc<Random>,
}

struct Upstream {
    address: SocketAddr,
    /// Failures in a row.
    failures: AtomicU32,
}

impl Upstreams {
    pub fn new(config: &Config, random: Arc<Random>) -> Arc<Upstreams> {
        let upstream = |address: &SocketAddr| Arc::new(Upstream { address: *address, failures: AtomicU32::new(0) });
        Arc::new(Upstreams {
            servers: config.upstreams.iter().map(upstream).collect(),
            read: config.forward_read,
            overall: config.forward_overall,
            random,
        })
    }

    /// The reply to a query, with an id of ours; nothing if no upstream gives one in time.
    pub async fn exchange(self: &Arc<Self>, query: &[u8]) -> Option<Vec<u8>> {
        timeout(self.overall, self.exchange_in_turn(query)).await.ok().flatten()
    }

    /// Asks the upstreams one after the other, those that are up first, beginning with a random one.
    async fn exchange_in_turn(self: &Arc<Self>, query: &[u8]) -> Option<Vec<u8>> {
        let mut order = self.servers.clone();
        if !order.is_empty() {
            order.rotate_left(self.random.next() as usize % self.servers.len());
        }
        order.sort_by_key(|upstream| upstream.is_down());
        for upstream in order {
            match upstream.exchange(query, self.random.next() as u16, self.read).await {
                Ok(reply) => {
                    upstream.failures.store(0, Ordering::Relaxed);
                    return Some(reply);
                }
                Err(error) => {
                    tracing::debug!(upstream = %upstream.address, %error, "an upstream did not answer");
                    self.failed(&upstream);
                }
            }
        }
        None
    }

    /// Counts a failure; the one that makes an upstream down starts its probe.
    fn failed(self: &Arc<Self>, upstream: &Arc<Upstream>) {
        if upstream.failures.fetch_add(1, Ordering::Relaxed) + 1 != FAILURES_MAX {
            return;
        }
        tracing::warn!(upstream = %upstream.address, "an upstream is down");
        let (upstream, upstreams) = (upstream.clone(), Arc::downgrade(self));
        tokio::spawn(async move {
            while upstream.is_down() {
                tokio::time::sleep(PROBE_EVERY).await;
                let Some(upstreams) = upstreams.upgrade() else { return };
                let id = upstreams.random.next() as u16;
                if upstream.exchange(PROBE, id, upstreams.read).await.is_ok() {
                    upstream.failures.store(0, Ordering::Relaxed);
                    tracing::info!(upstream = %upstream.address, "an upstream is back");
                }
            }
        });
    }
}

/// A query for the root's name servers, with recursion desired.
const PROBE: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";

impl Upstream {
    fn is_down(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_MAX
    }

    async fn exchange(&self, query: &[u8], id: u16, limit: Duration) -> io::Result<Vec<u8>> {
        let mut query = query.to_vec();
        zone::replace_id(&mut query, id);
        let reply = timeout(limit, self.exchange_udp(&query)).await.map_err(io::Error::from)??;
        if !zone::is_truncated(&reply) {
            return Ok(reply);
        }
        // A cut reply is better than none.
        Ok(timeout(limit, self.exchange_tcp(&query)).await.map_err(io::Error::from).flatten().unwrap_or(reply))
    }

    /// Waits for the reply to this very query; anything else that arrives is ignored.
    async fn exchange_udp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let any: IpAddr =
            if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.address).await?;
        socket.send(query).await?;
        let mut reply = vec![0; u16::MAX as usize];
        loop {
            let length = socket.recv(&mut reply).await?;
            if zone::is_reply_to(query, &reply[..length]) {
                reply.truncate(length);
                reply.shrink_to_fit();
                return Ok(reply);
            }
        }
    }

    async fn exchange_tcp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await?;
        let mut message = (query.len() as u16).to_be_bytes().to_vec();
        message.extend_from_slice(query);
        stream.write_all(&message).await?;
        let length = stream.read_u16().await?;
        let mut reply = vec![0; length as usize];
        stream.read_exact(&mut reply).await?;
        if zone::is_reply_to(query, &reply) { Ok(reply) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}
