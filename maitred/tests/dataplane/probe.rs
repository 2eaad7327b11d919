//! Many questions at once, and what came back.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use lab::{Answer, Outcome, Request, sctp_ask};
use model::Protocol;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::scene::{Asker, Scene};

/// A first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub asker: Asker,
    pub protocol: Protocol,
    pub to: SocketAddr,
    /// How long an answer may take.
    pub patience: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This endpoint answered, having seen this source address.
    Answered { server: SocketAddr, source: IpAddr },
    /// A RST, or ICMP "port unreachable".
    Refused,
    /// Nothing.
    Silence,
    /// There is no way, says a router or the own host.
    NoWay(String),
}

impl fmt::Display for Question {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} → {}/{}", self.asker, self.to, self.protocol)
    }
}

/// All questions of all clients at the same time; SCTP questions of one client to one address follow each other, since
/// ICMP names no port to a raw socket.
pub fn ask_all(scene: &Scene, questions: &[Question]) -> Vec<Reply> {
    ask_all_timed(scene, questions).into_iter().map(|(reply, _)| reply).collect()
}

/// The same, and how long each reply took.
pub fn ask_all_timed(scene: &Scene, questions: &[Question]) -> Vec<(Reply, Duration)> {
    let mut plain = BTreeMap::<Asker, Vec<(usize, Question)>>::new();
    let mut sctp = BTreeMap::<(Asker, IpAddr), Vec<(usize, Question)>>::new();
    for (index, question) in questions.iter().enumerate() {
        let list = match question.protocol {
            Protocol::Sctp => sctp.entry((question.asker, question.to.ip())).or_default(),
            Protocol::Tcp | Protocol::Udp => plain.entry(question.asker).or_default(),
        };
        list.push((index, *question));
    }
    let mut replies = std::thread::scope(|scope| {
        let plain = plain.into_iter().map(|(asker, list)| scope.spawn(move || together(scene, asker, list)));
        let sctp = sctp.into_values().map(|list| scope.spawn(move || in_turn(scene, list)));
        let threads: Vec<_> = plain.chain(sctp.collect::<Vec<_>>()).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    replies.sort_by_key(|(index, _)| *index);
    replies.into_iter().map(|(_, timed)| timed).collect()
}

/// The position of a question, the reply, and how long it took.
type Timed = (usize, (Reply, Duration));

fn in_turn(scene: &Scene, questions: Vec<(usize, Question)>) -> Vec<Timed> {
    let ask = |question: Question| {
        let started = Instant::now();
        let reply = sctp_ask(scene.asker(question.asker).namespace(), question.to, 0, question.patience).unwrap();
        (reply.into(), started.elapsed())
    };
    questions.into_iter().map(|(index, question)| (index, ask(question))).collect()
}

fn together(scene: &Scene, asker: Asker, questions: Vec<(usize, Question)>) -> Vec<Timed> {
    let ask = async {
        let mut running = JoinSet::new();
        for (index, question) in questions {
            let port = scene.next_port();
            running.spawn(async move {
                let started = Instant::now();
                (index, (ask(question, port).await, started.elapsed()))
            });
        }
        running.join_all().await
    };
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(ask);
    scene.asker(asker).run(run).unwrap()
}

async fn ask(question: Question, port: u16) -> Reply {
    let any: IpAddr = if question.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = SocketAddr::new(any, port);
    if question.protocol == Protocol::Tcp {
        let plain = Request::new(question.to, question.patience);
        return Request { from: Some(from), reset_at_end: true, ..plain }.send_here().await.into();
    }
    match tokio::time::timeout(question.patience, datagram(from, question.to)).await {
        Ok(Ok(answer)) => answer.into(),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Reply::Refused,
        Ok(Err(error)) => Reply::NoWay(error.to_string()),
        Err(_) => Reply::Silence,
    }
}

async fn datagram(from: SocketAddr, to: SocketAddr) -> std::io::Result<Answer> {
    let socket = UdpSocket::bind(from).await?;
    socket.connect(to).await?;
    match socket.send(b"question").await {
        // The own host's rules dropped it, which the sender is told; whether they also refuse it follows.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
        sent => drop(sent?),
    }
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).await?;
    Ok(serde_json::from_slice(&buffer[..length])?)
}

/// What node-0's connection tracking holds of flows to an address; empty where the kernel doesn't list it.
pub fn tracked(scene: &Scene, to: SocketAddr) -> String {
    let table = scene.lab.node(0).run(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack")).unwrap();
    let table = table.unwrap_or_default();
    let address = match to.ip() {
        IpAddr::V4(address) => address.to_string(),
        // As this file writes them: eight groups of four digits.
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:04x}")).join(":"),
    };
    let (address, port) = (format!("dst={address} "), format!("dport={} ", to.port()));
    table.lines().filter(|line| line.contains(&address) && line.contains(&port)).collect::<Vec<_>>().join("\n")
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply::Answered { server: answer.server, source: answer.client.ip() }
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Answer { answer, .. } => answer.into(),
            Outcome::Refused => Reply::Refused,
            Outcome::Timeout => Reply::Silence,
            other => Reply::NoWay(other.to_string()),
        }
    }
}
