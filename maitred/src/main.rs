//! The command line and the wiring, nothing else.

mod addresses;
mod agent;
mod check;
mod cleanup;
mod cli;
mod demo;
mod dns;
mod echo;
mod names;
mod node;
mod out;
mod plan;
mod proxy;
mod server;
mod status;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log(cli.verbose);
    // The one TLS provider of the process; installing it twice is the only way for this to fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match cli.command {
        cli::Command::Up(options) => up::run(options),
        cli::Command::Server(options) => server::run(options),
        cli::Command::Proxy(options) => proxy::run(options),
        cli::Command::Plan(options) => match plan::run(&options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        cli::Command::Dns(options) => dns::run(options),
        cli::Command::Agent(options) => agent::run(options),
        cli::Command::Status(options) => status::run(&options),
        cli::Command::EchoServer(options) => echo::run(options),
        cli::Command::PodParent { dir } => agent::pod_parent(&dir),
        cli::Command::Check(options) => match check::run(&options) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        cli::Command::Cleanup(options) => cleanup::run(&options),
        cli::Command::Demo(options) => match demo::run(&options) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maitred: {}", runloop::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Logs go to standard error; `RUST_LOG` overrides the level.
fn log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    // Libraries speak of every request; that is for RUST_LOG. What fails is told by whoever asked for it.
    let quiet =
        ["h2=warn", "hyper=warn", "hyper_util=warn", "kube=warn", "kube_client=off", "rustls=warn", "tower=warn"];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("{level},{}", quiet.join(","))));
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let writer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    writer.with_ansi(is_terminal).with_target(false).init();
}

/// Resolves on Ctrl-C or SIGTERM. Both are heard from the moment on when this returns.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = |kind| signal(kind).expect("a runtime with I/O can listen for signals");
    let (mut interrupt, mut terminate) = (heard(SignalKind::interrupt()), heard(SignalKind::terminate()));
    async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
