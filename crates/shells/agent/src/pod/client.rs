//! The agent's end of the connection to a Pod's parent process.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kernel::netns::{Namespace, NamespaceError};
use kernel::process::Watched;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::Message;
use crate::ParentCommand;
use crate::parent::libc_signal;
use crate::parent::protocol::{COMPLAINTS, Known, Report, Request, SOCKET};

/// How long a new parent may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long one may take that should have answered long ago.
const LATE: Duration = Duration::from_secs(1);
/// How long the kernel may take to end the processes of a Pod whose parent has ended or was killed.
const DEATH: Duration = Duration::from_secs(10);

/// Requests that wait for a parent. It never has so many to answer: no container is started or signalled twice before an
/// answer. Programs beside the containers, which probes ask for again and again, may take half of it.
const QUEUE: usize = 1024;

/// A connection to a Pod's parent process.
#[derive(Debug)]
pub(super) struct Client {
    /// Lines for the task that writes them, so that nobody waits for a parent that does not read.
    out: mpsc::Sender<Vec<u8>>,
    /// Tells its messages from those of an earlier connection.
    pub(super) number: u64,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The program could not be started.
    #[error("cannot start the Pod's parent process")]
    Start(#[source] NamespaceError),
    /// Nobody is there, or it doesn't speak as it should.
    #[error("the Pod's parent process does not answer{complaint}")]
    Answer {
        /// What it wrote before it died, after a colon.
        complaint: String,
        /// What happened to the connection.
        source: std::io::Error,
    },
}

/// Starts a parent process for the Pod with this directory. One that was started before and answered too late is ended.
pub(super) async fn start(command: &ParentCommand, dir: &Path, network: Option<&Namespace>) -> Result<(), ClientError> {
    end(dir).await;
    let starting = |source| ClientError::Start(NamespaceError::Spawn { program: "the parent".to_owned(), source });
    let _ = std::fs::remove_file(dir.join(SOCKET));
    let complaints = std::fs::File::create(dir.join(COMPLAINTS)).map_err(starting)?;
    let mut parent = Command::new(&command.program);
    parent.args(&command.arguments).arg(dir).envs(command.env.iter().map(|(name, value)| (name, value)));
    parent.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
    kernel::detached::spawn_init(parent, network, network.is_some()).map_err(ClientError::Start)
}

/// Has the parent that listens in this directory end, if there is one, and with it all that runs in the Pod. One that does
/// not do so itself is killed. Nothing runs any more when this returns, unless the kernel cannot end it in time.
pub(super) async fn end(dir: &Path) {
    let Ok(mut parent) = UnixStream::connect(dir.join(SOCKET)).await else { return };
    let pid = parent.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    let pid = pid.filter(|pid| *pid != 0);
    // One that cannot be seen from here, or not any more.
    let process = pid.and_then(|pid| Watched::open(pid).ok());
    let ended = async {
        parent.write_all(&line(&Request::End)).await?;
        // It says nothing to whom it has not heard; this ends with it.
        parent.read_to_end(&mut Vec::new()).await
    };
    if tokio::time::timeout(LATE, ended).await.is_err()
        && let Some(pid) = pid
    {
        tracing::warn!(pid, dir = %dir.display(), "a Pod's parent process did not end, and is killed");
        let _ = kernel::process::signal(pid, libc_signal::KILL);
    }
    // Its connections are closed before the kernel has ended the Pod's other processes, and those before itself.
    if let Some(process) = process
        && tokio::time::timeout(DEATH, process.ended()).await.is_err()
    {
        tracing::error!(pid, dir = %dir.display(), "processes of a Pod do not end, and are left to the kernel");
    }
}

impl Client {
    /// Connects to a parent that an earlier agent has started; none if there is none any more. One that is there and does not
    /// answer is waited for: what runs in the Pod may be as well as before.
    pub(super) async fn adopt(dir: &Path, number: u64, inbox: &mpsc::Sender<Message>) -> Option<(Client, Vec<Known>)> {
        loop {
            let mut connecting = std::pin::pin!(Client::connect(dir, number, inbox));
            let error = loop {
                match tokio::time::timeout(ANSWER, &mut connecting).await {
                    Ok(Ok(adopted)) => return Some(adopted),
                    Ok(Err(error)) => break error,
                    // On the same connection: it would answer all of them one day.
                    Err(_) => tracing::warn!(dir = %dir.display(), "a Pod's parent process does not answer; waiting"),
                }
            };
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::UnexpectedEof) {
                return None;
            }
            tracing::warn!(%error, dir = %dir.display(), "a Pod's parent process cannot be asked; trying again");
            tokio::time::sleep(LATE).await;
        }
    }

