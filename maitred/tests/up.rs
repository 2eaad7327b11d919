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
        self.up_as("one", more)
    }

    fn up_as(&self, node: &str, more: &[&str]) -> Program {
        let logs = format!("--log-dir={}", self.data().join("logs").display());
        self.spawn_up(&[&[&format!("--node-name={node}"), "--allow-root-pods", &logs], more].concat())
    }

    fn spawn_up(&self, words: &[&str]) -> Program {
        let data = format!("--data-dir={}", self.data().display());
        self.spawn(&[&["up", &data], words].concat())
    }

    /// The nodes' ends of Pods' links.
    fn pod_links(&self) -> Vec<String> {
        let links = self.host.links().links().expect("links").into_iter().map(|link| link.name);
        links.filter(|name| name.starts_with("mt")).collect()
    }

    fn eventually(&self, what: &str, check: impl Fn() -> bool) {
        let begun = Instant::now();
        while !check() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
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
        // Nor does anything that would write the same rules, or take them away, wherever its control socket lies.
        let elsewhere = format!("--run-dir={}", machine.data().join("run").display());
        let kubeconfig = format!("--kubeconfig={}", machine.data().join("admin.kubeconfig").display());
        let beside: [(&[&str], &str); 2] = [
            (
                &["proxy", &kubeconfig, "--node-name=one", &elsewhere],
                "keeps the Service rules of this machine: stop it first",
            ),
            (&["cleanup", &elsewhere], "still running here: a maitred that keeps Service rules"),
        ];
        for (words, sentence) in beside {
            let mut other = machine.spawn(words);
            assert!(!other.wait(PATIENCE).expect("it ends").success(), "{words:?}");
            assert!(other.output().contains(sentence), "{}", other.output());
        }
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
        machine.eventually("the Pod has a link", || !machine.pod_links().is_empty());
        let ended = up.stop(PATIENCE).expect("it ends by SIGTERM");
        assert!(ended.success(), "{}", up.output());
        for removed in
            ["removed the nftables table ip maitred\n", "removed the nftables table ip6 maitred-pods", "removed Pod "]
        {
            assert!(up.output().contains(removed), "{removed} is not in\n{}", up.output());
        }
        assert_eq!(machine.pod_links(), [""; 0]);
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

#[test]
fn another_nodes_pods_are_neither_run_nor_ended() {
    lab::test(|| {
        let machine = Machine::new();
        let mut up = machine.up();
        machine.create("pods", web());
        let path = "/api/v1/namespaces/default/pods/web";
        machine.eventually("the Pod runs", || {
            machine.send(Method::GET, path, None).is_ok_and(|pod| pod["status"]["phase"] == "Running")
        });
        up.kill();
        for more in [&[][..], &["--cleanup"]] {
            let mut second = machine.up_as("two", more);
            let ended = second.wait(PATIENCE).expect("it ends");
            let said = second.output();
            assert_eq!(ended.code(), Some(1), "{said}");
            assert!(said.contains("are those of node one") && said.contains("maitred cleanup --pods"), "{said}");
            assert!(!said.contains("panicked"), "{said}");
            assert_eq!(said.contains("1 Pod runs on"), !more.is_empty(), "{said}");
            assert_eq!(machine.pod_links().len(), 1, "{said}");
        }
    });
}

#[test]
fn whoever_stops_it_while_it_starts_is_heard() {
    lab::test(|| {
        let machine = Machine::new();
        let run_dir = machine.data().join("run");
        let mut up = machine.up_with(&["--cleanup", &format!("--run-dir={}", run_dir.display())]);
        machine.eventually("it has begun", || run_dir.join("up.sock").exists());
        let ended = up.stop(PATIENCE).expect("it ends by SIGTERM");
        assert!(ended.success(), "{ended}: {}", up.output());
        assert!(!up.output().contains("is ready"), "it was stopped while it started");
    });
}

#[test]
fn an_agent_that_cannot_start_ends_everything_with_one_sentence() {
    lab::test(|| {
        let machine = Machine::new();
        let mut up = machine.spawn_up(&["--node-name=one", "--log-dir=/proc/x"]);
        let ended = up.wait(PATIENCE).expect("it ends");
        let said = up.output();
        assert_eq!(ended.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("cannot make the directory /proc/x"), "{said}");
    });
}
