//! What can go wrong while namespaces, links and programs of a lab are made.

use std::io;
use std::time::Duration;

use kernel::links::LinkError;
use kernel::netns::NamespaceError;

/// What can go wrong in a lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A namespace or a program could not be made.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A link, address or route could not be configured.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// A link exists but packets don't flow.
    #[error("link {link} of {host} is not ready after {waited:?}")]
    NotReady {
        /// Whose link.
        host: String,
        /// Its name.
        link: String,
        /// How long it was given.
        waited: Duration,
    },
    /// A test server or client could not get its socket.
    #[error("cannot open a socket on {host}")]
    Socket {
        /// Where.
        host: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file for a program's output could not be made or read.
    #[error("cannot keep the output of {program}")]
    Output {
        /// Whose output.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program didn't do in time what was waited for.
    #[error("{program} {missing} within {waited:?}; its output:\n{output}")]
    Late {
        /// Which one.
        program: String,
        /// What it has not done, e.g. `did not end`.
        missing: String,
        /// How long it was given.
        waited: Duration,
        /// What it has written so far.
        output: String,
    },
    /// Two Pods of one name.
    #[error("there is a Pod named {name} already")]
    PodExists {
        /// The name.
        name: String,
    },
}
