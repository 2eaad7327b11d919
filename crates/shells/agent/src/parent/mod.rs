//! The parent process of one Pod: it starts, signals and reaps the Pod's processes and remembers how they ended.
//!
//! It is init of the Pod's PID namespace, so nothing in the Pod outlives it, and it decides nothing: what is started and
//! when is the agent's business. It outlives agents; the newest one that says `Hello` is told everything.

mod children;
mod log;
pub(crate) mod protocol;

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::detached::{self, PrivateFiles};

pub(crate) use children::libc_signal;

use children::Children;
use protocol::{Report, Request, SETUP, SOCKET, Setup};

/// How long an agent may take to read; after that it is taken for dead.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before something is tried again for which the Pod has no room.
const AGAIN: Duration = Duration::from_millis(100);

/// Why a parent cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// What the agent left for it.
    #[error("cannot read the Pod's setup in {}", dir.display())]
    Setup {
        /// The Pod's directory.
        dir: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The socket.
    #[error("cannot listen on a socket in {}", dir.display())]
    Listen {
        /// The Pod's directory.
        dir: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The host name.
    #[error("cannot set the host name {name}")]
    Hostname {
        /// The name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The Pod's own mounts.
    #[error("cannot give the Pod mounts of its own")]
    Mounts(#[source] kernel::netns::NamespaceError),
    /// A thread of its own.
    #[error("cannot start the thread that reaps the Pod's processes: a limit of processes may be reached")]
    Reaper(#[source] io::Error),
}

/// The body of the hidden subcommand: acts as the parent of the Pod whose directory this is, until the agent ends it.
/// It must have been started by the agent, in namespaces of its own.
pub fn pod_parent(dir: &Path) -> Result<Infallible, ParentError> {
    let setup = read_setup(dir).map_err(|source| ParentError::Setup { dir: dir.to_owned(), source })?;
    let (listener, logs) = open(dir, &setup).map_err(|source| ParentError::Listen { dir: dir.to_owned(), source })?;
    if let Some(name) = &setup.hostname {
        detached::set_hostname(name).map_err(|source| ParentError::Hostname { name: name.clone(), source })?;
    }
    let files = PrivateFiles { resolv_conf: setup.resolv_conf, hosts: setup.hosts };
    detached::isolate_mounts(&files).map_err(ParentError::Mounts)?;
    // Through the open directory, since the private /run may cover its path.
    let log_dir = PathBuf::from(format!("/proc/self/fd/{}", logs.as_raw_fd()));
    let children = Children::start(log_dir).map_err(ParentError::Reaper)?;
    let mut connections = 0;
    loop {
        match listener.accept() {
            Ok((agent, _)) => {
                connections += 1;
                serve_apart(agent, connections, &children);
            }
            // Out of descriptors, say: the Pod must live on.
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

fn read_setup(dir: &Path) -> io::Result<Setup> {
    Ok(serde_json::from_slice(&fs::read(dir.join(SETUP))?)?)
}

fn open(dir: &Path, setup: &Setup) -> io::Result<(UnixListener, File)> {
    // The agent has removed what an earlier parent left; another one that listens here is not to be shut out.
    let listener = UnixListener::bind(dir.join(SOCKET))?;
    fs::create_dir_all(&setup.log_dir)?;
    Ok((listener, File::open(&setup.log_dir)?))
}

/// Serves an agent in a thread of its own. One that cannot be started yet, in a Pod at its process limit, is tried again: an
/// agent that finds its connection closed takes the Pod for lost.
fn serve_apart(agent: UnixStream, number: u64, children: &Children) {
    let agent = Arc::new(agent);
    loop {
        let (agent, children) = (agent.clone(), children.clone());
        if std::thread::Builder::new().spawn(move || serve(&agent, number, &children)).is_ok() {
            return;
        }
        std::thread::sleep(AGAIN);
    }
}

/// Does what an agent asks for until it goes. Connections are numbered as they came.
fn serve(agent: &UnixStream, number: u64, children: &Children) {
    let _ = agent.set_write_timeout(Some(WRITE_TIMEOUT));
    for line in BufReader::new(agent).lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(Request::Hello) => {
                let Ok(agent) = agent.try_clone() else { return };
                children.hello(number, agent);
            }
            Ok(Request::Start { container, attempt, process }) => {
                children.start_container(container, attempt, &process)
            }
            Ok(Request::Run { id, process }) => children.run(id, &process),
            Ok(Request::Abandon { id }) => children.abandon(id),
            Ok(Request::Signal { container, signal, session }) => children.signal(&container, signal, session),
            Ok(Request::End) => detached::exit_at_once(),
            Err(error) => eprintln!("a request was not understood: {error}: {line}"),
        }
    }
}

/// Tells an agent; false if it is gone.
fn tell(mut agent: &UnixStream, report: &Report) -> bool {
    let mut line = serde_json::to_vec(report).expect("reports are plain data");
    line.push(b'\n');
    agent.write_all(&line).is_ok()
}
