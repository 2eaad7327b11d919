//! kube-proxy's layout, loaded by `nft -f` where that is installed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kernel::netns::Namespace;

use super::kube_proxy;
use crate::machine::installed;
use crate::objects::Pair;

/// Whether there is an `nft` to load it.
pub(super) fn is_installed() -> bool {
    installed("nft").is_some()
}

/// Loads the layout for these Services into a namespace; says how long that took, or none without `nft`.
pub(super) fn load_into(namespace: &Namespace, pairs: &[Pair]) -> anyhow::Result<Option<Duration>> {
    let Some(nft) = installed("nft") else { return Ok(None) };
    let text = kube_proxy::layout(pairs);
    let mut command = Command::new(nft);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = namespace.spawn(command)?;
    let mut input = child.stdin.take().context("nft's standard input is a pipe")?;
    input.write_all(text.as_bytes()).context("write to nft")?;
    drop(input);
    let ended = child.wait_with_output().context("wait for nft")?;
    let taken = started.elapsed();
    anyhow::ensure!(
        ended.status.success(),
        "nft refuses kube-proxy's layout: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(Some(taken))
}
