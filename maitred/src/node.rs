//! What runs on a node beside a control plane, in one process: the agent, the proxy and the DNS server.
//!
//! ```text
//!   API ──► proxy ──► the kernel's Service rules
//!    ▲  ──► DNS server ──serving──┐
//!    └───── agent ◄───────────────┘    Pods, routes, and the node's endpoint of `kube-dns`
//! ```

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::{DnsEndpoint, ParentCommand};
use anyhow::{Context as _, bail};
use api::Service;
use cluster::Cluster;
use ipnet::IpNet;
use proxy::{Detector, NodePortAddresses, Progress};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zone::ResolvConf;

use crate::cli;

/// How long a missing `kube-system/kube-dns` is waited for.
const DNS_SERVICE: Duration = Duration::from_secs(5);
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(200);
/// The pause before a DNS server that could not start is tried again.
const DNS_AGAIN: Duration = Duration::from_secs(2);
/// How long a node that ends waits for the API to take its DNS server out of the Service, and for the rules to follow.
const WITHDRAWAL: Duration = Duration::from_secs(2);
const RULES_FOLLOW: Duration = Duration::from_millis(300);

/// What a node is told, all defaults resolved.
pub(crate) struct Settings {
    name: String,
    addresses: Vec<IpAddr>,
    domain: String,
    /// Ranges of Services and Pods.
    ranges: Vec<IpNet>,
    run_dir: PathBuf,
    options: cli::NodeOptions,
}

impl Settings {
    /// Resolves what was not given: the host's name and addresses.
    pub(crate) fn new(
        options: &cli::NodeOptions,
        run_dir: &Path,
        domain: &str,
        ranges: &[IpNet],
    ) -> anyhow::Result<Settings> {
        let addresses =
            if options.node_ip.is_empty() { crate::addresses::machine_addresses() } else { options.node_ip.clone() };
        match addresses.as_slice() {
            [] => bail!(
                "this machine has no address but loopback, so Pods and other nodes could not reach it: give it one, or \
                 name one by --node-ip"
            ),
            [_] => {}
            [a, b] if a.is_ipv4() != b.is_ipv4() => {}
            _ => bail!("--node-ip: give one address, or one of each IP family"),
        }
        if let Some(loopback) = addresses.iter().find(|address| address.is_loopback()) {
            bail!("--node-ip: {loopback} is a loopback address, at which no Pod reaches this node");
        }
        let name = match &options.node_name {
            Some(name) => name.clone(),
            None => host_name(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())?,
        };
        Ok(Settings {
            name,
            addresses,
            domain: domain.to_owned(),
            ranges: ranges.to_vec(),
            run_dir: run_dir.to_owned(),
            options: options.clone(),
        })
    }

    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cluster's domain.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    fn dns(&self) -> anyhow::Result<dns::Config> {
        let zone = zone::Config::new(&self.domain).context("--cluster-domain")?;
        let mut zone = zone.with_ttl(5)?.with_reverse(self.ranges.clone());
        zone.local_addresses = self.addresses.clone();
        let listen: Vec<SocketAddr> =
            self.addresses.iter().map(|address| SocketAddr::new(*address, self.options.dns_port)).collect();
        let mut config = dns::Config::new(zone, listen.clone());
        // Programs of the node itself may ask for all names, too.
        config.recursion.extend(self.addresses.iter().copied().map(IpNet::from));
        config.recursion.extend(&self.options.allow_recursion);
        config.upstreams = match self.options.upstream.as_slice() {
            [] => self.host_upstreams(&listen),
            given => given.to_vec(),
        };
        Ok(config)
    }

    /// The host's name servers, but for the cluster's own DNS: the host may have been told to ask it.
    fn host_upstreams(&self, listen: &[SocketAddr]) -> Vec<SocketAddr> {
        let host = ResolvConf::parse(&agent::host_resolv_conf());
        let mut upstreams = dns::upstreams(&host, listen);
        upstreams.retain(|upstream| !self.ranges.iter().any(|range| range.contains(&upstream.ip())));
        upstreams
    }

    fn agent(&self, dns_addresses: Vec<IpAddr>, serving: watch::Receiver<bool>) -> anyhow::Result<agent::Config> {
        let program = std::env::current_exe().context("find this program's own file")?;
        let parent = ParentCommand { program, arguments: vec!["pod-parent".to_owned()], env: Vec::new() };
        let run_dir = self.run_dir.join("pods");
        let mut config = agent::Config::new(&self.name, self.addresses.clone(), run_dir, parent);
        config.log_dir = self.options.log_dir.clone();
        // A process of the host finds programs where the host's do.
        config.path = std::env::var("PATH").unwrap_or_default();
        config.labels = self.options.node_label.iter().cloned().collect();
        config.rights.root_pods = self.options.allow_root_pods;
        config.cluster_domain = self.domain.clone();
        config.dns_addresses = dns_addresses;
        config.dns = Some(DnsEndpoint { port: self.options.dns_port, serving });
        config.lease_period = Duration::from_secs(self.options.lease_period.into());
        Ok(config)
    }

    fn proxy(&self) -> proxy::Config {
        proxy::Config {
            node_name: self.name.clone(),
            detector: Detector::NodeCidr,
            masquerade_all: false,
            node_port_addresses: NodePortAddresses::Primary,
            service_proxy_name: None,
        }
    }
}

