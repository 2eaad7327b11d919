//! `maitred agent`: a node of a cluster whose control plane runs elsewhere.

use std::path::Path;

use crate::{cli, node, status};

pub(crate) fn run(options: cli::Agent) -> anyhow::Result<()> {
    let settings = node::Settings::new(&options.node, &options.run_dir, &options.cluster_domain, &options.ranges)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut stop = std::pin::pin!(crate::stop_signal());
        let socket = status::hold(&options.run_dir, "agent")?;
        let cluster = cluster::kubeconfig(&options.kubeconfig).await?;
        let Some(mut node) = node::start(&settings, |_| cluster.clone(), &mut stop).await? else { return Ok(()) };
        socket.tell(node.status());
        eprintln!("maitred: node {} runs", settings.name());
        let ended = tokio::select! {
            () = &mut stop => Ok(()),
            error = node.failed() => Err(error),
        };
        node.stop().await;
        ended
    })
}

/// The body of the hidden `pod-parent`.
pub(crate) fn pod_parent(dir: &Path) -> anyhow::Result<()> {
    match ::agent::pod_parent(dir)? {}
}
