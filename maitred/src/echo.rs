//! `maitred echo-server`: says who it is and whom it sees; for the demo's Pods, and for trying Services.

use anyhow::Context as _;

use crate::cli;

pub(crate) fn run(options: cli::EchoServer) -> anyhow::Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = options.name.unwrap_or_else(|| host.trim().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            ended = lab::echo(options.port, &name) => {
                ended.with_context(|| format!("cannot serve port {}: choose another by --port", options.port))
            }
            () = crate::stop_signal() => Ok(()),
        }
    })
}
