//! A server that sends back what it gets, with as many datagrams per system call as the DNS server takes: what no server
//! over UDP can be faster than.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kernel::mmsg::{Batch, tell_origin};
use kernel::netns::Namespace;

use crate::machine;

/// As in the DNS server.
const BATCH: usize = 64;
const BYTES_MAX: usize = 4096;

/// It ends when dropped.
pub(super) struct Echo {
    stop: Arc<AtomicBool>,
}

impl Echo {
    pub(super) fn start(namespace: &Namespace, at: SocketAddr, cpu: usize) -> anyhow::Result<Echo> {
        let socket = namespace.run(|| UdpSocket::bind(at))?.with_context(|| format!("bind {at}"))?;
        tell_origin(&socket)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            machine::pin(cpu)?;
            serve(&socket, &stopped);
            anyhow::Ok(())
        });
        Ok(Echo { stop })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(socket: &UdpSocket, stopped: &AtomicBool) {
    let mut batch = Batch::new(BATCH, BYTES_MAX);
    while !stopped.load(Ordering::Relaxed) {
        // The time-out is there to look whether it should end.
        if batch.receive(socket).is_ok() {
            batch.datagrams().for_each(|datagram| datagram.reply.extend_from_slice(datagram.bytes));
            batch.send_replies(socket);
        }
    }
}
