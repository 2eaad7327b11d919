//! Binds, starts and ends: every thread of the server is made here.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::feed::Input;
use crate::forward::Forwarder;
use crate::live::{self, Live};
use crate::{tcp, udp};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot serve DNS over {transport} on {address}")]
    Bind {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A thread or runtime could not be started.
    #[error("cannot start the threads of the DNS server")]
    Thread(#[source] io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// What is served, with the ports that were taken.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until every thread has ended, which they do on `stop`.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the DNS server panicked");
            }
        }
    }
}

/// Starts a server in the caller's network namespace, on threads of its own. It ends when `stop` is set or dropped.
/// Addresses are bound when this returns; answers begin with the first sync, or after [`Config::startup`] (S-414).
pub fn start(config: Config, inputs: mpsc::Receiver<Input>, stop: watch::Receiver<bool>) -> Result<Server, StartError> {
    let live = Arc::new(Live::new(Arc::new(config.zone.clone())));
    let bound = config.listen.iter().map(|address| Bound::bind(*address, config.udp_threads));
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    let addresses = bound.iter().map(|bound| bound.address).collect();

    // Packets never wait for a rebuild of the zone, nor for forwarding: three kinds of thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("dns").enable_all().build();
    let runtime = runtime.map_err(StartError::Thread)?;
    let forwarder = Forwarder::new(&config, live.clone(), runtime.handle().clone());
    let mut threads = Vec::new();
    let mut listeners = Vec::new();
    for Bound { udp, tcp, .. } in bound {
        for socket in udp {
            let worker = udp::Worker::new(socket, forwarder.clone(), stop.clone());
            let startup = config.startup;
            threads.push(spawn("dns-udp", move || worker.run(startup))?);
        }
        listeners.push(tcp);
    }
    let keeper = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(StartError::Thread)?;
    let kept = live::keep(live, inputs, stop.clone());
    threads.push(spawn("dns-zone", move || keeper.block_on(kept))?);
    threads.push(spawn("dns-tcp", move || {
        runtime.block_on(tcp::serve(listeners, forwarder, config, stop));
        runtime.shutdown_timeout(Duration::from_secs(1));
    })?);
    Ok(Server { addresses, threads })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(StartError::Thread)
}

/// The sockets of one address.
struct Bound {
    address: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: TcpListener,
}

/// How often another port is tried where any will do but TCP and UDP have to agree.
const PORT_TRIES: usize = 16;
/// What may wait in a UDP socket: some thousand queries.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

impl Bound {
    fn bind(address: SocketAddr, udp_threads: usize) -> Result<Bound, StartError> {
        let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Bound::bind_once(address, udp_threads) {
                Err(_) if tries > 0 => {}
                result => return result,
            }
        }
    }

    fn bind_once(address: SocketAddr, udp_threads: usize) -> Result<Bound, StartError> {
        let error = |transport| move |source| StartError::Bind { transport, address, source };
        let first = bind_udp(address).map_err(error("UDP"))?;
        let taken = first.local_addr().map_err(error("UDP"))?;
        let mut udp = vec![first];
        for _ in 1..udp_threads.max(1) {
            udp.push(bind_udp(taken).map_err(error("UDP"))?);
        }
        let tcp = bind_tcp(taken).map_err(error("TCP"))?;
        Ok(Bound { address: taken, udp, tcp })
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    own_family_only(&socket, address)?;
    // The kernel spreads clients over the sockets that share an address.
    socket.set_reuse_port(true)?;
    // The kernel may allow less, which is enough in all but bursts.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_read_timeout(Some(udp::STOP_EVERY))?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    kernel::mmsg::tell_origin(&socket)?;
    Ok(socket)
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    own_family_only(&socket, address)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// An IPv6 wildcard leaves IPv4 to a socket of its own, whose clients have IPv4 addresses then.
fn own_family_only(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() { socket.set_only_v6(true) } else { Ok(()) }
}
