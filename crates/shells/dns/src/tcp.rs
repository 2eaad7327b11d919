//! DNS over TCP: each message behind its length, many under way on one connection (RFC 7766).
//!
//! Replies about our own names are written in the order of their queries; those from upstreams follow when they come,
//! so a slow upstream holds up nobody. A connection that is silent, slow to send or slow to take its replies is closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zone::{Answer, HEADER_BYTES, Transport};

use crate::config::Config;
use crate::forward::{Forwarder, Outside};

/// Replies that wait on one connection; further queries are read when one has been taken.
const REPLIES_MAX: usize = 64;
/// The pause after a failed accept, as when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves all listeners until the stop signal.
pub(crate) async fn serve(
    listeners: Vec<std::net::TcpListener>,
    forwarder: Arc<Forwarder>,
    config: Config,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(config.tcp_connections_max));
    let limits = Limits { idle: config.tcp_idle, read: config.tcp_read };
    let mut tasks = JoinSet::new();
    // Waiting for the sync blocks a thread, which is why it has one of its own.
    let live = forwarder.live().clone();
    let startup = tokio::task::spawn_blocking(move || live.wait_synced(config.startup));
    tokio::select! {
        _ = startup => {}
        _ = stop.wait_for(|stop| *stop) => return,
    }
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                tasks.spawn(accept(listener, forwarder.clone(), limits, connections.clone()));
            }
            Err(error) => tracing::error!(%error, "a TCP listener cannot be used"),
        }
    }
    // A dropped sender is a stop as well; the tasks end with the set.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[derive(Clone, Copy)]
struct Limits {
    idle: Duration,
    read: Duration,
}

async fn accept(listener: TcpListener, forwarder: Arc<Forwarder>, limits: Limits, connections: Arc<Semaphore>) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Beyond the limit the connection is closed by dropping it.
                if let Ok(permit) = connections.clone().try_acquire_owned() {
                    let forwarder = forwarder.clone();
                    tasks.spawn(async move {
                        let _permit = permit;
                        if let Err(error) = converse(stream, peer, forwarder, limits).await {
                            tracing::debug!(%peer, %error, "a DNS connection ended early");
                        }
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a DNS connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One connection: this task reads, another writes.
async fn converse(stream: TcpStream, peer: SocketAddr, forwarder: Arc<Forwarder>, limits: Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, writing) = stream.into_split();
    let (out, replies) = mpsc::channel(REPLIES_MAX);
    let writer = tokio::spawn(write_replies(writing, replies, limits.read));
    let mut reading = BufReader::new(reading);
    let client = forwarder.client(peer.ip(), Transport::Tcp);
    while let Some(query) = read_query(&mut reading, limits).await? {
        let mut reply = Vec::new();
        let outside = match zone::answer(&query, client, forwarder.live().as_ref(), forwarder.random(), &mut reply) {
            Answer::Reply => None,
            Answer::Drop => break,
            Answer::Forward => Some(Outside::Query),
            Answer::Chase(target) => Some(Outside::Alias(target)),
        };
        // Whoever answers later takes its place in the queue now: no more than so many are under way.
        let Ok(place) = out.clone().reserve_owned().await else { break };
        match outside.and_then(|outside| forwarder.ask(&query, client, outside, &mut reply)) {
            Some(later) => {
                tokio::spawn(async move { place.send(later.await) });
            }
            None => {
                place.send(reply);
            }
        }
    }
    drop(out);
    // Replies that are under way are still written after the client has said all it has to say.
    writer.await.map_err(io::Error::other)?
}

/// The next message, or nothing if the client is done or silent for too long.
async fn read_query(reading: &mut (impl AsyncReadExt + Unpin), limits: Limits) -> io::Result<Option<Vec<u8>>> {
    let first = match timeout(limits.idle, reading.read_u8()).await {
        Ok(Ok(byte)) => byte,
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    let rest = async {
        let length = u16::from_be_bytes([first, reading.read_u8().await?]) as usize;
        if length < HEADER_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The length is only a claim: memory is taken as bytes arrive.
        let mut query = Vec::new();
        reading.take(length as u64).read_to_end(&mut query).await?;
        if query.len() == length { Ok(Some(query)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    };
    timeout(limits.read, rest).await.map_err(io::Error::from)?
}

async fn write_replies(
    mut writing: impl AsyncWriteExt + Unpin,
    mut replies: mpsc::Receiver<Vec<u8>>,
    limit: Duration,
) -> io::Result<()> {
    while let Some(reply) = replies.recv().await {
        let mut message = Vec::with_capacity(2 + reply.len());
        message.extend_from_slice(&(reply.len() as u16).to_be_bytes());
        message.extend_from_slice(&reply);
        timeout(limit, writing.write_all(&message)).await.map_err(io::Error::from)??;
    }
    Ok(())
}
