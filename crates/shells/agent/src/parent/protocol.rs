//! What an agent and a Pod's parent process say to each other: JSON, one message a line, over a Unix socket.
//!
//! A parent may be older than the agent that adopts it: fields are only ever added, with defaults.

use jiff::Timestamp;
use pods::Exit;
use serde::{Deserialize, Serialize};

/// Name of the socket in the Pod's directory.
pub(crate) const SOCKET: &str = "socket";
/// Name of the file that holds a [`Setup`].
pub(crate) const SETUP: &str = "setup.json";
/// Name of the file that holds what the parent itself has to complain about.
pub(crate) const COMPLAINTS: &str = "parent.log";

/// What a parent prepares before it starts anything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Setup {
    /// The host name, where the Pod has its own.
    pub(crate) hostname: Option<String>,
    /// `/etc/resolv.conf`.
    pub(crate) resolv_conf: Option<String>,
    /// `/etc/hosts`.
    pub(crate) hosts: Option<String>,
    /// Where the containers' output is kept.
    pub(crate) log_dir: String,
}

/// From the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// I am your agent from now on; answered by [`Report::Hello`].
    Hello,
    /// Start a container; answered by [`Report::Started`] or [`Report::Exited`].
    Start { container: String, attempt: u32, process: Process },
    /// Run a program beside the containers; answered by [`Report::Ran`].
    Run { id: u64, process: Process },
    /// Kill a program that was started by `Run`.
    Abandon { id: u64 },
    /// Send a signal to a container's first process, or to its whole session.
    Signal { container: String, signal: i32, session: bool },
    /// End, and with you all that runs.
    End,
}

/// To the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// What there is.
    Hello { containers: Vec<Known> },
    /// A container runs.
    Started { container: String },
    /// A container has ended, or could not be started.
    Exited { container: String, attempt: u32, exit: Exit },
    /// A program started by `Run` has ended.
    Ran { id: u64, exit: Exit },
}

/// The newest attempt of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) container: String,
    pub(crate) attempt: u32,
    /// Its number in the Pod's PID namespace.
    pub(crate) pid: u32,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<(Timestamp, Exit)>,
}

/// A process to be started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Process {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Where it starts.
    pub(crate) dir: String,
    /// User and group; the parent's own otherwise.
    pub(crate) ids: Option<(u32, u32)>,
    /// Whether set-user-ID files may raise its privileges.
    pub(crate) new_privileges: bool,
    /// Whether it loses what it may do beside an ordinary user: where it has the agent's own user, which may do everything in
    /// the user namespace of both.
    pub(crate) drop_capabilities: bool,
}
