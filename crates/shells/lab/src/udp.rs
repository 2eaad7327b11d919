//! Datagrams: a single question, and a flow from one source port that records who answered when.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;

use crate::{LabError, Outcome};

/// Sends one datagram from a namespace and waits for its answer.
pub fn udp_ask(namespace: &Namespace, to: SocketAddr, timeout: Duration) -> Result<Outcome, LabError> {
    Ok(namespace.run(|| ask_here(to, timeout))?)
}

/// The same from the calling thread's namespace.
pub(crate) fn ask_here(to: SocketAddr, timeout: Duration) -> Outcome {
    match open(to) {
        Ok(socket) => ask(&socket, "question", timeout),
        Err(error) => Outcome::of_local_error(&error),
    }
}

/// What became of one datagram of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// When it was sent, since the flow began.
    pub sent: Duration,
    /// What came back before the next one was due.
    pub outcome: Outcome,
}

/// One socket that sends a datagram every so often, until it is stopped.
#[derive(Debug)]
pub struct UdpFlow {
    local: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Vec<Datagram>>>,
}

impl UdpFlow {
    /// Starts a flow from a namespace; an answer that takes longer than `every` counts as none.
    pub fn start(namespace: &Namespace, to: SocketAddr, every: Duration) -> Result<Self, LabError> {
        let opened = namespace.run(|| open(to).and_then(|socket| Ok((socket.local_addr()?, socket))))?;
        let (local, socket) = opened.map_err(|source| LabError::Socket { host: "a client".to_owned(), source })?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // The socket stays in its namespace, wherever the thread is.
        let thread = thread::spawn(move || send_until(&stopped, &socket, every));
        Ok(Self { local, stop, thread: Some(thread) })
    }

    /// The flow's source address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Ends the flow; what became of each datagram, in order.
    pub fn stop(mut self) -> Vec<Datagram> {
        self.end()
    }

    fn end(&mut self) -> Vec<Datagram> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.map(|thread| thread.join().expect("the sender doesn't panic")).unwrap_or_default()
    }
}

impl Drop for UdpFlow {
    fn drop(&mut self) {
        self.end();
    }
}

fn send_until(stopped: &AtomicBool, socket: &UdpSocket, every: Duration) -> Vec<Datagram> {
    let started = Instant::now();
    let mut record = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let sent = started.elapsed();
        let outcome = ask(socket, &record.len().to_string(), every);
        record.push(Datagram { sent, outcome });
        thread::sleep((sent + every).saturating_sub(started.elapsed()));
    }
    record
}

fn open(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket)
}

/// Sends `text` and waits for the answer that echoes it; answers to earlier ones are passed over.
fn ask(socket: &UdpSocket, text: &str, timeout: Duration) -> Outcome {
    let started = Instant::now();
    match socket.send(text.as_bytes()) {
        // The own host's rules dropped it; whether they also refuse it follows.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        // A refusal that came in for an earlier datagram is reported by the next call, whichever that is.
        Err(error) => return Outcome::of_error(&error),
        Ok(_) => {}
    }
    let mut buffer = [0; 2048];
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return Outcome::Timeout;
        }
        match socket.recv(&mut buffer) {
            Ok(length) => match Outcome::of_answer(&buffer[..length], started.elapsed()) {
                Outcome::Answer { answer, .. } if answer.echo != text => {}
                outcome => return outcome,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Timeout,
            Err(error) => return Outcome::of_error(&error),
        }
    }
}
