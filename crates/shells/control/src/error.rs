//! What can go wrong at a control socket.

use std::io;
use std::path::PathBuf;

/// Why a control socket can't be held, or a question gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The directory of the sockets cannot be used.
    #[error("cannot use the directory {} for control sockets", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A living process holds the socket.
    #[error("another maitred {name} runs here{}: it holds {}", pid_text(*pid), path.display())]
    Taken {
        /// Its role.
        name: String,
        /// Its number, where it can be seen from here.
        pid: Option<u32>,
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on the control socket {}", path.display())]
    Listen {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A living process writes the rules of this network namespace.
    #[error("another maitred{} keeps the Service rules of this machine: stop it first", pid_text(*pid))]
    Programmed {
        /// Its number, where it can be seen from here.
        pid: Option<u32>,
    },
    /// It cannot be told whether there is such a process.
    #[error("cannot tell whether another maitred keeps the Service rules of this machine")]
    Programmer(#[source] io::Error),
    /// Nobody holds the socket.
    #[error("no maitred {name} runs here: nobody holds {}", path.display())]
    NotRunning {
        /// The role.
        name: String,
        /// The socket.
        path: PathBuf,
    },
    /// The process cannot be asked, or says nothing.
    #[error("cannot ask maitred {name} at {}", path.display())]
    Exchange {
        /// Its role.
        name: String,
        /// The socket.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// What it says is no JSON.
    #[error("the answer of maitred {name} is not understood")]
    Answer {
        /// Its role.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It says no.
    #[error("maitred {name} says: {reason}")]
    Refused {
        /// Its role.
        name: String,
        /// Why.
        reason: String,
    },
}

/// A process number in parentheses, where there is one.
fn pid_text(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
