//! Whole requests to the API server: paths, query parameters, selectors, headers, bodies.

use std::sync::{Arc, OnceLock};

use apiserver::{ApiServer, Config, Identity};
use axum_core::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use store::simulated::SimFiles;
use store::{Embedded, Options, Store};
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::parts::line;

/// A request as in HTTP: `GET /path?query`, headers, an empty line, the body. Whatever changes something becomes a dry run,
/// so that the server is the same for every input.
pub fn requests(data: &[u8]) {
    let Some(request) = parse(data) else { return };
    let server = Server::shared();
    let is_watch = request.uri().to_string().contains("watch");
    server.runtime.block_on(async {
        let before = server.store.revision().await.expect("the store is readable");
        let response = server.api.client(Identity::component("fuzz")).oneshot(request).await.expect("it cannot fail");
        check(response, is_watch).await;
        let after = server.store.revision().await.expect("the store is readable");
        assert_eq!(before, after, "a read or a dry run has written");
    });
}

/// An error is a Status that repeats its code; a watch goes on, so only its head is looked at.
async fn check(response: Response<Body>, is_watch: bool) {
    let code = response.status().as_u16();
    assert_ne!(code, 500, "{response:?}");
    if is_watch && code == 200 {
        return;
    }
    let body = response.into_body().collect().await.expect("it is all in memory").to_bytes();
    if code >= 400
        && let Ok(status) = serde_json::from_slice::<serde_json::Value>(&body)
    {
        assert_eq!(status["code"], code, "{status}");
    }
}

fn parse(data: &[u8]) -> Option<Request<Body>> {
    let (first, mut rest) = line(data)?;
    let (method, target) = first.split_once(' ')?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let mut request = Request::builder().uri(uri(&method, target)?);
    request = request.method(method);
    while let Some((header, after)) = line(rest) {
        rest = after;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ")?;
        request = request.header(name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?);
    }
    request.body(Body::from(rest.to_vec())).ok()
}

/// The target, as a dry run if it isn't a read.
fn uri(method: &Method, target: &str) -> Option<Uri> {
    if target.contains('#') {
        // A fragment isn't sent, and would hide what is added here.
        return None;
    }
    let joint = if target.contains('?') { '&' } else { '?' };
    let target = if method == Method::GET { target.to_owned() } else { format!("{target}{joint}dryRun=All") };
    target.parse().ok()
}

/// A server over a store in memory.
struct Server {
    runtime: Runtime,
    store: Arc<dyn Store>,
    api: ApiServer,
}

impl Server {
    fn shared() -> &'static Server {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime without I/O needs nothing that can be missing");
            let store = Embedded::open_on(Arc::new(SimFiles::new()), Options::default()).expect("an empty store opens");
            let store: Arc<dyn Store> = Arc::new(store);
            let config = Config {
                service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
                pod_ranges: Vec::new(),
                node_ports: 30000..=32767,
                advertise: vec![[127, 0, 0, 1].into()],
                port: 6443,
            };
            let api = runtime.block_on(async {
                let api = ApiServer::start(store.clone(), config).await.expect("it starts");
                for (path, object) in OBJECTS {
                    create(&api, path, object).await;
                }
                api
            });
            Server { runtime, store, api }
        })
    }
}

/// What is there to be read.
const OBJECTS: [(&str, &str); 2] = [
    (
        "/api/v1/namespaces/default/services",
        r#"{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"type":"NodePort","ports":[{"port":80}]}}"#,
    ),
    ("/api/v1/namespaces/default/configmaps", r#"{"metadata":{"name":"settings"},"data":{"a":"b"}}"#),
];

async fn create(api: &ApiServer, path: &str, object: &'static str) {
    let request = Request::post(path).header("content-type", "application/json").body(Body::from(object));
    let request = request.expect("a valid request");
    let answer = api.client(Identity::component("fuzz")).oneshot(request).await.expect("it cannot fail");
    assert_eq!(answer.status(), 201, "{path}");
}
