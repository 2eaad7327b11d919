//! Whose Pods lie in a run directory: one agent's at a time, and always of the same node of the same cluster.
//!
//! An agent ends every Pod that its API does not have. Beside another agent, or with the kubeconfig of another cluster, that
//! would be the other's Pods.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{AgentError, pods};

const LOCK: &str = "lock";
const OWNER: &str = "owner.json";
/// How long a predecessor may take to be gone: what it was about to start holds its lock until that has begun.
const PATIENCE: Duration = Duration::from_secs(1);

/// The files that say whose a run directory is; they mean nothing where there are no Pods and no agent.
pub fn claim_files(run_dir: &Path) -> [PathBuf; 2] {
    [LOCK, OWNER].map(|name| run_dir.join(name))
}

/// A run directory that no other agent uses as long as this is there.
#[derive(Debug)]
pub(crate) struct Claim {
    dir: PathBuf,
    _lock: File,
}

/// Who runs Pods there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The Node's name.
    pub(crate) node: String,
    /// The cluster: the uid of its namespace `kube-system`.
    pub(crate) cluster: String,
}

impl Claim {
    /// Takes a directory; waits for a second at most.
    pub(crate) fn take(dir: &Path) -> Result<Claim, AgentError> {
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(|source| AgentError::Directory { path: path.clone(), source })?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Claim { dir: dir.to_owned(), _lock: lock }),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(fs::TryLockError::WouldBlock) => return Err(AgentError::Taken { dir: dir.to_owned() }),
                Err(fs::TryLockError::Error(source)) => return Err(AgentError::Directory { path, source }),
            }
        }
    }

    /// Makes sure that the Pods in it are this owner's. Where there are none, it is this owner's from now on.
    pub(crate) fn check(&self, owner: &Owner) -> Result<(), AgentError> {
        let path = self.dir.join(OWNER);
        let before = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Owner>(&bytes).ok());
        if let Some(before) = before.filter(|before| before != owner)
            && pods(&self.dir).is_ok_and(|pods| !pods.is_empty())
        {
            return Err(AgentError::OthersPods { dir: self.dir.clone(), node: before.node });
        }
        let written = fs::write(&path, serde_json::to_vec(owner).expect("names are plain data"));
        written.map_err(|source| AgentError::Directory { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(node: &str, cluster: &str) -> Owner {
        Owner { node: node.to_owned(), cluster: cluster.to_owned() }
    }

    #[test]
    fn two_agents_cannot_have_one_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Claim::take(dir.path()).expect("it is free");
        assert!(matches!(Claim::take(dir.path()), Err(AgentError::Taken { .. })));
        drop(first);
        Claim::take(dir.path()).expect("it is free again");
    }

    #[test]
    fn pods_of_another_node_or_cluster_are_nobodys_to_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let claim = Claim::take(dir.path()).expect("it is free");
        claim.check(&owner("n1", "c1")).expect("there are no Pods");
        claim.check(&owner("n2", "c1")).expect("there are still none");
        fs::create_dir(dir.path().join("uid-1")).expect("a Pod's directory");
        claim.check(&owner("n2", "c1")).expect("its own");
        for other in [owner("n1", "c1"), owner("n2", "c2")] {
            let refused = claim.check(&other).expect_err("another's Pods").to_string();
            assert!(refused.contains("node n2") && refused.contains("maitred cleanup --pods"), "{refused}");
        }
    }
}
