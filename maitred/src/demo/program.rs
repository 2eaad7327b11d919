//! This program where a Pod may execute it: Pods run as an unprivileged user, who may not enter every directory.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

/// The word that stands for this program in the examples.
const NAME: &str = "maitred";

/// A path of this program that everybody reaches.
pub(super) struct Reachable(PathBuf);

impl Reachable {
    /// The program itself where everybody may execute it, else a copy in `directory`, which is opened to everybody.
    pub(super) fn find(directory: &Path) -> anyhow::Result<Reachable> {
        let own = std::env::current_exe().context("find this program's own file")?;
        if own.ancestors().all(|path| permits_everybody(path, 0o001)) && permits_everybody(&own, 0o004) {
            return Ok(Reachable(own));
        }
        let copy = directory.join(NAME);
        std::fs::copy(&own, &copy).context("copy this program to where Pods may execute it")?;
        for path in [directory, &copy] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).context("open it to Pods")?;
        }
        Ok(Reachable(copy))
    }

    /// Writes the path into the commands of a Pod.
    pub(super) fn put_into(&self, object: &mut Value) {
        for container in object["spec"]["containers"].as_array_mut().into_iter().flatten() {
            if container["command"][0] == NAME {
                container["command"][0] = self.0.to_string_lossy().into();
            }
        }
    }
}

fn permits_everybody(path: &Path, bits: u32) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bits == bits)
}
