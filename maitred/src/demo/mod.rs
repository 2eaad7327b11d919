//! `maitred demo`: real Services on a lab of network namespaces, shown and checked.

mod ending;
mod pods;
mod probe;
mod program;
mod report;
mod rows;
mod scene;

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;

use crate::cli;
use report::Report;
use scene::Scene;

/// What the demo is, in its first line.
const HEAD: &str = "maitred demo: 3 nodes in 2 zones and an outside client, each a network namespace of this machine.\n\
     A real API server; on each node a real agent with its Pods, its Service rules and its DNS server; real packets.";

/// Set in a demo that runs inside user namespaces already.
const INSIDE: &str = "MAITRED_DEMO_INSIDE";

/// Plays the demo; says whether every check held.
pub(crate) fn run(options: &cli::Demo) -> anyhow::Result<bool> {
    if let Err(reason) = kernel::process::can_make_namespaces() {
        anyhow::ensure!(std::env::var_os(INSIDE).is_none(), reason);
        return run_inside().context(reason);
    }
    let begun = Instant::now();
    let mut report = Report::new(options.output == cli::Output::Json, HEAD);
    let mut scene = Scene::start()?;
    report.progress("the lab stands");
    rows::all(&mut scene, &mut report);
    if options.keep {
        keep(&scene);
    }
    Ok(report.finish(begun.elapsed()))
}

/// Plays the demo as root of new user, network, mount and PID namespaces, for an ordinary user.
fn run_inside() -> anyhow::Result<bool> {
    let mut command = Command::new("/proc/self/exe");
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    let ended = kernel::process::unprivileged(command)?.wait()?;
    Ok(ended.success())
}

/// Leaves everything up until Ctrl-C.
fn keep(scene: &Scene) {
    eprintln!("\nthe lab stays up until Ctrl-C; in it:");
    eprintln!("  nsenter --net={}", scene.lab.control().namespace().path().display());
    eprintln!("  export KUBECONFIG={}", scene.kubeconfig().display());
    for node in scene.lab.nodes() {
        eprintln!("  nsenter --net={}   # {}", node.namespace().path().display(), node.name());
    }
    for name in scene.pod_names().unwrap_or_default() {
        if let Ok(pid) = scene.pod_parent(&name) {
            eprintln!("  nsenter --target={pid} --net --uts --mount --pid   # Pod {name}");
        }
    }
    loop {
        std::thread::park();
    }
}
