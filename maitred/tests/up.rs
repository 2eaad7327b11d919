//! `maitred up`: a whole cluster in one process, that survives its end.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Cluster;
use http::Method;
use kernel::netns::NamespaceRuntime;
use lab::{Host, Lab, LabConfig, Program};
use serde_json::{Value, json};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One machine with a directory for data.
struct Machine {
    directory: tempfile::TempDir,
    host: Arc<Host>,
    /// Inside the machine's network.
    runtime: NamespaceRuntime,
    _lab: Lab,
}

impl Machine {
    fn new() -> Machine {
        let lab = Lab::new(LabConfig { nodes: 1, pod_routes: false, ..LabConfig::default() }).expect("a lab");
        let host = lab.node(0).clone();
        let directory = tempfile::Builder::new().prefix(&format!("mt-{}-up-", std::process::id())).tempdir();
        let runtime = host.runtime().expect("a runtime");
        Machine { directory: directory.expect("a directory"), host, runtime, _lab: lab }
    }

    fn data(&self) -> &Path {
        self.directory.path()
    }

    fn spawn(&self, words: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.args(words);
        self.host.spawn(command).expect("it starts")
    }

    fn up(&self) -> Program {
        let mut up = self.up_with(&[]);
        up.wait_for_output("is ready", PATIENCE).expect("it comes up");
        up
    }

    fn up_with(&self, more: &[&str]) -> Program {
        let (data, logs) = (self.data().to_string_lossy(), self.data().join("logs"));
        let (data, logs) = (format!("--data-dir={data}"), format!("--log-dir={}", logs.display()));
        self.spawn(&[&["up", "--node-name=one", "--allow-root-pods", &data, &logs], more].concat())
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let (kubeconfig, path) = (self.data().join("admin.kubeconfig"), path.to_owned());
        self.runtime.block_on(async move {
            let cluster: Cluster = cluster::kubeconfig(&kubeconfig).await.map_err(|error| error.to_string())?;
            let answer = cluster.send(method, &path, "application/json", body.as_ref()).await;
            answer.map_err(|error| error.source.to_string())
        })
    }

    fn create(&self, plural: &str, object: Value) -> Value {
        self.send(Method::POST, &format!("/api/v1/namespaces/default/{plural}"), Some(object)).expect("it is created")
    }

    /// Waits until the Service answers from the machine itself, and says who did.
    fn answer_of(&self, to: SocketAddr) -> String {
        let begun = Instant::now();
        loop {
            let outcome = lab::http_get(self.host.namespace(), to, Duration::from_millis(500)).expect("a client");
            if let Some(pod) = outcome.pod() {
                return pod.to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "{to}: {outcome}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A server that says its name; it runs as root, who may read this program wherever it lies.
fn web() -> Value {
    json!({
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": { "securityContext": { "runAsUser": 0, "runAsGroup": 0 }, "containers": [{
            "name": "main", "image": "host", "command": [env!("CARGO_BIN_EXE_maitred"), "echo-server", "--port=8080"],
        }] },
    })
}

#[test]
fn one_command_is_a_cluster_whose_pods_rules_and_objects_outlive_it() {
    lab::test(|| {
        let machine = Machine::new();
        let mut up = machine.up();
        let said = up.output();
        let kubeconfig = machine.data().join("admin.kubeconfig");
        assert!(said.contains(&format!("export KUBECONFIG={}", kubeconfig.display())), "{said}");
        assert!(said.contains("10.96.0.10"), "it says how the host resolves names: {said}");

        machine.create("pods", web());
        let spec = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] });
        let service = machine.create("services", json!({ "metadata": { "name": "web" }, "spec": spec }));
        let address = service["spec"]["clusterIP"].as_str().expect("a cluster IP").parse().expect("an address");
        let to = SocketAddr::new(address, 80);
        assert_eq!(machine.answer_of(to), "web");

        let ended = up.stop(PATIENCE).expect("it ends by SIGTERM");
        assert!(ended.success(), "{}", up.output());
        let outcome = lab::http_get(machine.host.namespace(), to, PATIENCE).expect("a client");
        assert_eq!(outcome.pod(), Some("web"), "rules and Pods stay: {outcome}");

        let _up = machine.up();
        let pod = machine.send(Method::GET, "/api/v1/namespaces/default/pods/web", None).expect("it is still there");
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "it was adopted");
        assert_eq!(machine.answer_of(to), "web");
    });
}

#[test]
fn a_second_one_on_the_machine_is_refused_and_changes_nothing() {
    lab::test(|| {
        let machine = Machine::new();
        let up = machine.up();
        let other = machine.data().join("other");
        let mut second = machine.spawn(&["up", "--listen=127.0.0.1:7443", &format!("--data-dir={}", other.display())]);
        let ended = second.wait(PATIENCE).expect("it ends");
        assert!(!ended.success());
        assert!(second.output().contains("another maitred up runs here"), "{}", second.output());
        assert!(!other.exists(), "it has not begun");
        let mut status = machine.spawn(&["status", "-o", "json"]);
        assert!(status.wait(PATIENCE).expect("it ends").success());
        let said: Value = serde_json::from_str(&status.output()).expect("JSON");
        assert_eq!((&said[0]["role"], &said[0]["agent"]["node"]), (&json!("up"), &json!("one")));
        assert_eq!((&said[0]["dns"]["serving"], &said[0]["proxy"]["programmed"]), (&json!(true), &json!(true)));
        drop(up);
    });
}

#[test]
fn with_cleanup_nothing_stays_but_data() {
    lab::test(|| {
        let machine = Machine::new();
        let mut up = machine.up_with(&["--cleanup"]);
        up.wait_for_output("is ready", PATIENCE).expect("it comes up");
        machine.create("pods", web());
        let links = || machine.host.links().links().expect("links").into_iter().map(|link| link.name);
        let begun = Instant::now();
        while !links().any(|name| name.starts_with("mt")) {
            assert!(begun.elapsed() < PATIENCE, "the Pod has no link");
            std::thread::sleep(Duration::from_millis(10));
        }
        let ended = up.stop(PATIENCE).expect("it ends by SIGTERM");
        assert!(ended.success(), "{}", up.output());
        for removed in
            ["removed the nftables table ip maitred\n", "removed the nftables table ip6 maitred-pods", "removed Pod "]
        {
            assert!(up.output().contains(removed), "{removed} is not in\n{}", up.output());
        }
        assert_eq!(links().collect::<Vec<_>>(), ["lo", "eth0"]);
        assert!(machine.data().join("store").exists(), "data stays");
    });
}

#[test]
fn a_machine_that_is_not_ready_is_refused_with_what_to_do() {
    lab::test(|| {
        let machine = Machine::new();
        let address = machine.host.ips().v4.expect("an IPv4 address");
        let taken = machine.host.run(|| std::net::TcpListener::bind((address, 53))).expect("it is entered");
        let mut up = machine.up_with(&[]);
        assert!(!up.wait(PATIENCE).expect("it ends").success());
        let said = up.output();
        assert!(said.contains(&format!("✗ port: TCP {address}:53 for DNS")), "{said}");
        assert!(said.contains("--dns-port") && said.contains("this machine is not ready"), "{said}");
        assert!(!machine.data().join("store").exists(), "it has not begun");
        drop(taken);
    });
}
