//! A server on loopback, with an upstream that the test starts.

mod dig;
mod local;
mod outside;
mod upstream;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use zone::Event;

use crate::{Config, Input, Server, start};

/// How long anything may take that should happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server; it ends with the value.
struct Running {
    address: SocketAddr,
    inputs: mpsc::Sender<Input>,
    stop: watch::Sender<bool>,
    server: Option<Server>,
}

impl Running {
    /// A server that has seen `events`.
    fn start(config: Config, events: Vec<Event>) -> Running {
        let running = Running::start_unsynced(config, events);
        (0..3).for_each(|_| running.tell(Input::Synced));
        running
    }

    fn start_unsynced(config: Config, events: Vec<Event>) -> Running {
        let (inputs, receiver) = mpsc::channel(1024);
        let (stop, stopped) = watch::channel(false);
        let server = start(config, receiver, stopped).unwrap();
        let running = Running { address: server.addresses()[0], inputs, stop, server: Some(server) };
        events.into_iter().for_each(|event| running.tell(Input::Event(event)));
        running
    }

    fn tell(&self, input: Input) {
        self.inputs.blocking_send(input).unwrap();
    }

    fn udp(&self, query: &[u8]) -> Vec<u8> {
        let any: IpAddr = if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { "::".parse().unwrap() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.address).unwrap();
        socket.send(query).unwrap();
        let mut reply = vec![0; 65_535];
        let length = socket.recv(&mut reply).expect("a reply in time");
        reply.truncate(length);
        reply
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn tcp(&self, query: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(&framed(query)).unwrap();
        read_framed(&mut stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.server.take().into_iter().for_each(Server::join);
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn read_framed(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a reply in time");
    let mut message = vec![0; u16::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).unwrap();
    message
}

/// A query for a name and type, with RD.
fn query(id: u16, name: &str, rtype: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&rtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

/// What a test looks at: id, flags AA and TC, rcode, number of answers, and the last four bytes as an address.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    id: u16,
    aa: bool,
    tc: bool,
    rcode: u8,
    answers: u16,
}

fn summary(reply: &[u8]) -> Summary {
    Summary {
        id: u16::from_be_bytes([reply[0], reply[1]]),
        aa: reply[2] & 4 != 0,
        tc: reply[2] & 2 != 0,
        rcode: reply[3] & 0xf,
        answers: u16::from_be_bytes([reply[6], reply[7]]),
    }
}

/// The last four bytes, which are the address of a reply that ends in an A record.
fn last_address(reply: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::try_from(&reply[reply.len() - 4..]).unwrap())
}

fn config() -> Config {
    let zone = zone::Config::new("cluster.local").unwrap().with_reverse(vec!["10.96.0.0/12".parse().unwrap()]);
    Config { udp_threads: 2, ..Config::new(zone, vec!["127.0.0.1:0".parse().unwrap()]) }
}

fn service(name: &str, spec: Value) -> Event {
    let service = json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec });
    Event::Service(Arc::new(serde_json::from_value(service).unwrap()))
}

fn slice(name: &str, service: &str, addresses: &[&str]) -> Event {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
    let slice = json!({
        "metadata": { "name": name, "namespace": "shop", "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4", "endpoints": endpoints,
    });
    Event::Slice(Arc::new(serde_json::from_value(slice).unwrap()))
}

fn cluster() -> Vec<Event> {
    vec![
        Event::Namespace("shop".into()),
        service("web", json!({ "clusterIP": "10.96.0.20", "ports": [{ "name": "http", "port": 80 }] })),
        service("db", json!({ "clusterIP": "None" })),
        slice("db-1", "db", &["10.244.1.1"]),
        service("far", json!({ "type": "ExternalName", "externalName": "www.example.com" })),
    ]
}

const WEB: &str = "web.shop.svc.cluster.local";

/// Waits until a condition holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
