//! The workshop's own rules.

mod cited;
mod layers;
mod product;
mod purity;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the binary's crate lies in the workspace").to_owned()
}
