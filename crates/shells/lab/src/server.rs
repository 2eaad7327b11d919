//! Small servers that say who they are and whom they see.
//!
//! On one port, over TCP and UDP and every address of the host: each TCP line and each datagram is answered by a line
//! of JSON ([`Answer`]); a line that is an HTTP request is answered by an HTTP response with that line as body. The
//! sockets are made on the host; tasks of one runtime of this process serve all servers of all labs. As the program of a
//! Pod ([`echo`]) it also has a readiness that others can turn: `GET /readiness` is answered by 200 or 503,
//! `POST /readiness/off` and `/on` decide which, and `GET /readiness/heard` says how many microseconds ago the first
//! probe since then was answered (404: none was).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::{Answer, Host, LabError};

/// A server on a host; it ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Serves `port` on all addresses of a host, under the host's name.
    pub fn start(host: &Host, port: u16) -> Result<Self, LabError> {
        Self::start_as(host, host.name(), host.ips().iter(), port)
    }

    /// Serves `port` on some addresses of a host, under a name of its own (a Pod on the host's network, say).
    pub fn start_as(
        host: &Host,
        name: &str,
        addresses: impl IntoIterator<Item = IpAddr>,
        port: u16,
    ) -> Result<Self, LabError> {
        let addresses: Vec<SocketAddr> = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let name = name.to_owned();
        let failed = |source| LabError::Socket { host: host.name().to_owned(), source };
        let sockets = host.run(|| addresses.into_iter().map(bind).collect::<io::Result<Vec<_>>>())?.map_err(failed)?;
        let _inside = runtime().enter();
        let mut services = serve(sockets, name).map_err(failed)?;
        // The set is dropped, and with it every task and socket, when this task is aborted.
        let task = runtime().spawn(async move { while services.join_next().await.is_some() {} });
        Ok(Self { port, task: Some(task) })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a killed process ends: listeners and connections are closed when this returns. Not to be called
    /// from async code.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(task) = self.task.take() else { return };
        task.abort();
        // Aborting is a request; the sockets are closed once the task is gone.
        while !task.is_finished() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves a port on all addresses of the machine, under this name, until the future is dropped. It needs a tokio runtime.
pub async fn echo(port: u16, name: &str) -> io::Result<()> {
    let wildcards = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
    // A machine may have no IPv6.
    let bound: Vec<io::Result<Sockets>> = wildcards.map(|any| bind(SocketAddr::new(any, port))).into();
    let (bound, failed): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
    if bound.is_empty() {
        return failed.into_iter().next().map_or(Ok(()), |error| error.map(drop));
    }
    let mut services = serve(bound.into_iter().flatten().collect(), name.to_owned())?;
    while services.join_next().await.is_some() {}
    Ok(())
}

/// A listener and a datagram socket on one address.
type Sockets = (std::net::TcpListener, std::net::UdpSocket);

/// Who a server is, and whether it is ready.
struct Identity {
    name: String,
    readiness: Mutex<Readiness>,
}

struct Readiness {
    is_on: bool,
    /// When the first probe since it was turned came in.
    heard: Option<Instant>,
}

impl Readiness {
    fn turned(is_on: bool) -> Readiness {
        Readiness { is_on, heard: None }
    }
}

/// Starts the tasks that serve these sockets; they end when the set is dropped.
fn serve(sockets: Vec<Sockets>, name: String) -> io::Result<JoinSet<()>> {
    let identity = Arc::new(Identity { name, readiness: Mutex::new(Readiness::turned(true)) });
    let mut services = JoinSet::new();
    for (listener, datagrams) in sockets {
        let (listener, datagrams) = (TcpListener::from_std(listener)?, UdpSocket::from_std(datagrams)?);
        services.spawn(serve_connections(listener, identity.clone()));
        services.spawn(serve_datagrams(datagrams, identity.clone()));
    }
    Ok(services)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lab-servers")
            .enable_all()
            .build()
            .expect("a runtime needs only threads and an epoll descriptor")
    })
}

