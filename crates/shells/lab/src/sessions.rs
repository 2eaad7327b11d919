//! Connections that stay open and exchange a line every so often: what an upgrade must not break.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kernel::netns::{Namespace, NamespaceRuntime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::request::connect;
use crate::{LabError, Outcome, Request};

/// Open connections. They are closed when this is dropped.
#[derive(Debug)]
pub struct Sessions {
    /// A std mutex: held only to note one exchange.
    report: Arc<Mutex<SessionReport>>,
    runtime: NamespaceRuntime,
}

/// What happened on the connections so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// Lines that were answered, over all connections.
    pub exchanges: u64,
    /// Connections by who is at the other end.
    pub pods: BTreeMap<String, u64>,
    /// Connections that never came to be or broke, in order. They aren't opened again.
    pub breaks: Vec<Break>,
}

/// The end of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Which connection, from 0.
    pub session: usize,
    /// Who had been at the other end, if it ever answered.
    pub pod: Option<String>,
    /// When, since the sessions were opened.
    pub at: Duration,
    /// What the client saw.
    pub outcome: Outcome,
}

impl Sessions {
    /// Opens `count` connections from a namespace and returns when each has exchanged its first line or broken. An
    /// answer that takes longer than `patience` is a break.
    pub fn open(
        namespace: &Namespace,
        to: SocketAddr,
        count: usize,
        every: Duration,
        patience: Duration,
    ) -> Result<Self, LabError> {
        let runtime = namespace.runtime()?;
        let report = Arc::new(Mutex::new(SessionReport::default()));
        let started = Instant::now();
        for session in 0..count {
            let report = Arc::clone(&report);
            runtime.handle().spawn(async move {
                let (pod, outcome) = talk(to, every, patience, &report).await;
                let at = started.elapsed();
                note(&report).breaks.push(Break { session, pod, at, outcome });
            });
        }
        let sessions = Self { report, runtime };
        while sessions.begun() < count {
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(sessions)
    }

    /// What happened so far.
    pub fn report(&self) -> SessionReport {
        note(&self.report).clone()
    }

    /// Closes the connections; what happened until then.
    pub fn close(self) -> SessionReport {
        let report = self.report();
        drop(self.runtime);
        report
    }

    /// How many connections have got somewhere: to an answer, or to a break without one.
    fn begun(&self) -> usize {
        let report = note(&self.report);
        let answered: u64 = report.pods.values().sum();
        answered as usize + report.breaks.iter().filter(|end| end.pod.is_none()).count()
    }
}

fn note(report: &Mutex<SessionReport>) -> std::sync::MutexGuard<'_, SessionReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Exchanges lines until the connection breaks: who was at the other end, and how it broke.
async fn talk(
    to: SocketAddr,
    every: Duration,
    patience: Duration,
    report: &Mutex<SessionReport>,
) -> (Option<String>, Outcome) {
    let request = Request::new(to, patience);
    let mut pod = None;
    let mut stream = match tokio::time::timeout(patience, connect(&request)).await {
        Ok(Ok(stream)) => BufReader::new(stream),
        Ok(Err(outcome)) => return (pod, outcome),
        Err(_) => return (pod, Outcome::Timeout),
    };
    loop {
        let exchanged = tokio::time::timeout(patience, exchange(&mut stream)).await;
        match exchanged.unwrap_or(Outcome::Timeout) {
            Outcome::Answer { answer, .. } => {
                let mut report = note(report);
                report.exchanges += 1;
                if pod.is_none() {
                    *report.pods.entry(answer.pod.clone()).or_default() += 1;
                }
                pod = Some(answer.pod);
            }
            outcome => return (pod, outcome),
        }
        tokio::time::sleep(every).await;
    }
}

async fn exchange(stream: &mut BufReader<TcpStream>) -> Outcome {
    let started = Instant::now();
    let mut line = String::new();
    let exchanged = async {
        stream.write_all(b"still there?\n").await?;
        match stream.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    };
    match exchanged.await {
        Ok(()) => Outcome::of_answer(line.as_bytes(), started.elapsed()),
        Err(error) => Outcome::of_error(&error),
    }
}
