//! One request over one TCP connection.
//!
//! A refusal by ICMP (not by a TCP reset) may take until the first packet is repeated, after one second: between veth
//! pairs the answer often comes back while the kernel is still inside the call that sent the packet, and Linux drops
//! ICMP errors for a socket that is in use (`LockDroppedIcmps` in `/proc/net/netstat`). So give requests that may be
//! refused that way more than a second.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{LabError, Outcome};

/// One HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where to.
    pub to: SocketAddr,
    /// From which address and port of the client's host; port 0 and by default: the kernel chooses.
    pub from: Option<SocketAddr>,
    /// How long the whole attempt may take.
    pub timeout: Duration,
    /// Whether the client ends the connection by a reset, which leaves no port in TIME_WAIT.
    pub reset_at_end: bool,
}

impl Request {
    /// A request to `to` that may take `timeout`.
    pub fn new(to: SocketAddr, timeout: Duration) -> Self {
        Self { to, from: None, timeout, reset_at_end: false }
    }

    /// Sends it from a namespace and waits for what becomes of it.
    pub fn send(&self, namespace: &Namespace) -> Result<Outcome, LabError> {
        block_inside(namespace, self.send_here())
    }

    /// The same from the calling thread's namespace, inside a tokio runtime.
    pub async fn send_here(&self) -> Outcome {
        let started = Instant::now();
        let attempt = async {
            let mut stream = match connect(self).await {
                Ok(stream) => stream,
                Err(outcome) => return outcome,
            };
            match exchange(&mut stream, self.to).await {
                Ok(response) => match body_of(&response) {
                    Some(body) => Outcome::of_answer(body, started.elapsed()),
                    None if response.is_empty() => Outcome::Reset,
                    None => Outcome::Stranger(String::from_utf8_lossy(&response).into_owned()),
                },
                Err(error) => Outcome::of_error(&error),
            }
        };
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or(Outcome::Timeout)
    }
}

/// One HTTP request from a namespace, each time on a new connection.
pub fn http_get(namespace: &Namespace, to: SocketAddr, timeout: Duration) -> Result<Outcome, LabError> {
    Request::new(to, timeout).send(namespace)
}

/// Runs a future on a new thread inside a namespace and waits for it.
pub(crate) fn block_inside<T: Send>(
    namespace: &Namespace,
    future: impl Future<Output = T> + Send,
) -> Result<T, LabError> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        io::Result::Ok(runtime.block_on(future))
    };
    namespace.run(run)?.map_err(|source| LabError::Socket { host: "a client".to_owned(), source })
}

/// Connects; written out because an error of the own host must be told from one that came over the network.
pub(crate) async fn connect(request: &Request) -> Result<TcpStream, Outcome> {
    let socket = begin(request).map_err(|error| Outcome::of_local_error(&error))?;
    let finish = async {
        let stream = TcpStream::from_std(socket.into())?;
        stream.writable().await?;
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    };
    finish.await.map_err(|error| Outcome::of_error(&error))
}

fn begin(request: &Request) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(request.to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if request.reset_at_end {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if let Some(from) = request.from {
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
    }
    const EINPROGRESS: i32 = 115;
    match socket.connect(&request.to.into()) {
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

async fn exchange(stream: &mut TcpStream, to: SocketAddr) -> io::Result<Vec<u8>> {
    let request = format!("GET / HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::with_capacity(512);
    stream.read_to_end(&mut response).await?;
    Ok(response)
}

fn body_of(response: &[u8]) -> Option<&[u8]> {
    let end_of_head = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(&response[end_of_head + 4..])
}
