//! How a proxy starts, against a real API server in process and a dataplane in memory.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use apiserver::{ApiServer, Identity, InProcess};
use futures::future::BoxFuture;
use kube::client::Body;
use model::{Change, Destination, Family, Frontend, Model, Protocol};
use proxy::{Applied, Config, Dataplane, DataplaneError, Detector, Unserved};
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
    /// So many applies come too late: somebody else wrote first.
    outdated: usize,
    /// Every apply of this family fails.
    broken: Option<Family>,
    /// A frontend that the kernel doesn't take.
    refused: Option<Frontend>,
}

impl Memory {
    fn new() -> Memory {
        let models = Family::ALL.map(Model::empty);
        Memory(Arc::new(Mutex::new(State {
            models,
            writes: 0,
            fail_next: false,
            outdated: 0,
            broken: None,
            refused: None,
        })))
    }

    fn frontends(&self) -> usize {
        self.0.lock().expect("no panic").models.iter().map(|model| model.frontends.len()).sum()
    }

    fn writes(&self) -> usize {
        self.0.lock().expect("no panic").writes
    }
}

impl Dataplane for Memory {
    fn observe_family(&mut self, family: Family) -> Result<Model, DataplaneError> {
        Ok(self.0.lock().expect("no panic").models[family.index()].clone())
    }

    fn recognize(&mut self, _: &Model) {}

