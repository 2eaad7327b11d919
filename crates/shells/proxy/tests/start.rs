//! How a proxy starts, against a real API server in process and a dataplane in memory.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use apiserver::{ApiServer, Identity, InProcess};
use futures::future::BoxFuture;
use kube::client::Body;
use model::{Change, Family, Model};
use proxy::{Applied, Config, Dataplane, DataplaneError};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

/// A kernel in memory, shared with the test.
#[derive(Clone)]
struct Memory(Arc<Mutex<State>>);

struct State {
    models: [Model; 2],
    writes: usize,
    /// The next apply fails, having done nothing.
    fail_next: bool,
}

impl Memory {
    fn new() -> Memory {
        let models = Family::ALL.map(Model::empty);
        Memory(Arc::new(Mutex::new(State { models, writes: 0, fail_next: false })))
    }

    fn frontends(&self) -> usize {
        self.0.lock().expect("no panic").models.iter().map(|model| model.frontends.len()).sum()
    }

    fn writes(&self) -> usize {
        self.0.lock().expect("no panic").writes
    }
}

impl Dataplane for Memory {
    fn observe(&mut self) -> Result<[Model; 2], DataplaneError> {
        Ok(self.0.lock().expect("no panic").models.clone())
    }

    fn recognize(&mut self, _: [&Model; 2]) {}

    fn apply(&mut self, changes: &[Change; 2]) -> Result<Applied, DataplaneError> {
        let mut state = self.0.lock().expect("no panic");
        if std::mem::take(&mut state.fail_next) {
            return Err(DataplaneError { action: "test".to_owned(), source: "it was told to fail".into() });
        }
        if changes.iter().all(Change::is_empty) {
            return Ok(Applied::default());
        }
        state.writes += 1;
        for (model, change) in state.models.iter_mut().zip(changes) {
            model.apply(change.clone());
        }
        Ok(Applied { messages: 1, ..Applied::default() })
    }

    fn cleanup(&mut self) -> Result<(), DataplaneError> {
        Ok(())
    }
}

/// A transport that holds back everything about EndpointSlices until it is let go.
#[derive(Clone)]
struct Held {
    inner: InProcess,
    gate: Arc<(AtomicBool, Notify)>,
}

impl tower::Service<http::Request<Body>> for Held {
    type Response = http::Response<axum_core::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut inner, gate) = (self.inner.clone(), self.gate.clone());
        Box::pin(async move {
            if request.uri().path().contains("endpointslices") && !gate.0.load(Ordering::SeqCst) {
                gate.1.notified().await;
            }
            inner.call(request).await
        })
    }
}

/// A server with the Service `web`, which has one endpoint.
async fn server(directory: &tempfile::TempDir) -> ApiServer {
    let store = store::Embedded::open(directory.path()).expect("an empty store");
    let config = apiserver::Config {
        service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
        node_ports: 30000..=32767,
        advertise: Vec::new(),
        port: 6443,
    };
    let server = ApiServer::start(Arc::new(store), config).await.expect("it starts");
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let service = json!({ "metadata": { "name": "web" }, "spec": { "ports": [{ "name": "http", "port": 80 }] } });
    cluster.create::<api::Service>("default", service).await.expect("a Service");
    cluster.create::<api::EndpointSlice>("default", slice()).await.expect("a slice");
    server
}

fn slice() -> Value {
    json!({
        "metadata": { "name": "web-1", "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv4", "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": [{ "addresses": ["10.244.0.9"], "conditions": { "ready": true } }],
    })
}

fn config() -> Config {
    Config { node_name: "node-a".to_owned(), ..Config::default() }
}

async fn until(what: &str, mut held: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if held() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come to be in 5 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn s304_nothing_is_written_before_services_and_slices_have_been_listed() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let gate = Arc::new((AtomicBool::new(false), Notify::new()));
    let held = Held { inner: server.client(Identity::component("test")), gate: gate.clone() };
    let memory = Memory::new();
    // The kernel still serves what an earlier proxy wrote.
    let (_stop, stopped) = watch::channel(false);
    let cluster = cluster::in_process(held);
    let (_thread, mut progress) =
        proxy::start(&cluster, config(), Box::new(memory.clone()), stopped).expect("it starts");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(memory.writes(), 0, "written although the slices are not known");
    gate.0.store(true, Ordering::SeqCst);
    gate.1.notify_waiters();
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    assert_eq!(memory.frontends(), 4, "web, kubernetes and the two ports of kube-dns");
    assert_eq!(memory.writes(), 1, "all of it in one step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_is_made_again_and_a_restart_writes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let memory = Memory::new();
    memory.0.lock().expect("no panic").fail_next = true;
    let (stop, stopped) = watch::channel(false);
    let (thread, mut progress) =
        proxy::start(&cluster, config(), Box::new(memory.clone()), stopped).expect("it starts");
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    assert_eq!((memory.frontends(), memory.writes()), (4, 1));
    drop(stop);
    tokio::task::spawn_blocking(|| thread.join()).await.expect("joined").expect("no panic");

    let (_stop, stopped) = watch::channel(false);
    let (_thread, mut progress) =
        proxy::start(&cluster, config(), Box::new(memory.clone()), stopped).expect("it starts");
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    assert_eq!(memory.writes(), 1, "a restart with nothing changed writes nothing");
    cluster.delete::<api::Service>("default", "web", None).await.expect("deleted");
    until("the removal", || memory.frontends() == 3).await;
    assert_eq!(memory.writes(), 2);
}