/// The host's name, as a node's.
fn host_name(text: &str) -> anyhow::Result<String> {
    let name = text.trim();
    if name.is_empty() || name == "(none)" {
        bail!("this machine has no host name: name the node by --node-name");
    }
    let named = crate::names::own_node_name(name).map_err(anyhow::Error::msg);
    named.context("the host's name cannot be the node's: name the node by --node-name")
}

/// A running node.
pub(crate) struct Node {
    parts: Parts,
    agent: agent::Running,
    addresses: Vec<IpAddr>,
    name_server: Option<IpAddr>,
}

/// What runs beside the agent, and what ends all of it.
struct Parts {
    stop: watch::Sender<bool>,
    withdraw_dns: watch::Sender<bool>,
    serving: watch::Receiver<bool>,
    progress: watch::Receiver<Progress>,
    proxy: std::thread::JoinHandle<()>,
    dns: JoinHandle<()>,
    _programmer: control::Programmer,
}

/// Starts everything, in the caller's network namespace. `cluster` gives each component a client of its own. Where `stop`
/// comes first, or the agent cannot start, nothing runs any more when this returns.
pub(crate) async fn start(
    settings: &Settings,
    cluster: impl Fn(&str) -> Cluster,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Option<Node>> {
    let parts = Parts::start(settings, &cluster)?;
    let own = cluster("agent");
    let started = tokio::select! {
        started = start_agent(settings, &own, &parts) => started.map(Some),
        () = stop => Ok(None),
    };
    match started {
        Ok(Some((agent, name_server))) => {
            Ok(Some(Node { parts, agent, addresses: settings.addresses.clone(), name_server }))
        }
        other => {
            parts.end().await;
            other.map(|_| None)
        }
    }
}

/// The agent, and the name server that its Pods ask.
async fn start_agent(
    settings: &Settings,
    cluster: &Cluster,
    parts: &Parts,
) -> anyhow::Result<(agent::Running, Option<IpAddr>)> {
    let dns_addresses = dns_addresses(cluster, &settings.options.cluster_dns).await;
    let name_server = dns_addresses.first().copied();
    let config = settings.agent(dns_addresses, parts.serving.clone())?;
    Ok((agent::start(config, cluster, parts.stop.subscribe())?, name_server))
}

impl Parts {
    fn start(settings: &Settings, cluster: &impl Fn(&str) -> Cluster) -> anyhow::Result<Parts> {
        let dns = settings.dns()?;
        let programmer = control::Programmer::claim()?;
        let (stop, stopped) = watch::channel(false);
        let dataplane = Box::new(proxy::Nftables::open()?);
        let (proxy, progress) = proxy::start(&cluster("proxy"), settings.proxy(), dataplane, stopped.clone())?;
        let (withdraw_dns, withdrawn) = watch::channel(false);
        let (serving_now, serving) = watch::channel(false);
        let dns = tokio::spawn(keep_dns(cluster("dns"), dns, serving_now, withdrawn, stopped));
        Ok(Parts { stop, withdraw_dns, serving, progress, proxy, dns, _programmer: programmer })
    }

    async fn end(self) {
        let _ = self.stop.send(true);
        let _ = tokio::task::spawn_blocking(|| self.proxy.join()).await;
        let _ = self.dns.await;
    }
}

impl Node {
    /// Resolves if a part of the node has ended that must not.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let mut progress = self.parts.progress.clone();
        tokio::select! {
            _ = progress.wait_for(|_| false) => {
                anyhow::anyhow!("the proxy's thread ended, which is a mistake in maitred; the log says more. The rules stay")
            }
            ended = &mut self.agent.task => match ended {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) => anyhow::anyhow!("the agent ended"),
                Err(error) => anyhow::Error::from(error).context("the agent's task failed"),
            },
        }
    }

    /// Waits until the kernel holds the rules and the node's DNS server is published.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + use<> {
        let (mut progress, mut published) = (self.parts.progress.clone(), self.agent.dns_published.clone());
        async move {
            let _ = progress.wait_for(|progress| progress.programmed).await;
            let _ = published.wait_for(|published| *published == Some(true)).await;
        }
    }

    /// The address that Pods ask for names, which the host may ask, too.
    pub(crate) fn name_server(&self) -> Option<IpAddr> {
        self.name_server
    }

    /// What says how the node is, for `status` on the control socket.
    pub(crate) fn status(&self) -> impl Fn() -> Value + Clone + Send + Sync + 'static {
        let (status, addresses) = (self.agent.status.clone(), self.addresses.clone());
        let (serving, progress) = (self.parts.serving.clone(), self.parts.progress.clone());
        move || {
            json!({
                "agent": *status.borrow(), "addresses": addresses, "dns": { "serving": *serving.borrow() },
                "proxy": shown(&progress.borrow()),
            })
        }
    }

    /// Ends all parts. The rules stay and Pods run on (S-364); their names are answered by other nodes.
    pub(crate) async fn stop(mut self) {
        let _ = self.parts.withdraw_dns.send(true);
        let withdrawn = self.agent.dns_published.wait_for(|published| *published != Some(true));
        // An agent that has ended by itself withdraws nothing any more.
        if tokio::time::timeout(WITHDRAWAL, withdrawn).await.is_ok_and(|withdrawn| withdrawn.is_ok()) {
            tokio::time::sleep(RULES_FOLLOW).await;
        }
        let Node { parts, agent, .. } = self;
        parts.end().await;
        // Whoever has seen it end has its result; a task can be waited for once.
        if !agent.task.is_finished() {
            let _ = agent.task.await;
        }
    }
}