    fn apply(&mut self, family: Family, change: &Change) -> Result<Applied, DataplaneError> {
        let mut state = self.0.lock().expect("no panic");
        if std::mem::take(&mut state.fail_next) || state.broken == Some(family) {
            return Err(DataplaneError {
                action: format!("{family:?}"),
                source: "it was told to fail".into(),
                outdated: false,
            });
        }
        if state.outdated > 0 {
            state.outdated -= 1;
            return Err(DataplaneError { action: "late".to_owned(), source: "somebody wrote".into(), outdated: true });
        }
        if change.is_empty() {
            return Ok(Applied::default());
        }
        state.writes += 1;
        let unserved = state.refused.filter(|refused| change.frontends.contains_key(refused));
        let mut change = change.clone();
        change.frontends.retain(|frontend, _| Some(*frontend) != unserved);
        state.models[family.index()].apply(change);
        let why = "frontend 10.96.0.1:443/tcp cannot be programmed: it was told to refuse it".to_owned();
        let unserved = unserved.map(|frontend| Unserved { frontend: Some(frontend), why }).into_iter().collect();
        Ok(Applied { messages: 1, unserved, ..Applied::default() })
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
        pod_ranges: Vec::new(),
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

#[tokio::test(flavor = "multi_thread")]
async fn who_else_writes_rules_costs_a_second_look_and_no_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let memory = Memory::new();
    memory.0.lock().expect("no panic").outdated = 3;
    let (_stop, mut progress) = start(&server, config(), &memory);
    let first = progress.wait_for(|progress| progress.programmed || progress.error.is_some()).await;
    assert_eq!(first.expect("the proxy runs").error, None);
    assert_eq!((memory.frontends(), memory.writes()), (4, 1));
}

/// Starts the proxy of node-a over a kernel in memory.
fn start(
    server: &ApiServer,
    config: Config,
    memory: &Memory,
) -> (watch::Sender<bool>, watch::Receiver<proxy::Progress>) {
    let (stop, stopped) = watch::channel(false);
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let (_thread, progress) = proxy::start(&cluster, config, Box::new(memory.clone()), stopped).expect("it starts");
    (stop, progress)
}

#[tokio::test(flavor = "multi_thread")]
async fn s361_a_family_that_fails_does_not_keep_the_other_from_being_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    for broken in Family::ALL {
        let memory = Memory::new();
        memory.0.lock().expect("no panic").broken = Some(broken);
        let (_stop, mut progress) = start(&server, config(), &memory);
        let failed = |progress: &proxy::Progress| progress.error.is_some();
        let text = progress.wait_for(failed).await.expect("the proxy runs").error.clone().expect("it failed");
        assert!(text.contains(&format!("{broken:?}: it was told to fail")), "{text}");
        let served = if broken == Family::V4 { 0 } else { 4 };
        assert_eq!(memory.frontends(), served, "the Services are of IPv4");
        progress.wait_for(|progress| progress.programmed).await.expect("what fails lastingly is not waited for");

        memory.0.lock().expect("no panic").broken = None;
        progress.wait_for(|progress| progress.error.is_none()).await.expect("the proxy runs");
        until("what failed", || memory.frontends() == 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s330_flows_are_listed_for_what_can_have_made_one_stale_and_for_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let memory = Memory::new();
    let (_stop, mut progress) = start(&server, config(), &memory);
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    let ports = json!([{ "name": "q", "port": 7, "protocol": "UDP" }]);
    let udp = json!({ "metadata": { "name": "udp" }, "spec": { "ports": ports } });
    cluster.create::<api::Service>("default", udp).await.expect("a Service");
    let slice = |endpoints: &[&str]| {
        let endpoints: Vec<Value> = endpoints.iter().map(|address| json!({ "addresses": [address] })).collect();
        json!({
            "metadata": { "name": "udp-1", "labels": { "kubernetes.io/service-name": "udp" } }, "addressType": "IPv4",
            "ports": [{ "name": "q", "port": 7, "protocol": "UDP" }], "endpoints": endpoints,
        })
    };
    cluster.create::<api::EndpointSlice>("default", slice(&["10.244.0.1"])).await.expect("a slice");
    let steps: [(&str, &[&str], usize); 4] = [
        ("one more endpoint", &["10.244.0.1", "10.244.0.2"], 0),
        ("one endpoint less", &["10.244.0.2"], 1),
        ("the last one goes", &[], 1),
        ("the first one comes", &["10.244.0.3"], 1),
    ];
    let listed = |progress: &watch::Receiver<proxy::Progress>| progress.borrow().flow_lists;
    // What the beginning is looked through for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut expected_in_all = listed(&progress);
    for (step, endpoints, expected) in steps {
        let writes = memory.writes();
        if expected == 0 {
            // What must not be listed would be counted by the next step.
            cluster.delete::<api::EndpointSlice>("default", "web-1", None).await.expect("deleted");
        }
        cluster.replace::<api::EndpointSlice>("default", "udp-1", slice(endpoints)).await.expect("replaced");
        until(step, || memory.writes() > writes).await;
        expected_in_all += expected;
        until(step, || listed(&progress) >= expected_in_all).await;
        assert_eq!(listed(&progress), expected_in_all, "{step}");
    }
}

/// The messages of the Events about a Service.
async fn events(server: &ApiServer, service: &str, reason: &str) -> Vec<(String, u64)> {
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let path = format!("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={service},reason={reason}");
    let list: Value = cluster.send(http::Method::GET, &path, "application/json", None).await.expect("a list");
    let items = list["items"].as_array().expect("items").iter();
    items
        .map(|event| (event["message"].as_str().unwrap_or("").to_owned(), event["count"].as_u64().unwrap_or(0)))
        .collect()
}

/// The first Events of this reason about a Service.
async fn told(server: &ApiServer, service: &str, reason: &str) -> Vec<(String, u64)> {
    for _ in 0..1000 {
        let events = events(server, service, reason).await;
        if !events.is_empty() {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no Event {reason} in 5 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn s361_a_frontend_that_the_kernel_refuses_is_told_of_and_the_others_are_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let memory = Memory::new();
    let destination = Destination::Address("10.96.0.1".parse().expect("an address"));
    let refused = Frontend { destination, protocol: Protocol::Tcp, port: 443 };
    memory.0.lock().expect("no panic").refused = Some(refused);
    let (_stop, mut progress) = start(&server, config(), &memory);
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    assert_eq!(memory.frontends(), 3, "all but the refused one");
    let told = told(&server, "kubernetes", "FrontendNotProgrammed").await;
    let text = "frontend 10.96.0.1:443/tcp cannot be programmed: it was told to refuse it".to_owned();
    assert_eq!(told, [(text, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s317_a_service_that_loses_a_frontend_hears_once_who_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let create = async |name: &str, spec: Value| {
        let service = json!({ "metadata": { "name": name }, "spec": spec });
        cluster.create::<api::Service>("default", service).await.expect("a Service");
    };
    let outside = json!({ "ports": [{ "port": 80 }], "externalIPs": ["203.0.113.7"] });
    create("older", outside.clone()).await;
    // Creation times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    create("younger", outside).await;
    create("inner", json!({ "ports": [{ "port": 81 }], "clusterIP": "10.96.0.80" })).await;
    create("thief", json!({ "ports": [{ "port": 81 }], "externalIPs": ["10.96.0.80"] })).await;
    let memory = Memory::new();
    let (_stop, mut progress) = start(&server, config(), &memory);
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    let check = async |loser: &str, text: &str| {
        assert_eq!(told(&server, loser, "FrontendConflict").await, [(text.to_owned(), 1)], "{loser}");
    };
    check("younger", "Service default/younger does not get 203.0.113.7:80/tcp: the older Service default/older has it")
        .await;
    check(
        "thief",
        "Service default/thief does not get 10.96.0.80:81/tcp: it is the cluster IP of Service default/inner",
    )
    .await;
    for winner in ["older", "inner"] {
        assert_eq!(events(&server, winner, "FrontendConflict").await, [], "{winner}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s356_a_service_with_a_health_check_port_hears_once_that_it_is_not_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let service = json!({
        "metadata": { "name": "checked" },
        "spec": {
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000,
            "ports": [{ "port": 80 }],
        },
    });
    cluster.create::<api::Service>("default", service).await.expect("a Service");
    let memory = Memory::new();
    let (_stop, mut progress) = start(&server, config(), &memory);
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    let text = "health check node port 31000 of Service default/checked is not served yet: a load balancer that asks \
                there takes every node for unhealthy";
    let reason = "FailedToStartServiceHealthcheck";
    assert_eq!(told(&server, "checked", reason).await, [(text.to_owned(), 1)]);
    // Other changes of the Service say nothing new.
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    cluster.patch::<api::Service>("default", "checked", &label).await.expect("a label");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(events(&server, "checked", reason).await, [(text.to_owned(), 1)]);
    assert_eq!(events(&server, "web", reason).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn s322_nothing_is_written_before_the_node_has_the_ranges_that_tell_its_pods() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory).await;
    let cluster = cluster::in_process(server.client(Identity::component("test")));
    let memory = Memory::new();
    let (_stop, mut progress) = start(&server, Config { detector: Detector::NodeCidr, ..config() }, &memory);
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.create::<api::Node>("", json!({ "metadata": { "name": "node-a" } })).await.expect("a Node");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(memory.writes(), 0, "written although nobody knows which Pods are local");
    let ranges = json!({ "spec": { "podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"] } });
    cluster.patch::<api::Node>("", "node-a", &ranges).await.expect("ranges");
    progress.wait_for(|progress| progress.programmed).await.expect("the proxy runs");
    let model = memory.0.lock().expect("no panic").models[0].clone();
    assert_eq!(model.local_pods.to_string(), "source in 10.244.0.0/24");
}
