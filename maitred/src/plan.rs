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
    print!("{forecast}");
    if forecast.is_empty() {
        println!("nothing would change");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} steps would be carried out", forecast.steps());
    Ok(ExitCode::from(CHANGES))
}
