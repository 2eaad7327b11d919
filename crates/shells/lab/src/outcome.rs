//! What a client learns from one attempt.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a test server says: who it is and whom it sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The name of the server's host.
    pub pod: String,
    /// The client's address as the server sees it.
    pub client: SocketAddr,
    /// The server's own address as it sees it.
    pub server: SocketAddr,
    /// What the client had sent (over UDP and lines of TCP); for HTTP what it asked for, mostly nothing.
    pub echo: String,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A server answered.
    Answer {
        /// What it said.
        answer: Answer,
        /// From the first packet to the whole answer.
        latency: Duration,
    },
    /// The port is closed: a TCP reset for the first packet, or ICMP "port unreachable".
    Refused,
    /// ICMP said that there is no way, or there is none from here.
    Unreachable(Unreachable),
    /// Nothing came back in time.
    Timeout,
    /// The connection was made and then broken, by a reset or by an end before the answer.
    Reset,
    /// Something answered that is no server of the lab.
    Stranger(String),
    /// An attempt that the kernel of the client refused for another reason.
    Failed(io::ErrorKind),
}

/// Which way is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The client's own host has no route; no packet was sent.
    NoRoute,
    /// ICMP "network unreachable" or "no route".
    Network,
    /// ICMP "host unreachable", "prohibited" (IPv4), or nobody answered for the address on the link.
    Host,
    /// ICMP "administratively prohibited" (IPv6).
    Prohibited,
}

impl Outcome {
    /// The name of the host that answered.
    pub fn pod(&self) -> Option<&str> {
        self.answer().map(|answer| answer.pod.as_str())
    }

    /// What was answered.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answer { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// The outcome of an attempt that failed before any packet was sent.
    pub(crate) fn of_local_error(error: &io::Error) -> Self {
        match Self::of_error(error) {
            Self::Unreachable(Unreachable::Network) => Self::Unreachable(Unreachable::NoRoute),
            other => other,
        }
    }

    /// The outcome of an attempt that failed on its way or at the other side.
    pub(crate) fn of_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::NetworkUnreachable => Self::Unreachable(Unreachable::Network),
            io::ErrorKind::HostUnreachable => Self::Unreachable(Unreachable::Host),
            io::ErrorKind::PermissionDenied => Self::Unreachable(Unreachable::Prohibited),
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Reset,
            other => Self::Failed(other),
        }
    }

    /// The outcome of an answer that came after `latency`.
    pub(crate) fn of_answer(bytes: &[u8], latency: Duration) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(answer) => Self::Answer { answer, latency },
            Err(_) => Self::Stranger(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { answer, .. } => write!(formatter, "answered by {}", answer.pod),
            Self::Refused => write!(formatter, "refused"),
            Self::Unreachable(way) => write!(formatter, "unreachable ({way:?})"),
            Self::Timeout => write!(formatter, "timed out"),
            Self::Reset => write!(formatter, "reset"),
            Self::Stranger(text) => write!(formatter, "answered by a stranger: {text}"),
            Self::Failed(kind) => write!(formatter, "failed: {kind}"),
        }
    }
}