fn bind(address: SocketAddr) -> io::Result<Sockets> {
    let open = |kind, protocol| {
        let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        io::Result::Ok(socket)
    };
    let stream = open(Type::STREAM, Protocol::TCP)?;
    stream.listen(4096)?;
    let datagram = open(Type::DGRAM, Protocol::UDP)?;
    Ok((stream.into(), datagram.into()))
}

async fn serve_connections(listener: TcpListener, identity: Arc<Identity>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    connections.spawn(serve_connection(stream, client, identity.clone()));
                }
                // The connection was gone before it was taken; the listener is fine.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until the client ends it; how it ends is the client's concern.
async fn serve_connection(stream: TcpStream, client: SocketAddr, identity: Arc<Identity>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let server = stream.local_addr()?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let is_http = line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0");
        let mut goes_on = true;
        if is_http {
            while let Some(header) = lines.next_line().await? {
                goes_on &= !header.eq_ignore_ascii_case("connection: close");
                if header.is_empty() {
                    break;
                }
            }
        }
        let (status, echo) = if is_http { identity.answer(&line) } else { (OK, line) };
        let body = render(&Answer { pod: identity.name.clone(), client, server, echo });
        let reply = if is_http { http_response(status, &body) } else { body };
        writer.write_all(reply.as_bytes()).await?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

async fn serve_datagrams(socket: UdpSocket, identity: Arc<Identity>) {
    let mut buffer = [0; 2048];
    let Ok(server) = socket.local_addr() else { return };
    loop {
        // Errors here are ICMP answers to earlier replies: the client is gone.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let reply = render(&Answer {
            pod: identity.name.clone(),
            client,
            server,
            echo: String::from_utf8_lossy(&buffer[..length]).into_owned(),
        });
        let _ = socket.send_to(reply.as_bytes(), client).await;
    }
}

fn render(answer: &Answer) -> String {
    let mut line = serde_json::to_string(answer).expect("strings and addresses are always JSON");
    line.push('\n');
    line
}

const OK: &str = "200 OK";

impl Identity {
    /// The status and the text that a request line is answered with.
    fn answer(&self, line: &str) -> (&'static str, String) {
        let mut readiness = self.readiness.lock().unwrap_or_else(PoisonError::into_inner);
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["POST", "/readiness/on", _] => *readiness = Readiness::turned(true),
            ["POST", "/readiness/off", _] => *readiness = Readiness::turned(false),
            ["GET", "/readiness", _] => {
                readiness.heard.get_or_insert_with(Instant::now);
                if !readiness.is_on {
                    return ("503 Service Unavailable", String::new());
                }
            }
            ["GET", "/readiness/heard", _] => match readiness.heard {
                Some(heard) => return (OK, heard.elapsed().as_micros().to_string()),
                None => return ("404 Not Found", String::new()),
            },
            _ => {}
        }
        (OK, String::new())
    }
}

fn http_response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_probe_since_readiness_was_turned_is_remembered() {
        let server = Identity { name: "web-0".to_owned(), readiness: Mutex::new(Readiness::turned(true)) };
        let status = |line: &str| server.answer(&format!("{line} HTTP/1.1")).0;
        assert_eq!(status("GET /readiness"), OK);
        assert_eq!(status("GET /readiness/heard"), OK);
        assert_eq!(status("POST /readiness/off"), OK);
        assert_eq!(status("GET /readiness/heard"), "404 Not Found");
        assert_eq!(status("GET /readiness"), "503 Service Unavailable");
        let (_, first) = server.answer("GET /readiness/heard HTTP/1.1");
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert_eq!(status("GET /readiness"), "503 Service Unavailable");
        let (_, later) = server.answer("GET /readiness/heard HTTP/1.1");
        assert!(later.parse::<u64>().expect("a number") > first.parse::<u64>().expect("a number"));
    }
}
