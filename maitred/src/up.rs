//! `maitred up`: one machine, one command. The control plane and a node in one process; between them the API is a
//! function call.

use std::net::IpAddr;
use std::path::Path;

use anyhow::bail;
use apiserver::Identity;
use preflight::Verdict;
use serde_json::json;

use crate::{check, cleanup, cli, node, server, status};

pub(crate) fn run(options: cli::Up) -> anyhow::Result<()> {
    check_lease(options.node.lease_period, options.server.node_monitor_grace_period)?;
    let ranges = [options.server.service_cluster_ip_range.clone(), options.server.cluster_cidr.clone()].concat();
    let settings =
        node::Settings::new(&options.node, &options.server.run_dir, &options.server.cluster_domain, &ranges)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut started = false;
    let ended = runtime.block_on(serve(&options, &settings, &mut started));
    // Nothing of it runs any more, whatever has ended it.
    drop(runtime);
    if !options.cleanup || !started {
        return ended;
    }
    // Pods that this one was not to run are not its own to end.
    let pods = !ended.as_ref().is_err_and(are_others_pods);
    let cleaned = cleanup::run(&cleanup::Options { pods, ..cleanup::Options::everything(&options.server.run_dir) });
    ended.and(cleaned)
}

fn are_others_pods(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(agent::AgentError::OthersPods { .. }))
}

/// Refuses a node that would count as lost between any two renewals of its Lease, both in seconds.
fn check_lease(period: u32, grace: u32) -> anyhow::Result<()> {
    anyhow::ensure!(
        period < grace,
        "--lease-period {period} is not shorter than --node-monitor-grace-period {grace}: the node would count as lost before \
         each renewal; give a fifth of it, as by default"
    );
    Ok(())
}

/// Refuses a machine on which this would not work, or would break what works.
fn check(options: &cli::Up) -> anyhow::Result<()> {
    let mut wanted = check::wanted(&options.server, &options.node);
    wanted.tolerated.extend(options.tolerate.iter().cloned());
    let findings = preflight::check(&wanted);
    if preflight::passes(&findings) {
        return Ok(());
    }
    let in_the_way: Vec<_> = findings.into_iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
    eprint!("{}", preflight::text(&in_the_way));
    bail!("this machine is not ready; --tolerate CHECK starts all the same, `maitred check` tells everything")
}

/// Sets `started` as soon as there may be something to clean up.
async fn serve(options: &cli::Up, settings: &node::Settings, started: &mut bool) -> anyhow::Result<()> {
    let mut stop = std::pin::pin!(crate::stop_signal());
    let socket = status::hold(&options.server.run_dir, "up")?;
    check(options)?;
    let mut server = tokio::select! {
        // First, because it may have come during the checks.
        biased;
        () = &mut stop => return Ok(()),
        server = server::start(&options.server) => server?,
    };
    let cluster = |component: &str| cluster::in_process(server.api.client(Identity::component(component)));
    *started = true;
    let result = match node::start(settings, cluster, &mut stop).await {
        Ok(Some(node)) => run_node(node, &mut server, settings, &socket, stop).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let stopped = server.stop().await;
    result.and(stopped)
}

/// Waits for the end of the node, of the server, or of everything.
async fn run_node(
    mut node: node::Node,
    server: &mut server::Running,
    settings: &node::Settings,
    socket: &status::Socket,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (url, status) = (server.url.clone(), node.status());
    socket.tell(move || {
        let mut said = status();
        said["server"] = json!({ "url": url });
        said
    });
    let result = tokio::select! {
        result = wait(server, &mut node, settings) => result,
        () = stop => Ok(()),
    };
    node.stop().await;
    result
}

/// Says how to go on once everything is ready, and waits for what must not happen.
async fn wait(server: &mut server::Running, node: &mut node::Node, settings: &node::Settings) -> anyhow::Result<()> {
    let ready = node.ready();
    tokio::select! {
        () = ready => {}
        error = node.failed() => return Err(error),
        ended = server.ended() => return ended,
    }
    eprintln!("{}", greeting(settings.name(), settings.domain(), &server.kubeconfig, node.name_server()));
    tokio::select! {
        error = node.failed() => Err(error),
        ended = server.ended() => ended,
    }
}

/// What a person needs next.
fn greeting(node: &str, domain: &str, kubeconfig: &Path, name_server: Option<IpAddr>) -> String {
    let mut text = format!("maitred: node {node} is ready\n\n  export KUBECONFIG={}\n", kubeconfig.display());
    if let Some(name_server) = name_server {
        let how = match Path::new("/run/systemd/resolve").exists() {
            true => by_resolved(name_server, domain),
            false => by_file(name_server),
        };
        text += &format!("  {how}   # this host resolves the names of Services\n");
    }
    text
}

fn by_resolved(name_server: IpAddr, domain: &str) -> String {
    let file = "/etc/systemd/resolved.conf.d/maitred.conf";
    format!(
        "printf '[Resolve]\\nDNS={name_server}\\nDomains=~{domain}\\n' | install -D -m 644 /dev/stdin {file} && \
         systemctl reload-or-restart systemd-resolved"
    )
}

fn by_file(name_server: IpAddr) -> String {
    // Written in place: the file is a mount in many containers, which cannot be replaced.
    format!("printf 'nameserver {name_server}\\n%s\\n' \"$(cat /etc/resolv.conf)\" > /etc/resolv.conf")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_line_for_systemd_resolved_writes_its_file_in_any_shell() {
        let dir = tempfile::tempdir().expect("a directory");
        let line = by_resolved("10.96.0.10".parse().expect("an address"), "cluster.local");
        let line = line.replace("/etc/systemd", &dir.path().to_string_lossy()).replace("systemctl", ": systemctl");
        assert!(Command::new("sh").args(["-c", &line]).status().expect("a shell").success(), "{line}");
        let text = std::fs::read_to_string(dir.path().join("resolved.conf.d/maitred.conf")).expect("the file");
        assert_eq!(text, "[Resolve]\nDNS=10.96.0.10\nDomains=~cluster.local\n");
    }
}
