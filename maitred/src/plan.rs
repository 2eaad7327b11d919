//! `maitred plan`: what `maitred proxy` would change on this node if it ran now.

use std::process::ExitCode;

use crate::cli;

/// The exit code where something would be changed.
const CHANGES: u8 = 2;

pub(crate) fn run(options: &cli::Plan) -> anyhow::Result<ExitCode> {
    let config = crate::proxy::config(&options.node)?;
    let mut dataplane = proxy::Nftables::open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let forecast = runtime.block_on(async {
        let cluster = cluster::kubeconfig(&options.node.kubeconfig).await?;
        anyhow::Ok(proxy::forecast(&cluster, config, &mut dataplane).await?)
    })?;
    for problem in forecast.problems.iter().map(ToString::to_string).chain(forecast.unserved()) {
        eprintln!("maitred: {problem}");
    }
    if forecast.is_empty() {
        crate::out::print(&format!("{forecast}nothing would change\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    crate::out::print(&format!("{forecast}{} steps would be carried out\n", forecast.steps()))?;
    Ok(ExitCode::from(CHANGES))
}
