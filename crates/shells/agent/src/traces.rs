//! What an agent and its Pods leave on a machine, and how it is known as theirs: for `maitred check` and `maitred cleanup`.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::network::{POD_LINK, POD_LINK_DIGITS, link_name};
use crate::parent::libc_signal;
use crate::parent::protocol::{Request, SOCKET};

/// How long a Pod's parent may take to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a link of this name is the node's end of a Pod's link.
pub fn is_pod_link(name: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.strip_prefix(POD_LINK).is_some_and(|digits| digits.len() == POD_LINK_DIGITS && digits.bytes().all(is_digit))
}

/// A Pod's directory, and whether the Pod still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTrace {
    /// The Pod's uid.
    pub uid: String,
    /// Where its state lies.
    pub dir: PathBuf,
    /// Its parent process, if that lives: its number, where it can be seen from here.
    pub parent: Option<PodParent>,
}

/// A Pod's parent process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodParent {
    /// Its number; 0 if it cannot be seen from here.
    pub pid: u32,
}

/// The Pods of an agent with this run directory, by uid; none if there is no directory.
pub fn pods(run_dir: &Path) -> io::Result<Vec<PodTrace>> {
    let entries = match std::fs::read_dir(run_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut pods = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (Ok(uid), dir) = (entry.file_name().into_string(), entry.path()) else { continue };
        if entry.file_type()?.is_dir() {
            pods.push(PodTrace { uid, parent: parent(&dir)?, dir });
        }
    }
    pods.sort_by(|a, b| a.uid.cmp(&b.uid));
    Ok(pods)
}

/// The parent that listens in a Pod's directory.
fn parent(dir: &Path) -> io::Result<Option<PodParent>> {
    match UnixStream::connect(dir.join(SOCKET)) {
        Ok(stream) => Ok(Some(PodParent { pid: kernel::peer::of(&stream)?.pid })),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

impl PodTrace {
    /// The name of the node's end of the Pod's link.
    pub fn link(&self) -> String {
        link_name(&self.uid)
    }

    /// Kills all that runs in the Pod, and forgets its state. Its output stays.
    pub fn remove(&self) -> io::Result<()> {
        if let Some(parent) = self.parent {
            self.end(parent)?;
        }
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Has the parent end, and kills it if it does not do so itself.
    fn end(&self, parent: PodParent) -> io::Result<()> {
        let mut stream = UnixStream::connect(self.dir.join(SOCKET))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(&Request::End)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        match await_end(&mut stream) {
            Err(error) if is_late(&error) && parent.pid != 0 => {
                kernel::process::signal(parent.pid, libc_signal::KILL)?;
                await_end(&mut stream)
            }
            other => other,
        }
    }
}

/// The connection ends with the parent, which says nothing to whom it has not heard.
fn await_end(stream: &mut UnixStream) -> io::Result<()> {
    match stream.read_to_end(&mut Vec::new()) {
        // It ended before it had read everything.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        other => other.map(drop),
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_links_are_known_by_their_names_and_nothing_else_is() {
        assert!(is_pod_link(&link_name("1f0c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b")));
        for other in ["mt0", "mtu-test", "mt1f0c2a345b6", "mt1f0c2a345b6d4", "mt1f0c2a345b6g", "eth0", "lo", ""] {
            assert!(!is_pod_link(other), "{other}");
        }
    }

    #[test]
    fn a_pod_whose_parent_is_dead_is_listed_without_one_and_can_be_removed() {
        let dir = std::env::temp_dir().join(format!("mt-{}-traces", std::process::id()));
        std::fs::create_dir_all(dir.join("uid-1")).expect("a directory");
        std::fs::write(dir.join("uid-1/state.json"), "{}").expect("a file");
        drop(std::os::unix::net::UnixListener::bind(dir.join("uid-1").join(SOCKET)).expect("a socket"));
        let found = pods(&dir).expect("a list");
        assert_eq!(found, [PodTrace { uid: "uid-1".to_owned(), dir: dir.join("uid-1"), parent: None }]);
        found[0].remove().expect("it is there");
        found[0].remove().expect("twice is as once");
        assert_eq!(pods(&dir).expect("a list"), []);
        std::fs::remove_dir(&dir).expect("it is empty");
        assert_eq!(pods(&dir).expect("no directory is no error"), []);
    }
}
