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
    let ranges = [options.server.service_cluster_ip_range.clone(), options.server.cluster_cidr.clone()].concat();
    let settings =
        node::Settings::new(&options.node, &options.server.run_dir, &options.server.cluster_domain, &ranges)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut started = false;
    let ended = runtime.block_on(serve(&options, &settings, &mut started));
    // Nothing of it runs any more, whatever has ended it.
    drop(runtime);
    if options.cleanup && started {
        cleanup::run(&cleanup::Options::everything(&options.server.run_dir))?;
    }
    ended
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
    let socket = status::hold(&options.server.run_dir, "up")?;
    check(options)?;
    let mut server = server::start(&options.server).await?;
    let cluster = |component: &str| cluster::in_process(server.api.client(Identity::component(component)));
    *started = true;
    let mut node = node::start(settings, cluster).await?;
    let (url, status) = (server.url.clone(), node.status());
    socket.tell(move || {
        let mut said = status();
        said["server"] = json!({ "url": url });
        said
    });
    let result = tokio::select! {
        result = wait(&mut server, &mut node, settings) => result,
        () = crate::stop_signal() => Ok(()),
    };
    node.stop().await;
    server.stop().await?;
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
        "install -D /dev/stdin {file} <<< $'[Resolve]\\nDNS={name_server}\\nDomains=~{domain}' && \
         systemctl reload-or-restart systemd-resolved"
    )
}

fn by_file(name_server: IpAddr) -> String {
    // Written in place: the file is a mount in many containers, which cannot be replaced.
    format!("printf 'nameserver {name_server}\\n%s\\n' \"$(cat /etc/resolv.conf)\" > /etc/resolv.conf")
}
