//! A tap between the controllers and their server: it sees requests and answers, and can hold, refuse or change them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use apiserver::{ApiServer, Identity};
use bytes::Bytes;
use cluster::Cluster;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, Service as _};

pub type Request = http::Request<Body>;
pub type Response = http::Response<UnsyncBoxBody<Bytes, BoxError>>;
/// Hands a request on to the server.
pub type Forward = Box<dyn FnOnce(Request) -> BoxFuture<'static, Response> + Send>;
/// What becomes of a request.
pub type Tap = Arc<dyn Fn(Request, Forward) -> BoxFuture<'static, Response> + Send + Sync>;

/// A client of the server behind a tap.
pub fn tapped(server: &ApiServer, name: &str, tap: Tap) -> Cluster {
    let (server, identity) = (server.clone(), Identity::component(name));
    cluster::in_process(tower::service_fn(move |request: Request| {
        let mut client = server.client(identity.clone());
        let forward: Forward = Box::new(move |request: Request| {
            Box::pin(async move { client.call(request).await.expect("it cannot fail").map(boxed) })
        });
        let answer = tap(request, forward);
        async move { Ok::<Response, Infallible>(answer.await) }
    }))
}

fn boxed<B>(body: B) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Whether the request is of this method for objects of this kind, other than a watch.
pub fn is(request: &Request, method: &Method, plural: &str) -> bool {
    request.method() == method && concerns(request, plural) && !is_watch(request)
}

/// Whether the request watches objects of this kind.
pub fn watches(request: &Request, plural: &str) -> bool {
    is_watch(request) && concerns(request, plural)
}

fn concerns(request: &Request, plural: &str) -> bool {
    request.uri().path().split('/').any(|part| part == plural)
}

fn is_watch(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"))
}

/// An answer that refuses a request.
fn refusal(code: StatusCode, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("refused by the test: {reason}"), "reason": reason, "code": code.as_u16(),
    });
    let body = boxed(Full::new(Bytes::from(status.to_string())));
    http::Response::builder().status(code).header("content-type", "application/json").body(body).expect("a response")
}

/// Answers in place of the server whatever `chosen` names, as long as it says so.
pub fn refusing(
    log: &Log,
    answer: (StatusCode, &'static str),
    chosen: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> Tap {
    let log = log.clone();
    Arc::new(move |request: Request, forward: Forward| {
        let refused = chosen(&request).then(|| refusal(answer.0, answer.1));
        let answer = move |request: Request| match refused {
            Some(refused) => std::future::ready(refused).boxed(),
            None => forward(request),
        };
        log.clone().following(request, answer).boxed()
    })
}

/// A line of a watch that says that its version is too old.
pub fn expired() -> Bytes {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410 });
    format!("{}\n", json!({ "type": "ERROR", "object": status })).into()
}

/// The same answer with another body, made of the pieces of its own.
pub fn with_pieces(
    response: Response,
    pieces: impl FnOnce(BoxStream<'static, Bytes>) -> BoxStream<'static, Bytes>,
) -> Response {
    response.map(|body| {
        let own = body.into_data_stream().filter_map(|piece| std::future::ready(piece.ok())).boxed();
        let frames = pieces(own).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        boxed(StreamBody::new(frames))
    })
}

/// What the server answered about slices and Endpoints: method, plural and code, in order, watches aside.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Answer>>>);

type Answer = (Method, &'static str, u16);

impl Log {
    /// Writes down what becomes of a request.
    pub async fn following(
        self,
        request: Request,
        answer: impl FnOnce(Request) -> BoxFuture<'static, Response>,
    ) -> Response {
        let plural = ["endpointslices", "endpoints"].into_iter().find(|plural| concerns(&request, plural));
        let (method, watch) = (request.method().clone(), is_watch(&request));
        let response = answer(request).await;
        if let Some(plural) = plural.filter(|_| !watch) {
            self.0.lock().expect("nobody panics with it").push((method, plural, response.status().as_u16()));
        }
        response
    }

    /// How many answers of this code there were.
    pub fn count(&self, method: &Method, plural: &str, code: u16) -> usize {
        let log = self.0.lock().expect("nobody panics with it");
        log.iter().filter(|(m, p, c)| m == method && *p == plural && *c == code).count()
    }

    /// Everything, for a test that fails.
    pub fn text(&self) -> String {
        let log = self.0.lock().expect("nobody panics with it");
        log.iter().map(|(method, plural, code)| format!("{method} {plural} {code}\n")).collect()
    }
}

/// The status of a Pod that runs at an address.
pub fn running(ip: &str, ready: bool, since: &str) -> Value {
    let ready = if ready { "True" } else { "False" };
    let condition = json!({ "type": "Ready", "status": ready, "lastTransitionTime": since });
    json!({ "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }], "conditions": [condition] } })
}
