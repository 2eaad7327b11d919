//! The side of the process: it answers whoever may ask.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::request::error;
use crate::seat::{self, Taken};
use crate::{ControlError, Request};

/// The longest request in bytes, its line end included.
const LINE_MAX: u64 = 64 * 1024;
/// Connections that are served at once.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to ask, or to read.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
/// How long the process may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A control socket that is served. When this is dropped, the socket is gone and nobody is answered any more.
#[derive(Debug)]
pub struct Held {
    taken: Taken,
    task: JoinHandle<()>,
}

impl Held {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        self.taken.path()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes the control socket at `path` and answers there, in the caller's tokio runtime. The directory is made if it is
/// missing. What a request means is known to `handler`; for a command that it doesn't know there is [`Request::unknown`].
pub fn serve<H, F>(path: &Path, handler: H) -> Result<Held, ControlError>
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Value> + Send + 'static,
{
    let (taken, listener) = seat::take(path)?;
    let listen = |source| ControlError::Listen { path: path.to_owned(), source };
    let listener = UnixListener::from_std(listener).map_err(listen)?;
    let task = tokio::spawn(accept(listener, Arc::new(handler)));
    Ok(Held { taken, task })
}

async fn accept<H, F>(listener: UnixListener, handler: Arc<H>)
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Value> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let (handler, place) = (handler.clone(), room.clone().try_acquire_owned().ok());
                    connections.spawn(async move {
                        let served = match place {
                            Some(_place) => greet(client, handler.as_ref()).await,
                            None => refuse(client, "too many connections; try again").await,
                        };
                        if let Err(error) = served {
                            tracing::debug!(%error, "a client of the control socket is gone");
                        }
                    });
                }
                // Out of descriptors, say: the process goes on.
                Err(error) => {
                    tracing::warn!(%error, "the control socket doesn't accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves a client who may ask; the others hear why not.
async fn greet<H, F>(client: UnixStream, handler: &H) -> io::Result<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Value>,
{
    let user = client.peer_cred()?.uid();
    if user != 0 && user != kernel::detached::user() {
        return refuse(client, "only root and the user of this process may ask").await;
    }
    converse(client, handler).await
}

/// Answers line by line until the client goes, or takes too long.
async fn converse<H, F>(client: UnixStream, handler: &H) -> io::Result<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Value>,
{
    let (from, mut to) = client.into_split();
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut from).take(LINE_MAX);
        let read = tokio::time::timeout(CLIENT_PATIENCE, bounded.read_until(b'\n', &mut line));
        let Ok(read) = read.await else { return Ok(()) };
        if read? == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") && line.len() as u64 == LINE_MAX {
            return tell(&mut to, &error(&format!("a request may have {LINE_MAX} bytes"))).await;
        }
        tell(&mut to, &answer(&line, handler).await).await?;
    }
}

async fn answer<H, F>(line: &[u8], handler: &H) -> Value
where
    H: Fn(Request) -> F,
    F: Future<Output = Value>,
{
    match serde_json::from_slice(line) {
        Ok(request) => {
            let answered = tokio::time::timeout(ANSWER_WITHIN, handler(request)).await;
            answered.unwrap_or_else(|_| error(&format!("there is no answer within {} s", ANSWER_WITHIN.as_secs())))
        }
        Err(reason) => error(&format!("a request is JSON like {{\"command\":\"status\"}} in one line: {reason}")),
    }
}

async fn refuse(mut client: UnixStream, reason: &str) -> io::Result<()> {
    tell(&mut client, &error(reason)).await
}

async fn tell(to: &mut (impl tokio::io::AsyncWrite + Unpin), answer: &Value) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    tokio::time::timeout(CLIENT_PATIENCE, to.write_all(&line)).await?
}
