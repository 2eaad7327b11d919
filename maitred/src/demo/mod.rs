//! `maitred demo`: real Services on a lab of network namespaces, shown and checked.

mod kubelet;
mod probe;
mod report;
mod rows;
mod scene;

use std::time::Instant;

use crate::cli;
use report::Report;
use scene::Scene;

/// What the demo is, in its first line.
const HEAD: &str = "maitred demo: 3 nodes in 2 zones and an outside client, each a network namespace of this machine.\n\
     A real API server, a real proxy and DNS server per node, real packets. The lab plays the kubelet: it runs a small\n\
     server in each Pod's namespace and reports readiness.";

pub(crate) fn run(options: &cli::Demo) -> anyhow::Result<bool> {
    kernel::process::can_make_namespaces()?;
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

/// Leaves everything up until Ctrl-C.
fn keep(scene: &Scene) {
    eprintln!("\nthe lab stays up until Ctrl-C; in it:");
    eprintln!("  nsenter --net={}", scene.lab.control().namespace().path().display());
    eprintln!("  export KUBECONFIG={}", scene.kubeconfig().display());
    for node in scene.lab.nodes() {
        eprintln!("  nsenter --net={}   # {}", node.namespace().path().display(), node.name());
    }
    for name in scene.pod_names() {
        if let Some(pod) = scene.lab.pod(&name) {
            eprintln!("  nsenter --net={}   # Pod {name}", pod.namespace().path().display());
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(crate::stop_signal());
}
