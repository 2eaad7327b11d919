//! The packet loop: a batch in, a batch out, no lock, no allocation for names of the zone.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use kernel::mmsg::{Batch, send_to_origin};
use tokio::sync::watch;
use zone::{Answer, Transport};

use crate::forward::{Forwarder, Outside};

/// How often a silent socket's thread looks whether it should end.
pub(crate) const STOP_EVERY: Duration = Duration::from_millis(200);
/// Datagrams per system call.
const BATCH: usize = 64;
/// The longest query that is read; what we send is no longer.
const BYTES_MAX: usize = 4096;

/// One thread with one socket.
pub(crate) struct Worker {
    /// Shared with queries that wait for upstreams, which answer later.
    socket: Arc<UdpSocket>,
    forwarder: Arc<Forwarder>,
    stop: watch::Receiver<bool>,
}

impl Worker {
    pub fn new(socket: UdpSocket, forwarder: Arc<Forwarder>, stop: watch::Receiver<bool>) -> Worker {
        Worker { socket: Arc::new(socket), forwarder, stop }
    }

    /// Serves until the stop signal.
    pub fn run(mut self, startup: Duration) {
        self.forwarder.live().wait_synced(startup);
        let mut batch = Batch::new(BATCH, BYTES_MAX);
        let mut seeds = self.forwarder.random();
        self.stop.mark_changed();
        while !self.is_over() {
            match batch.receive(&self.socket) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "receiving DNS queries failed");
                    std::thread::sleep(STOP_EVERY);
                    continue;
                }
            }
            for datagram in batch.datagrams() {
                // A plain walk is enough to order addresses; ids for upstreams are drawn elsewhere.
                seeds = seeds.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let client = self.forwarder.client(datagram.origin.peer.ip(), Transport::Udp);
                let live = self.forwarder.live();
                let outside = match zone::answer(datagram.bytes, client, live.as_ref(), seeds, datagram.reply) {
                    Answer::Reply => continue,
                    Answer::Drop => {
                        datagram.reply.clear();
                        continue;
                    }
                    Answer::Forward => Outside::Query,
                    Answer::Chase(target) => Outside::Alias(target),
                };
                let (socket, origin) = (self.socket.clone(), datagram.origin);
                let send = move |reply: Vec<u8>| {
                    // A reply that cannot be sent is a lost datagram; the client asks again.
                    let _ = send_to_origin(&socket, &reply, &origin);
                };
                let started = self.forwarder.start(datagram.bytes, client, outside, send, datagram.reply);
                if started {
                    datagram.reply.clear();
                }
            }
            batch.send_replies(&self.socket);
        }
    }

    /// Looks at the signal itself, which takes a lock, only where it has changed.
    fn is_over(&mut self) -> bool {
        match self.stop.has_changed() {
            Ok(false) => false,
            Ok(true) => *self.stop.borrow_and_update(),
            Err(_) => true,
        }
    }
}
