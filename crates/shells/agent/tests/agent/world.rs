//! A cluster of one node: an API server, an agent in a network namespace without a way out, and what Pods leave behind.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::{Config, ParentCommand};
use apiserver::{ApiServer, Identity};
use cluster::Cluster;
use http::Method;
use kernel::links::{Route, Scope, Veth};
use kernel::netns::{Namespace, NamespaceRuntime};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Tells this test binary that it is a Pod's parent process, and of which directory.
pub const PARENT_DIR: &str = "MAITRED_TEST_POD_PARENT";
/// The node's name.
pub const NODE: &str = "node-7";
/// An address of a machine outside, and the node's address towards it.
pub const OUTSIDE: &str = "203.0.113.1";
pub const TOWARDS_OUTSIDE: &str = "203.0.113.7";
/// Where the machine outside listens.
pub const OUTSIDE_PORT: u16 = 9000;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The cluster; everything ends when it is dropped.
pub struct World {
    dir: tempfile::TempDir,
    namespace: Namespace,
    server: NamespaceRuntime,
    cluster: Cluster,
    config: Config,
}

/// A running agent. Dropping it is as if it were killed: nothing of it runs any more.
pub struct Agent {
    status: watch::Receiver<agent::Status>,
    _stop: watch::Sender<bool>,
    _runtime: NamespaceRuntime,
}

impl Agent {
    /// How things stand.
    pub fn status(&self) -> agent::Status {
        self.status.borrow().clone()
    }
}