    /// Connects to a parent that was just started.
    pub(super) async fn await_new(
        dir: &Path,
        number: u64,
        inbox: &mpsc::Sender<Message>,
    ) -> Result<Client, ClientError> {
        let complains = || !std::fs::read(dir.join(COMPLAINTS)).is_ok_and(|text| text.is_empty());
        let answered = tokio::time::timeout(ANSWER, async {
            loop {
                match Client::connect(dir, number, inbox).await {
                    // There is no socket yet, or nobody listens at it yet.
                    Err(error)
                        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
                            && !complains() =>
                    {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    connected => return connected,
                }
            }
        });
        let connected = answered.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        connected.map(|(client, _)| client).map_err(|source| ClientError::Answer { complaint: complaint(dir), source })
    }

    /// Connects to a parent and hears what it has. What it says from now on goes to the inbox.
    async fn connect(dir: &Path, number: u64, inbox: &mpsc::Sender<Message>) -> std::io::Result<(Client, Vec<Known>)> {
        let (from, mut to) = UnixStream::connect(dir.join(SOCKET)).await?.into_split();
        to.write_all(&line(&Request::Hello)).await?;
        let mut lines = BufReader::new(from).lines();
        let first = lines.next_line().await?.ok_or(ErrorKind::UnexpectedEof)?;
        let Report::Hello { containers } = serde_json::from_str(&first)? else {
            return Err(ErrorKind::InvalidData.into());
        };
        tokio::spawn(hear(lines, number, inbox.clone()));
        let (out, requests) = mpsc::channel(QUEUE);
        tokio::spawn(write(requests, to));
        Ok((Client { out, number }, containers))
    }

    /// Asks for something, without waiting; false if the parent will not hear of it. One that is gone shows by
    /// [`Message::Lost`]. One that has not read for long is asked for no further programs: whoever waits for one gives up at
    /// the end of its time. What was asked for can always be abandoned.
    pub(super) fn send(&self, request: &Request) -> bool {
        if matches!(request, Request::Run { .. }) && self.out.capacity() <= QUEUE / 2 {
            return false;
        }
        let sent = self.out.try_send(line(request));
        if let Err(mpsc::error::TrySendError::Full(_)) = sent {
            tracing::error!(?request, "a Pod's parent process does not read; a request to it is lost");
        }
        sent.is_ok()
    }
}

/// Hands on what a parent says, to its end.
async fn hear(mut lines: Lines<BufReader<OwnedReadHalf>>, number: u64, inbox: mpsc::Sender<Message>) {
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(report) => {
                if inbox.send(Message::Report(number, report)).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, line, "a Pod's parent process said what nobody understands"),
        }
    }
    let _ = inbox.send(Message::Lost(number)).await;
}

/// Writes requests in their order for as long as the parent lives.
async fn write(mut requests: mpsc::Receiver<Vec<u8>>, mut to: OwnedWriteHalf) {
    while let Some(line) = requests.recv().await {
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}

fn line(request: &Request) -> Vec<u8> {
    let mut line = serde_json::to_vec(request).expect("requests are plain data");
    line.push(b'\n');
    line
}

/// What the parent wrote last, after a colon.
fn complaint(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join(COMPLAINTS)).unwrap_or_default();
    text.trim().lines().last().map(|line| format!(": {line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixSocket;

    use super::*;
    use crate::parent::protocol::Process;

    #[tokio::test]
    async fn a_socket_at_which_nobody_listens_yet_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(COMPLAINTS), "").expect("a file");
        let socket = UnixSocket::new_stream().expect("a socket");
        socket.bind(dir.path().join(SOCKET)).expect("a free path");
        let parent = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (mut agent, _) = socket.listen(1).expect("a listener").accept().await.expect("an agent");
            let mut hello = serde_json::to_vec(&Report::Hello { containers: Vec::new() }).expect("JSON");
            hello.push(b'\n');
            agent.write_all(&hello).await.expect("the agent hears");
            // Open until the agent has written too.
            agent
        };
        let (inbox, _messages) = mpsc::channel(1);
        let (client, _agent) = tokio::join!(Client::await_new(dir.path(), 1, &inbox), parent);
        client.expect("a connection");
    }

    #[tokio::test]
    async fn a_parent_that_does_not_read_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = tokio::net::UnixListener::bind(dir.path().join(SOCKET)).expect("a free path");
        let (inbox, _messages) = mpsc::channel(1);
        let parent = async {
            let (mut agent, _) = listener.accept().await.expect("an agent");
            agent.write_all(b"{\"Hello\":{\"containers\":[]}}\n").await.expect("the agent hears");
            agent
        };
        let (adopted, _deaf) = tokio::join!(Client::adopt(dir.path(), 1, &inbox), parent);
        let (client, _) = adopted.expect("a connection");
        let run = |id| client.send(&Request::Run { id, process: Process::default() });
        let refused = (0..100_000).find(|id| !run(*id)).expect("some end");
        assert!(client.out.capacity() >= QUEUE / 2, "there is room for what is not a program");
        assert!(client.send(&Request::Abandon { id: refused - 1 }), "the last one that was taken can be abandoned");
    }
}
