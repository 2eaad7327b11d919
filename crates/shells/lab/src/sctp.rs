//! The first exchange of an SCTP association, from raw sockets: kernels without SCTP sockets forward, track and
//! translate these packets all the same.
//!
//! A client sends INIT; a [`SctpServer`] answers INIT ACK with its [`Answer`] as the state cookie. Nothing follows, so
//! this shows who was chosen and which addresses were seen, not that data flows. On a kernel that has SCTP loaded, it
//! would answer with ABORT beside the server.

mod packet;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Answer, Host, LabError, Outcome};
use packet::{Chunk, Packet};

/// The protocol's number in IP headers.
const IPPROTO_SCTP: i32 = 132;
/// How long a server's stop may take.
const POLL: Duration = Duration::from_millis(10);

/// Answers INITs on a host; it ends when dropped.
#[derive(Debug)]
pub struct SctpServer {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl SctpServer {
    /// Serves `port` on all addresses of a host.
    pub fn start(host: &Host, port: u16) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut server = Self { stop: Arc::clone(&stop), threads: Vec::new() };
        for ip in host.ips().iter() {
            let opened = host.run(|| open(ip).and_then(|socket| bind(socket, ip)))?;
            let socket = opened.map_err(|source| LabError::Socket { host: host.name().to_owned(), source })?;
            let (stop, name) = (Arc::clone(&stop), host.name().to_owned());
            let own = SocketAddr::new(ip, port);
            server.threads.push(thread::spawn(move || serve(&stop, &socket, own, &name)));
        }
        Ok(server)
    }
}

impl Drop for SctpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Sends one INIT from a namespace and waits for what comes back. With `from_port` 0 each call takes another port.
pub fn sctp_ask(namespace: &Namespace, to: SocketAddr, from_port: u16, timeout: Duration) -> Result<Outcome, LabError> {
    Ok(namespace.run(|| ask_here(to, from_port, timeout))?)
}

/// The same from the calling thread's namespace.
pub(crate) fn ask_here(to: SocketAddr, from_port: u16, timeout: Duration) -> Outcome {
    let from_port = if from_port == 0 { next_port() } else { from_port };
    match open(to.ip()).and_then(|socket| connect(socket, to.ip())) {
        Ok(socket) => ask(&socket, to, from_port, timeout),
        Err(error) => Outcome::of_local_error(&error),
    }
}

/// Ports from 20000 on, in turn: no two questions of a process share one until they are used up.
fn next_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    20_000 + (NEXT.fetch_add(1, Ordering::Relaxed) % 40_000) as u16
}

fn ask(socket: &UdpSocket, to: SocketAddr, from_port: u16, timeout: Duration) -> Outcome {
    let started = Instant::now();
    // Any number but 0 will do; with the port it makes the answer recognisable.
    let tag = 0x6d61_0000 | u32::from(from_port);
    let question =
        Packet { source_port: from_port, destination_port: to.port(), verification_tag: 0, chunk: Chunk::Init { tag } };
    match socket.send(&question.encode()) {
        // The own host's rules dropped it; whether they also refuse it follows.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Outcome::of_local_error(&error),
        Ok(_) => {}
    }
    let mut buffer = [0; 2048];
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return Outcome::Timeout;
        }
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Timeout,
            Err(error) => return Outcome::of_error(&error),
        };
        let Some(answer) = Packet::decode(without_ip_header(to.ip(), &buffer[..length])) else {
            continue;
        };
        if (answer.source_port, answer.destination_port, answer.verification_tag) != (to.port(), from_port, tag) {
            continue;
        }
        match answer.chunk {
            Chunk::InitAck { cookie, .. } => return Outcome::of_answer(&cookie, started.elapsed()),
            Chunk::Abort => return Outcome::Refused,
            Chunk::Init { .. } => {}
        }
    }
}

fn serve(stop: &AtomicBool, socket: &UdpSocket, own: SocketAddr, name: &str) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        // Errors are the end of the poll interval, or ICMP answers to earlier replies.
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some(packet) = Packet::decode(without_ip_header(own.ip(), &buffer[..length])) else {
            continue;
        };
        let Chunk::Init { tag } = packet.chunk else { continue };
        if packet.destination_port != own.port() {
            continue;
        }
        let answer = Answer {
            pod: name.to_owned(),
            client: SocketAddr::new(client.ip(), packet.source_port),
            server: own,
            echo: String::new(),
        };
        let reply = Packet {
            source_port: own.port(),
            destination_port: packet.source_port,
            verification_tag: tag,
            chunk: Chunk::InitAck {
                tag: tag ^ u32::MAX,
                cookie: serde_json::to_vec(&answer).expect("strings and addresses are always JSON"),
            },
        };
        let _ = socket.send_to(&reply.encode(), SocketAddr::new(client.ip(), 0));
    }
}

fn open(ip: IpAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(ip, 0));
    Socket::new(domain, Type::RAW, Some(Protocol::from(IPPROTO_SCTP)))
}

fn bind(socket: Socket, ip: IpAddr) -> io::Result<UdpSocket> {
    socket.bind(&SocketAddr::new(ip, 0).into())?;
    socket.set_read_timeout(Some(POLL))?;
    // The standard library has no raw sockets; its datagram calls are what is needed.
    Ok(socket.into())
}

fn connect(socket: Socket, ip: IpAddr) -> io::Result<UdpSocket> {
    socket.connect(&SocketAddr::new(ip, 0).into())?;
    Ok(socket.into())
}

/// Raw IPv4 sockets receive the IP header too, IPv6 ones don't.
fn without_ip_header(ip: IpAddr, bytes: &[u8]) -> &[u8] {
    match (ip, bytes.first()) {
        (IpAddr::V4(_), Some(first)) => bytes.get(usize::from(first & 0x0f) * 4..).unwrap_or_default(),
        _ => bytes,
    }
}
