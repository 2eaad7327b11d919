//! What the demo plays on: the lab, an API server, and an agent per node with its proxy and DNS server.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{Node, Service};
use cluster::Cluster;
use http::Method;
use kernel::netns::NamespaceRuntime;
use lab::{Lab, LabConfig, Program};
use serde_json::{Value, json};

use super::ending;
use super::program::Reachable;

/// How long anything may take before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

const PORT: u16 = 6443;

/// Everything that is up.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) cluster: Cluster,
    /// Agents by node.
    pub(crate) agents: Vec<Program>,
    /// Where the API is reached from: the control host.
    pub(super) runtime: NamespaceRuntime,
    /// This program, where Pods may execute it.
    pub(super) program: Reachable,
    /// Ends with the lab, as every program in it.
    _server: Program,
    directory: tempfile::TempDir,
}

impl Scene {
    /// Builds the lab, and starts the server and the agents.
    pub(crate) fn start() -> anyhow::Result<Scene> {
        let lab = Lab::new(LabConfig {
            zones: vec!["zone-a".to_owned(), "zone-b".to_owned()],
            pod_routes: false,
            client_routes: vec![("172.31.0.128/26".parse()?, 0)],
            ..LabConfig::default()
        })?;
        let directory = tempfile::Builder::new().prefix(&format!("mt-{}-demo-", std::process::id())).tempdir();
        let directory = directory.context("make a directory for the demo's data")?;
        ending::remove_when_interrupted(directory.path().to_owned());
        let program = Reachable::find(directory.path())?;
        let address = lab.control().ips().v4.context("the control host has an IPv4 address")?;
        let mut server = maitred(&["server"]);
        server.arg("--data-dir").arg(directory.path().join("server"));
        server.args(["--listen", &SocketAddr::new(address.into(), PORT).to_string()]);
        let mut server = lab.control().spawn(server)?;
        server.wait_for_output("serving", PATIENCE)?;
        let kubeconfig = directory.path().join("server/admin.kubeconfig");
        let runtime = lab.control().runtime()?;
        let cluster = runtime.block_on(async move { cluster::kubeconfig(&kubeconfig).await })?;
        let mut scene = Scene { lab, cluster, agents: Vec::new(), runtime, program, _server: server, directory };
        for node in 0..scene.lab.nodes().len() {
            let agent = scene.start_agent(node)?;
            scene.agents.push(agent);
            // One after the other, so that the first node gets the first Pod range, as the lab has it.
            scene.await_node(node)?;
        }
        Ok(scene)
    }

    /// Starts the agent of a node.
    pub(crate) fn start_agent(&self, node: usize) -> anyhow::Result<Program> {
        let host = self.lab.node(node);
        let addresses: Vec<String> = host.ips().iter().map(|ip| ip.to_string()).collect();
        let mut command = maitred(&["agent", "--node-name", host.name(), "--node-ip", &addresses.join(",")]);
        let zone = self.lab.zone(node).unwrap_or_default();
        command.args(["--node-label", &format!("topology.kubernetes.io/zone={zone}")]);
        command.arg("--kubeconfig").arg(self.directory.path().join("server/agent.kubeconfig"));
        command.arg("--log-dir").arg(self.log_dir(node));
        Ok(host.spawn(command)?)
    }

    /// Waits until a node is ready and has ranges for its Pods.
    fn await_node(&self, node: usize) -> anyhow::Result<()> {
        let name = self.lab.node(node).name().to_owned();
        let is_up = |node: &Node| {
            let ready = |condition: &api::Condition| condition.r#type == "Ready" && condition.status == "True";
            !node.spec.pod_cidrs.is_empty() && node.status.conditions.iter().any(ready)
        };
        self.eventually(&format!("{name} is ready"), || {
            let name = name.clone();
            let node = self.api(move |cluster| async move { cluster.get::<Node>("", &name).await }).ok();
            Ok(node.filter(is_up).map(drop))
        })
        .map_err(|error| error.context(self.agents.last().map(Program::output).unwrap_or_default()))
    }

    /// Where a node keeps the output of its Pods.
    pub(super) fn log_dir(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("logs-{}", self.lab.node(node).name()))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("server/admin.kubeconfig")
    }

    /// Runs a request from the control host.
    pub(crate) fn api<F, T>(&self, request: impl FnOnce(Cluster) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = Result<T, cluster::RequestError>> + Send + 'static,
        T: Send + 'static,
    {
        let answer = self.runtime.block_on(request(self.cluster.clone()));
        answer.map_err(|error| anyhow::anyhow!("{}", runloop::chain(&error)))
    }

    /// Asks again and again until there is an answer.
    pub(super) fn eventually<T>(&self, what: &str, check: impl Fn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = check()? {
                return Ok(found);
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Creates the objects of a manifest.
    pub(crate) fn apply(&mut self, manifest: &str) -> anyhow::Result<()> {
        self.apply_some(manifest, |_| true)
    }

    /// Creates those objects of a manifest that are wanted.
    pub(crate) fn apply_some(&mut self, manifest: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(manifest).context("read a manifest of the examples")?;
        for mut object in objects.into_iter().filter(wanted) {
            let path = match object["kind"].as_str() {
                Some("Service") => "/api/v1/namespaces/default/services",
                Some("Pod") => "/api/v1/namespaces/default/pods",
                kind => anyhow::bail!("the demo has no use for a {kind:?}"),
            };
            self.program.put_into(&mut object);
            self.api(move |cluster| async move {
                cluster.send::<Value>(Method::POST, path, "application/json", Some(&object)).await
            })?;
        }
        Ok(())
    }

    /// Creates a Service that leads to the Pods of `web`; returns where it is reached.
    pub(crate) fn create_service(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let service = json!({
            "metadata": { "name": name },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] },
        });
        self.api(move |cluster| async move { cluster.create::<Service>("default", service).await })?;
        self.cluster_ip(name, 80)
    }

    /// Merges a patch into a Service.
    pub(crate) fn patch_service(&self, name: &str, patch: Value) -> anyhow::Result<()> {
        let name = name.to_owned();
        self.api(move |cluster| async move { cluster.patch::<Service>("default", &name, &patch).await }).map(drop)
    }

    /// A Service as it is now.
    pub(crate) fn service(&self, name: &str) -> anyhow::Result<Service> {
        let name = name.to_owned();
        self.api(move |cluster| async move { cluster.get::<Service>("default", &name).await })
    }

    /// The cluster IPs of a Service with a port.
    pub(crate) fn cluster_ips(&self, name: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
        let addresses = self.service(name)?.spec.cluster_ips;
        addresses.iter().map(|text| Ok(SocketAddr::new(text.parse::<IpAddr>()?, port))).collect()
    }

    /// The IPv4 cluster IP of a Service with a port.
    pub(crate) fn cluster_ip(&self, name: &str, port: u16) -> anyhow::Result<SocketAddr> {
        self.cluster_ips(name, port)?.into_iter().find(SocketAddr::is_ipv4).context("the Service has an IPv4 address")
    }
}

/// This same program.
fn maitred(words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(words);
    command
}
