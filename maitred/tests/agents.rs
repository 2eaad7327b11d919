//! `maitred agent` on several nodes, beside a `maitred server`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use kernel::netns::NamespaceRuntime;
use lab::{Lab, LabConfig, Program, RecordType, dns_ask};
use serde_json::Value;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The cluster IP of `kube-system/kube-dns`.
const DNS: &str = "10.96.0.10:53";

struct Cluster {
    lab: Lab,
    runtime: NamespaceRuntime,
    directory: tempfile::TempDir,
    _server: Program,
}

impl Cluster {
    fn new(nodes: usize) -> Cluster {
        let lab = Lab::new(LabConfig { nodes, pod_routes: false, ..LabConfig::default() }).expect("a lab");
        let directory = tempfile::Builder::new().prefix(&format!("mt-{}-agents-", std::process::id())).tempdir();
        let directory = directory.expect("a directory");
        let address = lab.control().ips().v4.expect("an IPv4 address");
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.args(["server", &format!("--listen={address}:6443"), "--data-dir"]).arg(directory.path());
        let mut server = lab.control().spawn(command).expect("it starts");
        server.wait_for_output("serving", PATIENCE).expect("it serves");
        let runtime = lab.control().runtime().expect("a runtime");
        Cluster { lab, runtime, directory, _server: server }
    }

    fn agent(&self, node: usize) -> Program {
        let host = self.lab.node(node);
        let address = host.ips().v4.expect("an IPv4 address");
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.args(["agent", "--node-name", host.name(), &format!("--node-ip={address}")]);
        command.arg("--kubeconfig").arg(self.path("agent.kubeconfig"));
        command.arg("--log-dir").arg(self.path(host.name()));
        let mut agent = host.spawn(command).expect("it starts");
        agent.wait_for_output("runs", PATIENCE).expect("it runs");
        agent
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Whether the API shows a node's DNS server as ready.
    fn dns_is_ready(&self, node: usize) -> Option<bool> {
        let name = self.lab.node(node).name();
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-{name}");
        let kubeconfig = self.path("admin.kubeconfig");
        let slice = self.runtime.block_on(async move {
            let cluster = cluster::kubeconfig(&kubeconfig).await.expect("a client");
            cluster.send::<Value>(Method::GET, &path, "application/json", None).await.ok()
        })?;
        slice["endpoints"][0]["conditions"]["ready"].as_bool()
    }

    fn eventually(&self, what: &str, check: impl Fn() -> bool) {
        let begun = Instant::now();
        while !check() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether a client on a node hears the address of `kubernetes` from the cluster's DNS.
    fn resolves(&self, node: usize) -> bool {
        let (client, to): (_, SocketAddr) = (self.lab.node(node).namespace(), DNS.parse().expect("an address"));
        let name = "kubernetes.default.svc.cluster.local";
        let answer = dns_ask(client, to, name, RecordType::A, Duration::from_millis(500)).expect("a client");
        answer.is_some_and(|answer| answer.answers == ["10.96.0.1"])
    }
}

#[test]
fn a_node_whose_dns_server_cannot_run_is_served_by_another_until_it_can() {
    lab::test(|| {
        let cluster = Cluster::new(2);
        let place = (cluster.lab.node(1).ips().v4.expect("an IPv4 address"), 53);
        let taken = cluster.lab.node(1).run(|| std::net::TcpListener::bind(place)).expect("it is entered");
        let _agents = [cluster.agent(0), cluster.agent(1)];
        cluster.eventually("the first node serves", || cluster.dns_is_ready(0) == Some(true));
        cluster.eventually("the second one says that it does not", || cluster.dns_is_ready(1) == Some(false));
        cluster.eventually("its clients are answered all the same", || cluster.resolves(1));
        drop(taken);
        cluster.eventually("the second node serves", || cluster.dns_is_ready(1) == Some(true));
        cluster.eventually("and answers", || cluster.resolves(1));
    });
}

#[test]
fn an_agent_that_ends_takes_its_dns_server_out_of_the_service_first() {
    lab::test(|| {
        let cluster = Cluster::new(2);
        let mut agents = [cluster.agent(0), cluster.agent(1)];
        for node in 0..2 {
            cluster.eventually("both serve", || cluster.dns_is_ready(node) == Some(true));
        }
        let ended = agents[1].stop(PATIENCE).expect("it ends by SIGTERM");
        assert!(ended.success(), "{}", agents[1].output());
        assert_eq!(cluster.dns_is_ready(1), Some(false));
        // The rules of the node that has no agent any more lead to the other one.
        assert!((0..10).all(|_| cluster.resolves(1)), "its clients are answered by the other node");
    });
}
