//! What the demo plays on: the lab, the API server, a proxy per node, and what the lab plays of a kubelet.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use api::{Pod, Service};
use cluster::Cluster;
use http::Method;
use kernel::netns::NamespaceRuntime;
use lab::{Lab, LabConfig, Namespace, Program};
use serde_json::Value;

use super::kubelet::Running;

/// How long anything may take before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

const PORT: u16 = 6443;

/// Everything that is up.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) cluster: Cluster,
    /// Proxies by node.
    pub(crate) proxies: Vec<Program>,
    /// DNS servers by node.
    _dns: Vec<Program>,
    /// What runs, by name.
    pub(super) pods: BTreeMap<String, Running>,
    /// How many Pod addresses have been given; none is given twice.
    pub(super) addresses_given: usize,
    /// Where the API is reached from: the control host.
    pub(super) runtime: NamespaceRuntime,
    /// Ends with the lab, as every program in it.
    _server: Program,
    directory: tempfile::TempDir,
}

impl Scene {
    /// Builds the lab, starts the server and the proxies, and registers the nodes.
    pub(crate) fn start() -> anyhow::Result<Scene> {
        let lab = Lab::new(LabConfig {
            zones: vec!["zone-a".to_owned(), "zone-b".to_owned()],
            client_routes: vec![("172.31.0.128/26".parse()?, 0)],
            ..LabConfig::default()
        })?;
        let directory = tempfile::tempdir().context("make a data directory for the demo's server")?;
        let address = lab.control().ips().v4.context("the control host has an IPv4 address")?;
        let mut server = maitred(&["server"]);
        server.arg("--data-dir").arg(directory.path());
        server.args(["--listen", &SocketAddr::new(address.into(), PORT).to_string()]);
        let mut server = lab.control().spawn(server)?;
        server.wait_for_output("serving", PATIENCE)?;
        let kubeconfig = directory.path().join("admin.kubeconfig");
        let runtime = lab.control().runtime()?;
        let cluster = runtime.block_on(async move { cluster::kubeconfig(&kubeconfig).await })?;
        let mut scene = Scene {
            lab,
            cluster,
            proxies: Vec::new(),
            _dns: Vec::new(),
            pods: BTreeMap::new(),
            addresses_given: 0,
            runtime,
            _server: server,
            directory,
        };
        for node in 0..scene.lab.nodes().len() {
            scene.register_node(node)?;
            let proxy = scene.start_proxy(node)?;
            scene.proxies.push(proxy);
            let dns = scene.start_dns(node)?;
            scene._dns.push(dns);
        }
        scene.publish_dns()?;
        scene.renew_leases();
        Ok(scene)
    }

    /// Starts the proxy of a node.
    pub(crate) fn start_proxy(&self, node: usize) -> anyhow::Result<Program> {
        let host = self.lab.node(node);
        let mut command = maitred(&["proxy", "--detect-local-mode", "node-cidr", "--node-name", host.name()]);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        Ok(host.spawn(command)?)
    }

    /// Starts the DNS server of a node, on the node's own address.
    fn start_dns(&self, node: usize) -> anyhow::Result<Program> {
        let host = self.lab.node(node);
        let address = host.ips().v4.context("a node has an IPv4 address")?;
        let mut command = maitred(&["dns", "--listen", &SocketAddr::new(address.into(), 53).to_string()]);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        Ok(host.spawn(command)?)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
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

    /// Creates the objects of a manifest, and plays the kubelet for its Pods.
    pub(crate) fn apply(&mut self, manifest: &str) -> anyhow::Result<()> {
        self.apply_kind(manifest, |_| true)
    }

    /// Creates some of the objects of a manifest, by kind.
    pub(crate) fn apply_kind(&mut self, manifest: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(manifest).context("read a manifest of the examples")?;
        for object in objects.into_iter().filter(|object| wanted(object["kind"].as_str().unwrap_or_default())) {
            let path = match object["kind"].as_str() {
                Some("Service") => "/api/v1/namespaces/default/services",
                Some("Pod") => "/api/v1/namespaces/default/pods",
                kind => anyhow::bail!("the demo has no use for a {kind:?}"),
            };
            let body = object.clone();
            let created: Value = self.api(move |cluster| async move {
                cluster.send(Method::POST, path, "application/json", Some(&body)).await
            })?;
            if created["kind"] == "Pod" {
                let pod: Pod = serde_json::from_value(created)?;
                self.run_pod(&pod)?;
            }
        }
        Ok(())
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

    /// The network namespace of a Pod.
    pub(crate) fn pod(&self, name: &str) -> anyhow::Result<Namespace> {
        let host = self.lab.pod(name).with_context(|| format!("Pod {name} runs"))?;
        Ok(host.namespace().clone())
    }

    pub(crate) fn pod_names(&self) -> Vec<String> {
        self.pods.keys().cloned().collect()
    }
}

/// This same program.
fn maitred(words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(words);
    command
}
