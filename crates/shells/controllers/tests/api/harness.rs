//! An API server over a store of its own, with the controllers running.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use apiserver::{ApiServer, Config, Identity};
use cluster::{Cluster, RequestError};
use controllers::{Running, Settings};
use http::Method;
use runloop::LastRun;
use serde_json::{Value, json};
use store::Store;
use tempfile::TempDir;

use crate::tap::{Tap, tapped};

/// How long anything may take before a test fails; far more than it does take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition is asked for.
const POLL: Duration = Duration::from_millis(20);

/// A control plane. Ends with the test.
pub struct Plane {
    pub server: ApiServer,
    pub store: Arc<dyn Store>,
    pub client: Cluster,
    running: Option<Running>,
    _directory: TempDir,
}

impl Plane {
    /// A server and all controllers, with short pauses.
    pub async fn start() -> Plane {
        Plane::start_with(settings()).await
    }

    pub async fn start_with(settings: Settings) -> Plane {
        let mut plane = Plane::without_controllers().await;
        plane.control(settings);
        plane
    }

    /// A server alone.
    pub async fn without_controllers() -> Plane {
        let directory = tempfile::tempdir().expect("a directory");
        let store = store::Embedded::open(directory.path()).expect("an empty directory is a store");
        let store: Arc<dyn Store> = Arc::new(store);
        let config = Config {
            service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
            pod_ranges: Vec::new(),
            node_ports: 30000..=32767,
            advertise: Vec::new(),
            port: 6443,
        };
        let server = ApiServer::start(store.clone(), config).await.expect("the server starts");
        let client = cluster::in_process(server.client(Identity::component("test")));
        Plane { server, store, client, running: None, _directory: directory }
    }

    /// Starts the controllers.
    pub fn control(&mut self, settings: Settings) {
        let cluster_for = |name: &str| cluster::in_process(self.server.client(Identity::component(name)));
        self.running = Some(controllers::start(cluster_for, settings));
    }

    /// Starts the controllers behind a tap.
    pub fn control_through(&mut self, settings: Settings, tap: &Tap) {
        let cluster_for = |name: &str| tapped(&self.server, name, tap.clone());
        self.running = Some(controllers::start(cluster_for, settings));
    }

    /// Stops the controllers.
    pub fn release(&mut self) {
        self.running = None;
    }

    /// How the last run of a loop went.
    pub fn last_run(&self, name: &str) -> LastRun {
        let runs = self.running.as_ref().expect("the controllers run").last_runs();
        runs.into_iter().find(|(found, _)| *found == name).expect("the loop runs").1
    }

    /// Waits until the last run of a loop is as wanted.
    pub async fn until_run(&self, name: &str, what: &str, wanted: impl Fn(&LastRun) -> bool) -> LastRun {
        let found = until(async || Some(self.last_run(name)).filter(|last| wanted(last))).await;
        found.unwrap_or_else(|| panic!("{what}; {name} is {:?}", self.last_run(name)))
    }

    /// How the loops go; all of them must go well.
    pub fn assert_healthy(&self) {
        for (name, last) in self.running.as_ref().expect("the controllers run").last_runs() {
            assert_eq!(last.error, None, "the last run of {name}");
        }
    }

    pub async fn create(&self, path: &str, object: Value) -> Value {
        let made = self.send(Method::POST, path, &object).await;
        made.unwrap_or_else(|error| panic!("POST {path} {object}: {}", error.source))
    }

    pub async fn put(&self, path: &str, object: Value) -> Value {
        let made = self.send(Method::PUT, path, &object).await;
        made.unwrap_or_else(|error| panic!("PUT {path} {object}: {}", error.source))
    }

    /// Merges into an object.
    pub async fn merge(&self, path: &str, patch: Value) -> Value {
        let made = self.client.send(Method::PATCH, path, "application/merge-patch+json", Some(&patch)).await;
        made.unwrap_or_else(|error: RequestError| panic!("PATCH {path} {patch}: {}", error.source))
    }

    pub async fn delete(&self, path: &str, options: Value) {
        let done = self.send(Method::DELETE, path, &options).await;
        done.unwrap_or_else(|error| panic!("DELETE {path}: {}", error.source));
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, RequestError> {
        self.client.send(method, path, "application/json", Some(body)).await
    }

    /// The object, or null if it is absent.
    pub async fn get(&self, path: &str) -> Value {
        match self.client.send(Method::GET, path, "application/json", None).await {
            Ok(object) => object,
            Err(error) if error.code() == Some(404) => Value::Null,
            Err(error) => panic!("GET {path}: {}", error.source),
        }
    }

    /// The items of a list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until the object at a path is as wanted, and returns it.
    pub async fn wait(&self, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let ask = async || {
            let object = self.get(path).await;
            wanted(&object).then_some(object)
        };
        match until(ask).await {
            Some(object) => object,
            None => panic!("{what}; {path} is {:#}", self.get(path).await),
        }
    }

    /// Waits for an Event about something of this name, and returns its message.
    pub async fn event(&self, namespace: &str, about: &str, reason: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let find = |list: &Value| {
            let events = list["items"].as_array()?;
            let event =
                events.iter().find(|event| event["involvedObject"]["name"] == about && event["reason"] == reason)?;
            Some(event["message"].as_str().expect("an Event has a message").to_owned())
        };
        let what = format!("an Event {reason} about {about} comes");
        let list = self.wait(&path, &what, |list| find(list).is_some()).await;
        find(&list).expect("it was just there")
    }
}

/// Asks until there is an answer or the time is up.
async fn until<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> Option<T> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while tokio::time::Instant::now() < deadline {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        tokio::time::sleep(POLL).await;
    }
    None
}

/// Settings with short pauses, and without pools of Pod ranges.
pub fn settings() -> Settings {
    Settings { pod_pools: Vec::new(), settle: Duration::from_millis(50), ..Settings::default() }
}

/// A Node that is Ready.
pub fn ready_node(name: &str) -> Value {
    let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady" });
    json!({ "metadata": { "name": name }, "status": { "conditions": [ready] } })
}

/// A Pod that listens on port 80.
pub fn pod(name: &str, labels: Value) -> Value {
    let container = json!({ "name": "c", "image": "host", "ports": [{ "containerPort": 80 }] });
    json!({ "metadata": { "name": name, "labels": labels }, "spec": { "containers": [container] } })
}

/// A Service with a selector.
pub fn service(name: &str, selector: Value) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "selector": selector, "ports": [{ "port": 80 }] } })
}
