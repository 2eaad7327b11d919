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

    /// Removes everything.
    pub(super) fn remove(&self) {
        for dir in [&self.dir, &self.logs] {
            match std::fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, dir = %dir.display(), "a Pod's directory stays");
                }
                _ => {}
            }
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let new = self.dir.join(format!("{name}.new"));
        std::fs::write(&new, content)?;
        std::fs::rename(new, self.dir.join(name))
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

/// The directories of all Pods, by uid.
pub(super) fn all(config: &Config) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(&config.run_dir).into_iter().flatten().flatten();
    let pods = entries.filter(|entry| entry.path().join(STATE).exists());
    pods.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}
