//! `maitred plan` against a real server and a real kernel, on a lab of one node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cluster::Cluster;
use kernel::netns::NamespaceRuntime;
use lab::{Lab, LabConfig, Program};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server on the lab's control host, and a node that has no proxy yet.
struct Scene {
    /// Ends before the lab does.
    _server: Program,
    runtime: NamespaceRuntime,
    cluster: Cluster,
    directory: tempfile::TempDir,
    lab: Lab,
}

/// What `maitred plan` said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Scene {
    fn new() -> Scene {
        let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() }).expect("a lab");
        let directory = tempfile::tempdir().expect("a directory");
        let address = SocketAddr::new(lab.control().ips().v4.expect("IPv4").into(), 6443);
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.args(["server", "--listen", &address.to_string(), "--data-dir"]).arg(directory.path());
        let mut server = lab.control().spawn(command).expect("the server starts");
        server.wait_for_output("serving", PATIENCE).expect("it serves");
        let runtime = lab.control().runtime().expect("a runtime");
        let kubeconfig = directory.path().join("admin.kubeconfig");
        let cluster = runtime.block_on(async move { cluster::kubeconfig(&kubeconfig).await }).expect("a client");
        Scene { _server: server, runtime, cluster, directory, lab }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
    }

    fn create<T: api::Resource + 'static>(&self, namespace: &'static str, object: Value) {
        let cluster = self.cluster.clone();
        let created = async move { cluster.create::<T>(namespace, object).await.map(drop) };
        self.runtime.block_on(created).expect("created");
    }

    /// A command of maitred for this node.
    fn command(&self, name: &str, kubeconfig: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.args([name, "--node-name", "node-0", "--kubeconfig"]).arg(kubeconfig);
        command
    }

    fn plan_with(&self, kubeconfig: &Path) -> Said {
        let mut command = self.command("plan", kubeconfig);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.lab.node(0).namespace().spawn(command).expect("it starts");
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn plan(&self) -> Said {
        self.plan_with(&self.kubeconfig())
    }
}

fn slice(endpoints: &[&str]) -> Value {
    let endpoints: Vec<Value> = endpoints.iter().map(|address| json!({"addresses": [address]})).collect();
    json!({
        "metadata": {"name": format!("web-{}", endpoints.len()), "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    })
}

#[test]
fn a_plan_says_what_the_proxy_would_change_and_changes_nothing() {
    lab::test(|| {
        let scene = Scene::new();
        let node = json!({
            "metadata": {"name": "node-0"},
            "status": {"addresses": [{"type": "InternalIP", "address": scene.lab.node(0).ips().v4}]},
        });
        scene.create::<api::Node>("", node);
        let service =
            json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.26", "ports": [{"port": 80}]}});
        scene.create::<api::Service>("default", service);
        scene.create::<api::EndpointSlice>("default", slice(&["10.244.0.5"]));

        let first = scene.plan();
        assert_eq!(first.code, Some(2), "{}", first.err);
        assert!(first.out.starts_with("add table ip maitred\n"), "{}", first.out);
        for line in [
            "add table ip6 maitred",
            "add element ip maitred endpoints-10 { 10.96.0.26 . tcp . 80 . none : 10.244.0.5 . 8080 }",
            "add element ip maitred frontends { 10.96.0.26 . tcp . 80 : 0:1 }",
        ] {
            assert!(first.out.lines().any(|said| said == line), "{line} is not in\n{}", first.out);
        }
        let steps = first.out.lines().count() - 1;
        assert_eq!(first.out.lines().last(), Some(format!("{steps} steps would be carried out").as_str()));
        assert_eq!(scene.plan(), first, "it only reads");

        let mut proxy = scene.lab.node(0).spawn(scene.command("proxy", &scene.kubeconfig())).expect("it starts");
        let started = Instant::now();
        let nothing = Said { code: Some(0), out: "nothing would change\n".to_owned(), err: String::new() };
        while scene.plan() != nothing {
            assert!(started.elapsed() < PATIENCE, "{:?}", scene.plan());
        }
        // The rules stay when the proxy ends (S-364), and the next change is an increment.
        proxy.stop(PATIENCE).expect("it ends");
        scene.create::<api::EndpointSlice>("default", slice(&["10.244.0.5", "10.244.0.6"]));
        let next = "\
add chain ip maitred n2
add rule ip maitred n2 meta priority set numgen random mod 2 goto pick
add element ip maitred dispatch { 0:2 : jump n2 }
add element ip maitred endpoints-10 { 10.96.0.26 . tcp . 80 . 0:1 : 10.244.0.6 . 8080 }
delete element ip maitred frontends { 10.96.0.26 . tcp . 80 : 0:1 }
add element ip maitred frontends { 10.96.0.26 . tcp . 80 : 0:2 }
6 steps would be carried out
";
        assert_eq!(scene.plan(), Said { code: Some(2), out: next.to_owned(), err: String::new() });
    });
}

#[test]
fn a_plan_that_cannot_be_made_says_why() {
    lab::test(|| {
        let scene = Scene::new();
        let said = scene.plan_with(&scene.directory.path().join("nowhere.kubeconfig"));
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        assert!(said.err.contains("nowhere.kubeconfig"), "{}", said.err);
    });
}
