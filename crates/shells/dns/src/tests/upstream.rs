//! A name server for tests: what it does depends on the first label.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Runs until the test's process ends.
pub(super) struct Upstream {
    pub address: SocketAddr,
    /// Queries over UDP and over TCP.
    pub asked: Arc<[AtomicUsize; 2]>,
}

impl Upstream {
    pub fn start() -> Upstream {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        let asked = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let counts = asked.clone();
        std::thread::spawn(move || {
            let mut query = [0; 4096];
            while let Ok((length, peer)) = udp.recv_from(&mut query) {
                counts[0].fetch_add(1, Ordering::SeqCst);
                for reply in replies(&query[..length]) {
                    udp.send_to(&reply, peer).unwrap();
                }
            }
        });
        let counts = asked.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let query = read_framed(&mut stream);
                counts[1].fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&framed(&reply(&query, 100)));
            }
        });
        Upstream { address, asked }
    }

    pub fn config(&self) -> Config {
        Config { upstreams: vec![self.address], forward_read: Duration::from_millis(300), ..config() }
    }

    pub fn counts(&self) -> [usize; 2] {
        [self.asked[0].load(Ordering::SeqCst), self.asked[1].load(Ordering::SeqCst)]
    }
}

/// What is sent over UDP.
fn replies(query: &[u8]) -> Vec<Vec<u8>> {
    let label = &query[13..13 + query[12] as usize];
    match label {
        b"silent" => Vec::new(),
        b"big" => {
            let mut cut = reply(query, 0);
            cut[2] |= 2;
            vec![cut]
        }
        b"spoofed" => {
            // Another id, another name, and no reply at all, before the true one.
            let mut id = reply(query, 9);
            id[1] ^= 1;
            let mut name = reply(query, 9);
            name[14] = b'X' ^ 1;
            vec![id, name, query.to_vec(), b"x".to_vec(), reply(query, 1)]
        }
        _ => vec![reply(query, 1)],
    }
}

/// A reply with so many addresses, 192.0.2.1 and following; what stands behind the question is not repeated.
fn reply(query: &[u8], count: u8) -> Vec<u8> {
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + query[end] as usize;
    }
    let mut reply = query[..end + 5].to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[4..12].copy_from_slice(&[0, 1, 0, count, 0, 0, 0, 0]);
    for n in 1..=count {
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, n]);
    }
    reply
}