/// How far a proxy is, for people.
pub(crate) fn shown(progress: &Progress) -> Value {
    json!({ "programmed": progress.programmed, "messages": progress.messages, "error": progress.error })
}

/// Keeps a DNS server running: one that cannot start, because its port is taken say, is tried again. `serving` is what
/// the agent publishes; after `withdrawn` the server still answers, but is no endpoint any more.
async fn keep_dns(
    cluster: Cluster,
    config: dns::Config,
    serving: watch::Sender<bool>,
    mut withdrawn: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let inputs = dns::follow(&cluster, config.zone.pods);
        match dns::start(config.clone(), inputs, stop.clone()) {
            Err(error) => tracing::error!(error = runloop::chain(&error), "the node's DNS server does not run"),
            Ok(server) => {
                serving.send_replace(!*withdrawn.borrow());
                let mut ended = tokio::task::spawn_blocking(|| server.join());
                loop {
                    tokio::select! {
                        _ = &mut ended => break,
                        Ok(()) = withdrawn.changed() => drop(serving.send_replace(!*withdrawn.borrow())),
                    }
                }
                serving.send_replace(false);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(DNS_AGAIN) => {}
            // Also if nobody is left who could say so.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// The addresses that Pods ask: as given, else those of `kube-system/kube-dns`. A cluster without it has Pods resolve as
/// their host does; an API server that does not answer is waited for.
async fn dns_addresses(cluster: &Cluster, given: &[IpAddr]) -> Vec<IpAddr> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let begun = tokio::time::Instant::now();
    loop {
        match cluster.get::<Service>("kube-system", "kube-dns").await {
            Ok(service) => {
                let first = service.spec.cluster_ips.first().and_then(|text| text.parse().ok());
                return first.into_iter().collect();
            }
            Err(error) if error.code() == Some(404) && begun.elapsed() > DNS_SERVICE => {
                tracing::warn!("there is no Service kube-system/kube-dns: Pods resolve names as this host does");
                return Vec::new();
            }
            Err(error) if error.code() == Some(404) => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                tracing::warn!(error = runloop::chain(&error), "the API server does not answer; trying again");
                tokio::time::sleep(DNS_AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_s_name_is_lowered_and_one_that_no_node_can_have_is_refused_with_the_option() {
        assert_eq!(host_name("Web-1.Example\n").expect("a name"), "web-1.example");
        for (name, part) in [("my_host\n", "\"my_host\""), ("(none)\n", "no host name"), ("", "no host name")] {
            let said = runloop::chain(host_name(name).expect_err("no node's name").as_ref());
            assert!(said.contains("--node-name") && said.contains(part), "{said}");
        }
    }
}
