//! `maitred cleanup`: removes what maitred left on this machine, and nothing else.
//!
//! ```text
//!   look ──► Traces ──► one line each ──► remove       (--dry-run stops before the last)
//! ```
//!
//! What is ours is known by its name (tables, Pods' links), its mark (routes) or its place (the run directory). Data is never
//! touched, neither is Pods' output. Twice is as once.

mod trace;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use control::{ControlError, Found, Programmer};

use trace::look;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where control sockets and the Pods' state lie
    #[arg(long, value_name = "DIR", default_value = crate::cli::RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// End Pods that still run, and forget their state, too
    #[arg(long)]
    pub(crate) pods: bool,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do it though maitred runs here; it may put back what is removed
    #[arg(long)]
    pub(crate) force: bool,
}

impl Options {
    /// Everything that is maitred's, Pods included.
    pub(crate) fn everything(run_dir: &Path) -> Options {
        Options { run_dir: run_dir.to_owned(), pods: true, dry_run: false, force: false }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let _programmer = match options.force || options.dry_run {
        true => None,
        false => Some(alone(options)?),
    };
    let traces = look(&options.run_dir, options.pods)?;
    let mut failed = 0;
    for trace in &traces.ours {
        if options.dry_run {
            println!("would remove {trace}");
        } else if let Err(error) = trace.remove() {
            failed += 1;
            eprintln!("maitred: cannot remove {trace}: {error:#}");
        } else {
            println!("removed {trace}");
        }
    }
    if traces.ours.is_empty() {
        println!("nothing of maitred is here");
    }
    if traces.running_pods > 0 {
        let count = traces.running_pods;
        let (run, them) = if count == 1 { ("Pod runs", "it") } else { ("Pods run", "them") };
        println!("{count} {run} on; `maitred cleanup --pods` ends {them}");
    }
    match failed {
        0 => Ok(()),
        count => bail!("{count} of {} could not be removed", traces.ours.len()),
    }
}

/// A process that runs would put its rules back, or lose what it stands on, whatever its run directory is. Until this is
/// done none can start.
fn alone(options: &Options) -> anyhow::Result<Programmer> {
    let holders = control::holders(&options.run_dir)
        .with_context(|| format!("cannot see who runs by the control sockets in {}", options.run_dir.display()))?;
    if !holders.is_empty() {
        let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
        bail!("still running here: {}; stop it first, or say --force", names.join(", "));
    }
    match Programmer::claim() {
        Err(ControlError::Programmed { pid }) => {
            let found = Found { pid, may_program: true };
            bail!("still running here: {found}, by another --run-dir; stop it first, or say --force")
        }
        claimed => Ok(claimed?),
    }
}
