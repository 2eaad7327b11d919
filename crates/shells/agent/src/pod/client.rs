//! The agent's end of the connection to a Pod's parent process.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kernel::netns::{Namespace, NamespaceError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::Message;
use crate::ParentCommand;
use crate::parent::protocol::{COMPLAINTS, Known, Report, Request, SOCKET};

/// How long a new parent may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long one may take that should have answered long ago.
const LATE: Duration = Duration::from_secs(1);

/// A connection to a Pod's parent process.
#[derive(Debug)]
pub(super) struct Client {
    out: OwnedWriteHalf,
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

/// Has the parent that listens in this directory end, if there is one, and with it all that runs in the Pod.
pub(super) async fn end(dir: &Path) {
    let (inbox, _unheard) = mpsc::channel(1);
    if let Ok(Ok((mut parent, _))) = tokio::time::timeout(LATE, Client::connect(dir, 0, &inbox)).await {
        let _ = parent.send(&Request::End).await;
    }
}

impl Client {
    /// Connects to a parent that an earlier agent has started; none if there is none any more. One that does not answer for
    /// another reason is tried again: it may be as well as before.
    pub(super) async fn adopt(dir: &Path, number: u64, inbox: &mpsc::Sender<Message>) -> Option<(Client, Vec<Known>)> {
        loop {
            let connected = tokio::time::timeout(ANSWER, Client::connect(dir, number, inbox)).await;
            let error = match connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
                Ok(adopted) => return Some(adopted),
                Err(error) => error,
            };
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::UnexpectedEof) {
                return None;
            }
            tracing::warn!(%error, dir = %dir.display(), "a Pod's parent process does not answer; trying again");
            tokio::time::sleep(LATE).await;
        }
    }

    /// Connects to a parent that was just started.
    pub(super) async fn await_new(
        dir: &Path,
        number: u64,
        inbox: &mpsc::Sender<Message>,
    ) -> Result<Client, ClientError> {
        let answered = tokio::time::timeout(ANSWER, async {
            while !dir.join(SOCKET).exists() && std::fs::read(dir.join(COMPLAINTS)).is_ok_and(|text| text.is_empty()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Client::connect(dir, number, inbox).await
        });
        let connected = answered.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        connected.map(|(client, _)| client).map_err(|source| ClientError::Answer { complaint: complaint(dir), source })
    }

    /// Connects to a parent and hears what it has. What it says from now on goes to the inbox.
    async fn connect(dir: &Path, number: u64, inbox: &mpsc::Sender<Message>) -> std::io::Result<(Client, Vec<Known>)> {
        let (from, out) = UnixStream::connect(dir.join(SOCKET)).await?.into_split();
        let mut client = Client { out, number };
        client.send(&Request::Hello).await?;
        let mut lines = BufReader::new(from).lines();
        let first = lines.next_line().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let Report::Hello { containers } = serde_json::from_str(&first)? else {
            return Err(std::io::ErrorKind::InvalidData.into());
        };
        let inbox = inbox.clone();
        tokio::spawn(async move {
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
        });
        Ok((client, containers))
    }

    /// Asks for something. A parent that is gone shows by [`Message::Lost`].
    pub(super) async fn send(&mut self, request: &Request) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(request).expect("requests are plain data");
        line.push(b'\n');
        self.out.write_all(&line).await
    }
}

/// What the parent wrote last, after a colon.
fn complaint(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join(COMPLAINTS)).unwrap_or_default();
    text.trim().lines().last().map(|line| format!(": {line}")).unwrap_or_default()
}