impl World {
    pub fn new(name: &str) -> World {
        let dir = tempfile::Builder::new()
            .prefix(&format!("mt-{}-{name}-", std::process::id()))
            .tempdir()
            .expect("a directory");
        // Pods run as nobody.
        let scratch = dir.path().join("scratch");
        std::fs::create_dir(&scratch).expect("a directory");
        for (path, mode) in [(dir.path(), 0o755), (scratch.as_path(), 0o777)] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("permissions");
        }
        let namespace = Namespace::create().expect("a network namespace");
        let server = namespace.runtime().expect("a runtime");
        let cluster = server.block_on(serve(dir.path().join("store")));
        let parent = ParentCommand {
            program: "/bin/sh".into(),
            // The last argument is the directory.
            arguments: vec![
                "-c".into(),
                format!("{PARENT_DIR}=$1 exec {} --exact pod_parent_entry --nocapture --quiet", own_path().display()),
                "sh".into(),
            ],
            env: Vec::new(),
        };
        let addresses = vec!["192.0.2.7".parse().expect("an address")];
        let mut config = Config::new(NODE, addresses, dir.path().join("run"), parent);
        config.log_dir = dir.path().join("logs");
        config.lease_period = Duration::from_millis(500);
        config.backoff.base = jiff_seconds(1);
        config.backoff.max = jiff_seconds(4);
        World { dir, namespace, server, cluster, config }
    }

    /// Starts an agent, and gives its node the Pod ranges if it has none.
    pub fn agent(&self) -> Agent {
        self.agent_with(|_| {})
    }

    pub fn agent_with(&self, change: impl FnOnce(&mut Config)) -> Agent {
        let runtime = self.namespace.runtime().expect("a runtime");
        let (stop, stopped) = watch::channel(false);
        let (mut config, cluster) = (self.config.clone(), self.cluster.clone());
        change(&mut config);
        let running = runtime.block_on(async move { agent::start(config, &cluster, stopped) }).expect("an agent");
        let ranges = json!({"spec": {"podCIDR": "10.244.7.0/24", "podCIDRs": ["10.244.7.0/24", "fd00:10:244:7::/64"]}});
        self.eventually("the node is registered", || {
            self.send(Method::PATCH, &format!("/api/v1/nodes/{NODE}"), Some(ranges.clone())).ok()
        });
        Agent { status: running.status, _stop: stop, _runtime: runtime }
    }

    /// A machine outside the cluster, on a link of the node. It knows its way to Pods.
    pub fn join_outside(&self) -> Outside {
        let outside = Namespace::create().expect("a network namespace");
        let net = |address: &str| format!("{address}/24").parse().expect("an address");
        let (links, own) = (outside.links(), self.namespace.links());
        let veth = Veth {
            name: "up0",
            mac: None,
            peer_name: "eth0",
            peer_mac: None,
            peer_namespace: Some(&outside),
            mtu: None,
        };
        own.add_veth(&veth).expect("a link");
        for (links, name, address) in [(own, "up0", TOWARDS_OUTSIDE), (links, "eth0", OUTSIDE)] {
            links.add_address(name, net(address), Scope::Global).expect("an address");
            links.set_up(name, true).expect("a link that is up");
        }
        let pods = "10.244.7.0/24".parse().expect("the node's Pods");
        let via = TOWARDS_OUTSIDE.parse().expect("an address");
        links.replace_route(&Route::new(pods).via(via)).expect("a route");
        Outside(outside)
    }

    /// A directory that Pods can write to.
    pub fn scratch(&self) -> String {
        self.dir.path().join("scratch").to_string_lossy().into_owned()
    }

    pub fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let (cluster, path) = (self.cluster.clone(), path.to_owned());
        let media = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let answer =
            self.server.block_on(async move { cluster.send::<Value>(method, &path, media, body.as_ref()).await });
        answer.map_err(|error| error.to_string())
    }

    pub fn create_pod(&self, name: &str, spec: Value) -> Value {
        self.create_pod_with(json!({"name": name}), spec)
    }

    pub fn create_pod_with(&self, metadata: Value, mut spec: Value) -> Value {
        spec["nodeName"] = NODE.into();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        self.send(Method::POST, "/api/v1/namespaces/default/pods", Some(pod)).expect("the Pod is created")
    }

    pub fn pod(&self, name: &str) -> Result<Value, String> {
        self.send(Method::GET, &format!("/api/v1/namespaces/default/pods/{name}"), None)
    }

    pub fn delete_pod(&self, name: &str, options: Value) {
        let path = format!("/api/v1/namespaces/default/pods/{name}");
        self.send(Method::DELETE, &path, Some(options)).expect("the Pod is deleted");
    }

    /// The Pod as soon as it is as wanted.
    pub fn await_pod(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let pod = self.pod(name).expect("the Pod is there");
            if wanted(&pod) {
                return pod;
            }
            assert!(begun.elapsed() < PATIENCE, "Pod {name} is not {what}: {:#}\n{}", pod["status"], self.complaints());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn await_ready(&self, name: &str) -> Value {
        self.await_pod(name, "ready", |pod| condition(pod, "Ready") == "True")
    }

    pub fn await_gone(&self, name: &str) {
        self.eventually("the Pod is gone", || self.pod(name).err().filter(|error| error.contains("not found")));
    }

    /// The Events about a Pod, each as `Reason: message`.
    pub fn events(&self, name: &str) -> Vec<String> {
        let list = self.send(Method::GET, "/api/v1/namespaces/default/events", None).expect("Events");
        let items = list["items"].as_array().expect("items").iter();
        let about = items.filter(|event| event["involvedObject"]["name"] == name);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        about.map(|event| format!("{}: {}", text(&event["reason"]), text(&event["message"]))).collect()
    }

    pub fn await_event(&self, name: &str, part: &str) {
        self.eventually(part, || self.events(name).into_iter().find(|event| event.contains(part)));
    }

    /// What a container wrote, in the form of its log file.
    pub fn await_log(&self, pod: &str, container: &str, attempt: u32, part: &str) {
        let path = self.log_path(pod, container, attempt);
        self.eventually(part, || std::fs::read_to_string(&path).ok().filter(|text| text.contains(part)));
    }

    /// The log file as it is now.
    pub fn log(&self, pod: &str, container: &str, attempt: u32) -> String {
        std::fs::read_to_string(self.log_path(pod, container, attempt)).expect("a log")
    }

    fn log_path(&self, pod: &str, container: &str, attempt: u32) -> PathBuf {
        let uid = self.pod(pod).expect("the Pod is there")["metadata"]["uid"].as_str().expect("a uid").to_owned();
        self.dir.path().join(format!("logs/default_{pod}_{uid}/{container}/{attempt}.log"))
    }

    /// The number of the Pod's parent process, as seen from here.
    pub fn parent_pid(&self, pod: &str) -> u32 {
        self.find_parent_pid(pod).expect("the parent listens")
    }

    /// The same, if it listens.
    pub fn find_parent_pid(&self, pod: &str) -> Option<u32> {
        let socket = self.dir_of(&self.pod(pod).expect("the Pod is there")).join("socket");
        let peer = self.server.block_on(async move {
            tokio::net::UnixStream::connect(socket).await.and_then(|stream| stream.peer_cred())
        });
        u32::try_from(peer.ok()?.pid()?).ok()
    }

    /// Changes what an agent has kept of a Pod.
    pub fn change_state(&self, pod: &Value, change: impl FnOnce(&mut Value)) {
        let path = self.dir_of(pod).join("state.json");
        let mut state = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("JSON");
        change(&mut state);
        std::fs::write(path, state.to_string()).expect("it can be written");
    }

    fn dir_of(&self, pod: &Value) -> PathBuf {
        self.dir.path().join("run").join(pod["metadata"]["uid"].as_str().expect("a uid"))
    }

    /// Ends the only Pod that is left, without grace, and sees that nothing of it stays.
    pub fn end_last_pod(&self, name: &str) {
        self.delete_pod(name, json!({"gracePeriodSeconds": 0}));
        self.await_gone(name);
        self.assert_nothing_left();
    }

    /// Neither processes, nor links, nor files of Pods are left.
    pub fn assert_nothing_left(&self) {
        let dir = self.dir.path().to_string_lossy().into_owned();
        let begun = Instant::now();
        while let Some(pid) = processes_with(&dir).first() {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "a process has not ended: {status}\n{}", self.complaints());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.eventually("all links are gone", || {
            let links = self.namespace.links().links().expect("links");
            links.iter().all(|link| link.name == "lo").then_some(())
        });
        for place in ["run", "logs"] {
            let place = self.dir.path().join(place);
            let is_pods = |entry: std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_empty = || !std::fs::read_dir(&place).expect("a directory").flatten().any(is_pods);
            self.eventually("all directories of Pods are gone", || is_empty().then_some(()));
        }
    }

    pub fn eventually<T>(&self, what: &str, check: impl Fn() -> Option<T>) -> T {
        self.eventually_mut(what, check)
    }

    pub fn eventually_mut<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = check() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", self.complaints());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the parents have to say.
    fn complaints(&self) -> String {
        let pods = std::fs::read_dir(self.dir.path().join("run")).into_iter().flatten().flatten();
        pods.filter_map(|pod| std::fs::read_to_string(pod.path().join("parent.log")).ok()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Where a test failed, its Pods must not stay behind.
        for pid in processes_with(&self.dir.path().to_string_lossy()) {
            let _ = kernel::process::signal(pid, 9);
        }
    }
}

/// A machine outside the cluster.
pub struct Outside(Namespace);

impl Outside {
    /// Listens there; whoever connects waits to be accepted.
    pub fn listen(&self) -> TcpListener {
        let bound = self.0.run(|| TcpListener::bind((OUTSIDE, OUTSIDE_PORT))).expect("the namespace can be entered");
        bound.expect("a port")
    }
}

async fn serve(dir: PathBuf) -> Cluster {
    let store = store::Embedded::open(&dir).expect("a store");
    let config = apiserver::Config {
        service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
        pod_ranges: Vec::new(),
        node_ports: 30000..=32767,
        advertise: vec!["192.0.2.1".parse().expect("an address")],
        port: 6443,
    };
    let server = ApiServer::start(Arc::new(store), config).await.expect("an API server");
    cluster::in_process(server.client(Identity::component("test")))
}

fn own_path() -> PathBuf {
    std::fs::read_link("/proc/self/exe").expect("the test binary has a path")
}

fn jiff_seconds(seconds: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(seconds)
}

/// Processes but this one that carry a text in their arguments or variables.
fn processes_with(text: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let carries = |pid: &u32| {
        ["cmdline", "environ"].iter().any(|file| {
            let content = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&content).contains(text)
        })
    };
    numbers.filter(|pid| *pid != std::process::id() && carries(pid)).collect()
}

/// A Pod that does nothing, for long.
pub fn sleeper() -> Value {
    json!({"containers": [{"name": "main", "image": "host", "command": ["sleep", "600"]}]})
}

/// The status of one of a Pod's conditions.
pub fn condition<'a>(pod: &'a Value, name: &str) -> &'a str {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == name)
        .and_then(|found| found["status"].as_str())
        .unwrap_or("")
}
