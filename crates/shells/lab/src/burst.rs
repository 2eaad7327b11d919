//! One question or many, by any transport, counted by who answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kernel::netns::Namespace;
use tokio::task::JoinSet;

use crate::request::block_inside;
use crate::{LabError, Outcome, Request, http_get, sctp, sctp_ask, udp, udp_ask};

/// By what a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// An HTTP request on a connection of its own.
    Tcp,
    /// A datagram from a port of its own.
    Udp,
    /// An INIT from a port of its own.
    Sctp,
}

/// Asks once from a namespace, by any transport.
pub fn ask(
    namespace: &Namespace,
    transport: Transport,
    to: SocketAddr,
    timeout: Duration,
) -> Result<Outcome, LabError> {
    match transport {
        Transport::Tcp => http_get(namespace, to, timeout),
        Transport::Udp => udp_ask(namespace, to, timeout),
        Transport::Sctp => sctp_ask(namespace, to, 0, timeout),
    }
}

/// Many questions to one address, each from a port of its own.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// By what.
    pub transport: Transport,
    /// Where to.
    pub to: SocketAddr,
    /// How many.
    pub connections: usize,
    /// How many at the same time; by transports other than TCP they go one after the other.
    pub at_once: usize,
    /// How long each may take.
    pub timeout: Duration,
}

/// What became of a burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by the name of who answered.
    pub answers: BTreeMap<String, u64>,
    /// The client's addresses as servers saw them.
    pub sources: BTreeSet<IpAddr>,
    /// How many were not answered, by what became of them.
    pub failures: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            match outcome.answer() {
                Some(answer) => {
                    *tally.answers.entry(answer.pod.clone()).or_default() += 1;
                    tally.sources.insert(answer.client.ip());
                }
                None => *tally.failures.entry(outcome.to_string()).or_default() += 1,
            }
        }
        tally
    }

    /// The number of answers of each of these hosts, 0 for those that never answered.
    pub fn counts(&self, hosts: &[&str]) -> Vec<u64> {
        hosts.iter().map(|host| self.answers.get(*host).copied().unwrap_or(0)).collect()
    }
}

/// Sends a burst from a namespace. TCP connections end by reset, so a burst leaves no ports behind.
pub fn burst(namespace: &Namespace, burst: &Burst) -> Result<Tally, LabError> {
    let outcomes: Vec<Outcome> = match burst.transport {
        Transport::Tcp => block_inside(namespace, connections(burst))?,
        Transport::Udp => namespace.run(|| one_by_one(burst, || udp::ask_here(burst.to, burst.timeout)))?,
        Transport::Sctp => namespace.run(|| one_by_one(burst, || sctp::ask_here(burst.to, 0, burst.timeout)))?,
    };
    Ok(Tally::of(&outcomes))
}

fn one_by_one(burst: &Burst, ask: impl Fn() -> Outcome) -> Vec<Outcome> {
    (0..burst.connections).map(|_| ask()).collect()
}

async fn connections(burst: &Burst) -> Vec<Outcome> {
    let request = Request { reset_at_end: true, ..Request::new(burst.to, burst.timeout) };
    let mut running = JoinSet::new();
    let mut outcomes = Vec::with_capacity(burst.connections);
    for _ in 0..burst.connections {
        if running.len() >= burst.at_once.max(1) {
            outcomes.extend(running.join_next().await);
        }
        running.spawn(async move { request.send_here().await });
    }
    outcomes.extend(running.join_all().await.into_iter().map(Ok));
    outcomes.into_iter().map(|outcome| outcome.expect("a request never panics")).collect()
}
