//! A lab with one node, the real programs on it, and so many Services.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use api::{EndpointSlice, Node, Pod, Service};
use cluster::Cluster;
use kernel::netns::NamespaceRuntime;
use lab::{Lab, LabConfig, Namespace, Program, Server};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::objects::{PORT, TARGET_PORT, name, slice_json};

/// How long anything may take before it counts as broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Requests under way while the Services are made.
const AT_ONCE: usize = 64;
/// The name of the Pod, and of the Service that selects it.
const WEB: &str = "web";

/// Everything that is up. Programs end with it.
pub(super) struct Scene {
    /// How many Services there are beside the one that is measured.
    pub(super) services: usize,
    /// The Service that is measured.
    pub(super) vip: SocketAddr,
    pub(super) server: Program,
    pub(super) proxy: Program,
    pub(super) dns: Program,
    client: Namespace,
    runtime: NamespaceRuntime,
    cluster: Cluster,
    _pod: Server,
    _lab: Lab,
    _data: tempfile::TempDir,
}

impl Scene {
    /// Starts the programs, makes the objects and waits until the last Service answers.
    pub(super) fn start(services: usize) -> anyhow::Result<Scene> {
        let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() })?;
        let data = tempfile::tempdir().context("make a data directory")?;
        let (server, runtime, cluster) = start_server(&lab, &data)?;
        let kubeconfig = data.path().join("admin.kubeconfig");
        let proxy = on_node(&lab, &["proxy", "--node-name", "node-0"], &kubeconfig)?;
        let dns = on_node(&lab, &["dns", "--listen", "127.0.0.1:53"], &kubeconfig)?;
        let client = lab.add_pod(0, "client", lab.pod_ips(0, 1))?.namespace().clone();
        let pod = lab.add_pod(0, WEB, lab.pod_ips(0, 2))?;
        let address = pod.ips().v4.context("the Pod has an IPv4 address")?;
        let pod = Server::start(&pod, TARGET_PORT)?;
        let vip = runtime.block_on({
            let cluster = cluster.clone();
            async move { make_objects(&cluster, address, services).await }
        })?;
        let scene =
            Scene { services, vip, server, proxy, dns, client, runtime, cluster, _pod: pod, _lab: lab, _data: data };
        scene.await_programmed()?;
        Ok(scene)
    }

    /// Says whether the Pod is ready; returns once the API has acknowledged.
    pub(super) fn set_ready(&self, ready: bool) -> anyhow::Result<()> {
        let status = if ready { "True" } else { "False" };
        let patch = json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
        let cluster = self.cluster.clone();
        let answer = self.runtime.block_on(async move { cluster.patch_status::<Pod>("default", WEB, &patch).await });
        answer.map(drop).map_err(|error| anyhow::anyhow!("{}", runloop::chain(&error)))
    }

    /// Where a client of the node's Pods stands.
    pub(super) fn client(&self) -> &Namespace {
        &self.client
    }

    /// The Service that was made last answers, so the proxy has taken in all of them.
    fn await_programmed(&self) -> anyhow::Result<()> {
        let last = self.services - 1;
        let cluster = self.cluster.clone();
        let found = self.runtime.block_on(async move { cluster.get::<Service>("default", &name(last)).await })?;
        let address: IpAddr = found.spec.cluster_ips.first().context("it has a cluster IP")?.parse()?;
        let started = std::time::Instant::now();
        let to = SocketAddr::new(address, PORT);
        while lab::http_get(&self.client, to, Duration::from_secs(1))?.answer().is_none() {
            anyhow::ensure!(
                started.elapsed() < PATIENCE,
                "{to} does not answer; the proxy says:\n{}",
                self.proxy.output()
            );
        }
        Ok(())
    }
}

/// `maitred`, which lies beside this program.
fn maitred(words: &[&str]) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("find this program")?;
    let program = own.with_file_name("maitred");
    anyhow::ensure!(program.is_file(), "{} is missing: build it, or run ./dev bench", program.display());
    let mut command = Command::new(program);
    command.args(words);
    Ok(command)
}

fn start_server(lab: &Lab, data: &tempfile::TempDir) -> anyhow::Result<(Program, NamespaceRuntime, Cluster)> {
    let address = lab.control().ips().v4.context("the control host has an IPv4 address")?;
    // Nobody renews the node's Lease here.
    let mut command = maitred(&["server", "--node-monitor-grace-period", "1000000", "--data-dir"])?;
    command.arg(data.path()).args(["--listen", &SocketAddr::new(address.into(), 6443).to_string()]);
    let mut server = lab.control().spawn(command)?;
    server.wait_for_output("serving", PATIENCE)?;
    let runtime = lab.control().runtime()?;
    let kubeconfig = data.path().join("admin.kubeconfig");
    let cluster = runtime.block_on(async move { cluster::kubeconfig(&kubeconfig).await })?;
    Ok((server, runtime, cluster))
}

fn on_node(lab: &Lab, words: &[&str], kubeconfig: &PathBuf) -> anyhow::Result<Program> {
    let mut command = maitred(words)?;
    command.arg("--kubeconfig").arg(kubeconfig);
    Ok(lab.node(0).spawn(command)?)
}

/// The node, the Pod, its Service, and so many other Services that lead to the same Pod. Returns the address of the first.
async fn make_objects(cluster: &Cluster, pod: Ipv4Addr, services: usize) -> anyhow::Result<SocketAddr> {
    cluster.create::<Node>("", json!({ "metadata": { "name": "node-0" } })).await?;
    let ready = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": "172.31.0.10" }],
        "conditions": [{ "type": "Ready", "status": "True", "reason": "BenchReady" }],
    } });
    cluster.patch_status::<Node>("", "node-0", &ready).await?;
    let container = json!({ "name": WEB, "image": "host" });
    let body = json!({
        "metadata": { "name": WEB, "labels": { "app": WEB } },
        "spec": { "nodeName": "node-0", "containers": [container] },
    });
    cluster.create::<Pod>("default", body).await?;
    let status = json!({ "status": {
        "phase": "Running", "podIP": pod, "podIPs": [{ "ip": pod }],
        "conditions": [{ "type": "Ready", "status": "False" }],
    } });
    cluster.patch_status::<Pod>("default", WEB, &status).await?;
    let made = cluster.create::<Service>("default", service(WEB, Some(json!({ "app": WEB })))).await?;
    let mut running = JoinSet::new();
    for number in 0..services {
        if running.len() >= AT_ONCE {
            running.join_next().await.context("one runs")?.context("a request panicked")??;
        }
        let cluster = cluster.clone();
        running.spawn(async move {
            cluster.create::<Service>("default", service(&name(number), None)).await?;
            cluster.create::<EndpointSlice>("default", slice_json(number, &[pod])).await.map(drop)
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a request panicked")??;
    }
    let address: IpAddr = made.spec.cluster_ips.first().context("the Service has a cluster IP")?.parse()?;
    Ok(SocketAddr::new(address, PORT))
}

fn service(name: &str, selector: Option<Value>) -> Value {
    let port = json!({ "name": "http", "port": PORT, "targetPort": TARGET_PORT });
    json!({ "metadata": { "name": name }, "spec": { "selector": selector, "ports": [port] } })
}
