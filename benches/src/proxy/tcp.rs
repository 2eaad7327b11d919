//! Connect, request, response: a server, and a client that measures. Plain blocking sockets, so that nothing of ours stands
//! between the clock and the kernel.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kernel::netns::Namespace;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::machine;
use crate::protocol::Slice;
use crate::random::Random;

/// A request and its answer: a number, and the same number.
type Message = [u8; 16];

/// How long an answer may take before something is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that answers one request per connection, on a thread of its own. It ends when dropped.
pub(super) struct Server {
    listener: TcpListener,
}

impl Server {
    /// Serves all addresses of a namespace on a processor.
    pub(super) fn start(namespace: &Namespace, port: u16, cpu: usize) -> anyhow::Result<Server> {
        let bound = namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?.context("bind the server")?;
        let listener = bound.try_clone().context("share the server's socket")?;
        std::thread::spawn(move || {
            machine::pin(cpu)?;
            serve(&bound)
        });
        Ok(Server { listener })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever waits in accept is told that there is nothing to wait for.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }
}

fn serve(listener: &TcpListener) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        // How a connection ends is the client's concern: it resets it.
        let _ = answer(&mut stream);
    }
}

fn answer(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut message: Message = [0; 16];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

/// Who connects, from where, to whom.
pub(super) struct Client {
    pub(super) namespace: Namespace,
    pub(super) cpu: usize,
    /// Each connection goes to one of these, by chance.
    pub(super) targets: Vec<SocketAddr>,
    pub(super) random: Random,
}

impl Client {
    /// Connects, asks, checks the answer and resets, one connection after the other, for so long.
    pub(super) fn turn(&mut self, time: Duration) -> anyhow::Result<Slice> {
        let namespace = self.namespace.clone();
        namespace.run(|| {
            machine::pin(self.cpu)?;
            let (busy, started) = (machine::busy(), Instant::now());
            let mut slice = Slice::default();
            while started.elapsed() < time {
                let to = self.targets[self.random.below(self.targets.len())];
                slice.latencies.push(exchange(to, slice.operations)?);
                slice.operations += 1;
            }
            Ok(Slice { elapsed: started.elapsed(), busy: machine::busy().saturating_sub(busy), ..slice })
        })?
    }
}

/// One connection; how long it took to be established.
fn exchange(to: SocketAddr, number: u64) -> anyhow::Result<Duration> {
    let mut socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).context("make a socket")?;
    // A reset leaves no port behind.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let to_connect = to.into();
    let started = Instant::now();
    socket.connect(&to_connect).with_context(|| format!("connect to {to}"))?;
    let connected = started.elapsed();
    let question: Message = (u128::from(number) << 64 | u128::from(to.port())).to_be_bytes();
    socket.write_all(&question).with_context(|| format!("ask {to}"))?;
    let mut answer: Message = [0; 16];
    socket.read_exact(&mut answer).with_context(|| format!("hear from {to}"))?;
    ensure!(answer == question, "{to} answers something else");
    Ok(connected)
}
