//! An API server over a store in memory, and requests to it.

use std::sync::Arc;
use std::time::Duration;

use apiserver::{ApiServer, Config, Identity};
use axum_core::body::Body;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::simulated::SimFiles;
use store::{Embedded, Options, Store};
use tower::ServiceExt;

pub const SERVICES: &str = "/api/v1/namespaces/default/services";
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";

pub struct Api {
    pub server: ApiServer,
    pub store: Arc<dyn Store>,
    pub files: SimFiles,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, if the code is this one.
    #[track_caller]
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }

    /// Asserts a `Status` of this code, reason and message.
    #[track_caller]
    pub fn refused(&self, code: u16, reason: &str, message: &str) {
        let told = (self.body["reason"].as_str(), self.body["message"].as_str());
        assert_eq!((self.code, told), (code, (Some(reason), Some(message))));
        assert_eq!((&self.body["kind"], &self.body["status"]), (&json!("Status"), &json!("Failure")));
        assert_eq!(self.body["code"], code);
    }
}

impl Api {
    pub async fn start() -> Api {
        Api::with_range("10.96.0.0/16").await
    }

    /// A server whose cluster IPs are in this range.
    pub async fn with_range(range: &str) -> Api {
        let files = SimFiles::new();
        let store = Embedded::open_on(Arc::new(files.clone()), Options::default()).expect("an empty store opens");
        let store: Arc<dyn Store> = Arc::new(store);
        let config = Config {
            service_ranges: vec![range.parse().expect("a range")],
            pod_ranges: vec!["10.244.0.0/16".parse().expect("a range")],
            node_ports: 30000..=32767,
            advertise: vec![[127, 0, 0, 1].into()],
            port: 6443,
        };
        let server = ApiServer::start(store.clone(), config).await.expect("it starts");
        Api { server, store, files }
    }

    pub async fn request(&self, request: Request<Body>) -> Response<Body> {
        self.server.client(Identity::component("test")).oneshot(request).await.expect("it cannot fail")
    }

    /// Sends a request with these headers and this body.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(self.request(request.body(body.into()).expect("a valid request")).await).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", accept)], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    /// A merge patch.
    pub async fn patch(&self, path: &str, patch: &Value) -> Answer {
        let media = [("content-type", "application/merge-patch+json")];
        self.send(Method::PATCH, path, &media, patch.to_string()).await
    }

    /// Starts a watch.
    pub async fn watch(&self, path: &str) -> Lines {
        self.watch_as(path, "application/json").await
    }

    pub async fn watch_as(&self, path: &str, accept: &str) -> Lines {
        let request = Request::builder().uri(path).header("accept", accept).body(Body::empty());
        let response = self.request(request.expect("a valid request")).await;
        assert_eq!(response.status(), 200, "{path}");
        Lines { body: response.into_body(), rest: Vec::new() }
    }

    /// The newest resource version.
    pub async fn version(&self) -> u64 {
        self.store.revision().await.expect("it is readable")
    }
}

pub async fn answer(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
    Answer { code: parts.status.as_u16(), headers: parts.headers, body }
}

/// The events of a watch.
pub struct Lines {
    body: Body,
    rest: Vec<u8>,
}

impl Lines {
    /// The next event; fails the test if there is none within ten seconds.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).expect("an event is one line of JSON");
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await;
            let frame = frame.expect("an event comes in time").expect("the watch goes on").expect("it is readable");
            self.rest.extend_from_slice(frame.data_ref().expect("a frame of data"));
        }
    }

    /// The next event's type, its object's name and resource version.
    pub async fn told(&mut self) -> (String, String, u64) {
        let event = self.next().await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &event["object"]["metadata"];
        (text(&event["type"]), text(&metadata["name"]), version(&event["object"]))
    }
}

/// An object's resource version.
#[track_caller]
pub fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().expect("a version is a text").parse().expect("of digits")
}

pub fn config_map(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

/// A Service with one port and, if given, this address.
pub fn service(name: &str, address: Option<&str>) -> Value {
    let mut service = json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] } });
    if let Some(address) = address {
        service["spec"]["clusterIP"] = address.into();
        service["spec"]["clusterIPs"] = json!([address]);
    }
    service
}

/// The names of a list's items.
pub fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}
