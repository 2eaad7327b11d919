//! etcd as a peer, where it is installed: one member, on the same disk, asked through its JSON gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use kernel::netns::{Namespace, NamespaceRuntime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::store::{VALUE_BYTES, key};
use crate::machine::installed;
use crate::protocol::Slice;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);

/// A running member; it is killed when dropped.
pub(super) struct Etcd {
    child: Child,
    runtime: NamespaceRuntime,
    /// A connection per client.
    connections: Vec<BufReader<TcpStream>>,
    written: u64,
}

impl Etcd {
    /// Starts it in a network of its own and waits until it takes a write; none if it is not installed.
    pub(super) fn start(data: &Path) -> anyhow::Result<Option<Etcd>> {
        let Some(program) = installed("etcd") else { return Ok(None) };
        let namespace = Namespace::create()?;
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(data).args(["--listen-peer-urls", "http://127.0.0.1:2380"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = namespace.spawn(command)?;
        let mut etcd = Etcd { child, runtime: namespace.runtime()?, connections: Vec::new(), written: 0 };
        const LIMIT: Duration = Duration::from_secs(20);
        let started = Instant::now();
        while etcd.turn(1, Instant::now() + Duration::from_millis(1)).is_err() {
            anyhow::ensure!(started.elapsed() < LIMIT, "etcd takes no writes");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Some(etcd))
    }

    /// So many clients write one value after the other.
    pub(super) fn turn(&mut self, clients: usize, end: Instant) -> anyhow::Result<Slice> {
        let first = self.written;
        let connections = std::mem::take(&mut self.connections);
        let (slice, connections) = self.runtime.block_on(put_until(connections, clients, first, end))?;
        self.connections = connections;
        self.written += slice.operations;
        Ok(slice)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Connections = Vec<BufReader<TcpStream>>;

async fn put_until(
    mut connections: Connections,
    clients: usize,
    first: u64,
    end: Instant,
) -> anyhow::Result<(Slice, Connections)> {
    while connections.len() < clients {
        let stream = TcpStream::connect(ADDRESS).await.context("connect to etcd")?;
        stream.set_nodelay(true)?;
        connections.push(BufReader::new(stream));
    }
    let mut running = JoinSet::new();
    for (client, mut connection) in connections.into_iter().enumerate() {
        running.spawn(async move {
            let mut slice = Slice::default();
            while slice.operations == 0 || Instant::now() < end {
                let started = Instant::now();
                put(&mut connection, first + client as u64 + slice.operations * clients as u64).await?;
                slice.latencies.push(started.elapsed());
                slice.operations += 1;
            }
            anyhow::Ok((slice, connection))
        });
    }
    let (mut all, mut connections) = (Slice::default(), Vec::new());
    while let Some(ended) = running.join_next().await {
        let (slice, connection) = ended.context("a client panicked")??;
        all.operations += slice.operations;
        all.latencies.extend(slice.latencies);
        connections.push(connection);
    }
    Ok((all, connections))
}

/// One write; it is durable when etcd answers.
async fn put(connection: &mut BufReader<TcpStream>, number: u64) -> anyhow::Result<()> {
    let (key, value) = (BASE64_STANDARD.encode(key(number)), BASE64_STANDARD.encode(vec![b'x'; VALUE_BYTES]));
    let body = format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}");
    let head = format!("POST /v3/kv/put HTTP/1.1\r\nhost: etcd\r\ncontent-length: {}\r\n\r\n", body.len());
    connection.write_all([head, body].concat().as_bytes()).await?;
    let (mut line, mut length) = (String::new(), 0);
    connection.read_line(&mut line).await?;
    anyhow::ensure!(line.starts_with("HTTP/1.1 200"), "etcd answers {line:?}");
    while line != "\r\n" {
        line.clear();
        anyhow::ensure!(connection.read_line(&mut line).await? > 0, "etcd breaks off");
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("the length of etcd's answer")?;
        }
    }
    connection.read_exact(&mut vec![0; length]).await.context("etcd's answer")?;
    Ok(())
}
