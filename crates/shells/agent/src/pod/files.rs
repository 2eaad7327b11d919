//! A Pod's directory: what outlives the agent.
//!
//! ```text
//!   RUN_DIR/UID/state.json    how far the Pod is; written before anything is done about it
//!           UID/setup.json    for the parent process
//!           UID/socket        the parent process
//!   LOG_DIR/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log
//! ```

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use pods::{PodPlan, PodState};

use crate::Config;
use crate::parent::protocol::{SETUP, Setup};

const STATE: &str = "state.json";

/// The place of one Pod.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) logs: PathBuf,
}

impl Files {
    pub(super) fn of(config: &Config, plan: &PodPlan) -> Files {
        let logs = config.log_dir.join(format!("{}_{}_{}", plan.namespace, plan.name, plan.uid));
        Files { dir: config.run_dir.join(&plan.uid), logs }
    }

    /// Keeps the state, whole or not at all.
    pub(super) fn keep(&self, state: &PodState) -> io::Result<()> {
        self.write(STATE, &serde_json::to_vec(state)?)
    }

    /// Leaves word for the parent process.
    pub(super) fn keep_setup(&self, setup: &Setup) -> io::Result<()> {
        self.write(SETUP, &serde_json::to_vec(setup)?)
    }

    /// Removes everything. What cannot be removed stays with the Pod's directory, by which the next agent finds it.
    pub(super) fn remove(&self) {
        if let Err(error) = remove_all(&self.logs).and_then(|()| self.remove_dir()) {
            let (dir, logs) = (self.dir.display(), self.logs.display());
            tracing::warn!(%error, %dir, %logs, "files of a Pod stay until an agent is started anew");
        }
    }

    /// Removes the Pod's directory, the state last: an agent that dies here leaves one that says how far the Pod is.
    fn remove_dir(&self) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name() != STATE {
                std::fs::remove_file(entry.path())?;
            }
        }
        remove_all(&self.dir)
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let new = self.dir.join(format!("{name}.new"));
        std::fs::write(&new, content)?;
        std::fs::rename(new, self.dir.join(name))
    }
}

/// Removes a directory; that it is absent is no error.
fn remove_all(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The state in a Pod's directory. One that cannot be read is as none, and told of.
pub(super) fn read_state(dir: &Path) -> Option<PodState> {
    let read = std::fs::read(dir.join(STATE)).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    match read {
        Ok(state) => Some(state),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::error!(%error, dir = %dir.display(), "the state of a Pod cannot be read; it is started anew");
            None
        }
    }
}

/// Where the output of a Pod lies of which only the uid is known.
pub(super) fn logs_of(config: &Config, uid: &str) -> Option<PathBuf> {
    let ending = format!("_{uid}");
    let entries = std::fs::read_dir(&config.log_dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with(&ending))
}

/// The directories of all Pods, by uid: those without a state too, since an agent may have died while it removed one.
pub(super) fn all(config: &Config) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(&config.run_dir).into_iter().flatten().flatten();
    let is_dir = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    // The logs may lie there as well.
    let pods = entries.filter(|entry| is_dir(entry) && entry.path() != config.log_dir);
    pods.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParentCommand;

    fn config(dir: &Path) -> Config {
        let parent = ParentCommand { program: "/bin/false".into(), arguments: Vec::new(), env: Vec::new() };
        let mut config = Config::new("n", Vec::new(), dir.join("run"), parent);
        config.log_dir = dir.join("logs");
        config
    }

    /// A Pod's files, of which some other agent may have removed a part.
    fn pod(config: &Config) -> Files {
        let files = Files { dir: config.run_dir.join("uid-1"), logs: config.log_dir.join("ns_pod_uid-1") };
        for dir in [&files.dir, &files.logs.join("main")] {
            std::fs::create_dir_all(dir).expect("a directory");
        }
        for name in [STATE, SETUP, "parent.log"] {
            std::fs::write(files.dir.join(name), "{}").expect("a file");
        }
        files
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a directory").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_pods_files_are_removed_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let files = pod(&config);
        files.remove();
        files.remove();
        assert_eq!((names(&config.run_dir), names(&config.log_dir)), (vec![], vec![]));
    }

    #[test]
    fn logs_that_cannot_be_removed_are_found_by_the_next_agent() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let files = pod(&config);
        std::fs::remove_dir_all(&files.logs).expect("it is there");
        // Not a directory: no user can remove it as one.
        std::fs::write(&files.logs, "").expect("a file");
        files.remove();
        assert_eq!(all(&config), [("uid-1".to_owned(), files.dir)]);
    }

    #[test]
    fn the_state_goes_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let files = pod(&config);
        // It stands for a file that cannot be removed.
        std::fs::create_dir(files.dir.join("stuck")).expect("a directory");
        files.remove();
        assert!(files.dir.join(STATE).exists());
        assert_eq!(names(&config.log_dir), [""; 0]);
    }

    #[test]
    fn an_empty_directory_of_a_pod_is_found_by_the_next_agent() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let files = pod(&config);
        files.remove();
        std::fs::create_dir(&files.dir).expect("a directory");
        std::fs::write(config.run_dir.join("lock"), "").expect("a file");
        let config = Config { log_dir: config.run_dir.join("logs"), ..config };
        std::fs::create_dir(&config.log_dir).expect("a directory");
        assert_eq!(all(&config), [("uid-1".to_owned(), files.dir)]);
    }
}
