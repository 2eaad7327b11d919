//! Single requests: get, list, create, replace, patch, delete. Each has a limited time; watches are another matter.

use std::time::Duration;

use api::{List, Resource};
use http::{Method, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::reflector::parameter;

/// How long a request may take. The library has no such limit: a server whose machine vanishes after it has acknowledged a
/// request would leave it waiting for as long as the kernel keeps the connection.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a list may take, which can be large: as long as servers give one.
const LISTED: Duration = Duration::from_secs(60);

/// A client of one API server.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: kube::Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Cluster")
    }
}

/// Why a request failed. Its text holds what the server said, without what only programs read.
#[derive(Debug)]
pub struct RequestError {
    /// The HTTP method.
    pub method: Method,
    /// The path and parameters.
    pub path: String,
    /// What the server or the transport said.
    pub source: Box<kube::Error>,
}

/// No answer came, or not the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} s", within.as_secs())]
pub struct NoAnswer {
    /// How long it was waited for.
    pub within: Duration,
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}: ", self.method, self.path)?;
        match self.source.as_ref() {
            kube::Error::Api(status) if !status.message.is_empty() => out.write_str(&status.message),
            kube::Error::Service(error) if error.is::<NoAnswer>() => error.fmt(out),
            other => {
                let causes = std::iter::successors(Some(other as &dyn std::error::Error), |error| error.source());
                let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
                // Some errors say their cause themselves.
                texts.dedup_by(|cause, error| error.ends_with(cause.as_str()));
                out.write_str(&texts.join(": "))
            }
        }
    }
}

/// It has no source: its text says all of it.
impl std::error::Error for RequestError {}

impl RequestError {
    /// The HTTP code, if the server answered.
    pub fn code(&self) -> Option<u16> {
        match self.source.as_ref() {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// The machine-readable reason, if the server answered: `NotFound`, `AlreadyExists`, …
    pub fn reason(&self) -> &str {
        match self.source.as_ref() {
            kube::Error::Api(status) => &status.reason,
            _ => "",
        }
    }
}

/// The URL path of a kind's objects, or of one of them.
pub fn path<T: Resource>(namespace: &str, name: &str) -> String {
    let mut path =
        if T::GROUP.is_empty() { format!("/api/{}", T::VERSION) } else { format!("/apis/{}/{}", T::GROUP, T::VERSION) };
    if T::NAMESPACED && !namespace.is_empty() {
        path += &format!("/namespaces/{namespace}");
    }
    path += "/";
    path += T::PLURAL;
    if !name.is_empty() {
        path += "/";
        path += name;
    }
    path
}

/// A body with the kind's `apiVersion` and `kind`.
fn typed<T: Resource>(mut body: Value) -> Value {
    let version = if T::GROUP.is_empty() { T::VERSION.to_owned() } else { format!("{}/{}", T::GROUP, T::VERSION) };
    body["apiVersion"] = version.into();
    body["kind"] = T::KIND.into();
    body
}

/// The media type of plain requests and answers.
pub(crate) const JSON: &str = "application/json";
/// The media type of merge patches.
const MERGE_PATCH: &str = "application/merge-patch+json";
/// The media type of strategic merge patches, which merge lists such as conditions by their keys.
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

/// A merge patch that sets one top-level field.
pub fn patch_of(field: &str, value: Value) -> Value {
    serde_json::json!({ field: value })
}

impl Cluster {
    pub(crate) fn new(client: kube::Client) -> Cluster {
        Cluster { client }
    }

    /// Sends a request with a JSON body and decodes the answer.
    pub async fn send<R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<R, RequestError> {
        self.request(method, path, (content_type, JSON), body, ANSWER).await
    }

    /// Asks for a list in a form of its own, such as metadata only.
    pub(crate) async fn list_as<R: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<R, RequestError> {
        self.request(Method::GET, path, (JSON, accept), None, LISTED).await
    }

    /// Every request but watches passes here.
    async fn request<R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        (content_type, accept): (&str, &str),
        body: Option<&Value>,
        within: Duration,
    ) -> Result<R, RequestError> {
        let failed = |source| RequestError { method: method.clone(), path: path.to_owned(), source: Box::new(source) };
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, accept)
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
            .map_err(|source| failed(kube::Error::HttpError(source)))?;
        let answered = tokio::time::timeout(within, self.client.request(request)).await;
        answered.unwrap_or_else(|_| Err(kube::Error::Service(Box::new(NoAnswer { within })))).map_err(failed)
    }

    /// One object.
    pub async fn get<T: Resource>(&self, namespace: &str, name: &str) -> Result<T, RequestError> {
        self.send(Method::GET, &path::<T>(namespace, name), JSON, None).await
    }

    /// All objects of a kind, and the resource version of the list; `at` asks for exactly that version.
    pub async fn list<T: Resource>(&self, at: Option<&str>) -> Result<(Vec<T>, String), RequestError> {
        let at = at.map(|version| format!("?resourceVersion={version}&resourceVersionMatch=Exact"));
        let path = path::<T>("", "") + &at.unwrap_or_default();
        let list: List<T> = self.list_as(&path, JSON).await?;
        Ok((list.items, list.metadata.resource_version))
    }

    /// A page of a kind's objects, and the token by which the next one is asked for: empty at the end.
    pub async fn page<T: Resource>(&self, limit: usize, token: &str) -> Result<(Vec<T>, String), RequestError> {
        let path = format!("{}?limit={limit}{}", path::<T>("", ""), parameter("continue", token));
        let list: List<T> = self.list_as(&path, JSON).await?;
        Ok((list.items, list.metadata.r#continue))
    }

    /// Creates an object.
    pub async fn create<T: Resource>(&self, namespace: &str, body: Value) -> Result<T, RequestError> {
        let body = typed::<T>(body);
        self.send(Method::POST, &path::<T>(namespace, ""), JSON, Some(&body)).await
    }

    /// Replaces an object whole; only its owner does that.
    pub async fn replace<T: Resource>(&self, namespace: &str, name: &str, body: Value) -> Result<T, RequestError> {
        let body = typed::<T>(body);
        self.send(Method::PUT, &path::<T>(namespace, name), JSON, Some(&body)).await
    }

    /// Changes some fields by merge patch.
    pub async fn patch<T: Resource>(&self, namespace: &str, name: &str, patch: &Value) -> Result<T, RequestError> {
        self.send(Method::PATCH, &path::<T>(namespace, name), MERGE_PATCH, Some(patch)).await
    }

    /// Changes some fields of the status by merge patch.
    pub async fn patch_status<T: Resource>(
        &self,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<T, RequestError> {
        self.send(Method::PATCH, &format!("{}/status", path::<T>(namespace, name)), MERGE_PATCH, Some(patch)).await
    }

    /// Changes some fields of the status by strategic merge patch, which leaves the conditions of others alone.
    pub async fn merge_status<T: Resource>(
        &self,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<T, RequestError> {
        self.send(Method::PATCH, &format!("{}/status", path::<T>(namespace, name)), STRATEGIC_PATCH, Some(patch)).await
    }

    /// Deletes an object; that it is absent is no error.
    pub async fn delete<T: Resource>(
        &self,
        namespace: &str,
        name: &str,
        options: Option<&Value>,
    ) -> Result<(), RequestError> {
        let answer: Result<Value, _> = self.send(Method::DELETE, &path::<T>(namespace, name), JSON, options).await;
        match answer {
            Err(error) if error.code() != Some(404) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_an_error_tells_itself_is_told_once() {
        let refused = std::io::Error::other("connection refused");
        let source = Box::new(kube::Error::Service(Box::new(refused)));
        let error = RequestError { method: Method::GET, path: "/api/v1/pods".to_owned(), source };
        assert_eq!(error.to_string(), "GET /api/v1/pods: ServiceError: connection refused");
    }

    /// A server that never answers, or never to the end.
    fn silent(begins: bool) -> Cluster {
        crate::in_process(tower::service_fn(move |_| async move {
            if !begins {
                std::future::pending::<()>().await;
            }
            Ok::<_, std::convert::Infallible>(http::Response::new(Endless))
        }))
    }

    struct Endless;

    impl http_body::Body for Endless {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_waited_for_a_limited_time() {
        for begins in [false, true] {
            let begun = tokio::time::Instant::now();
            let patch = serde_json::json!({});
            let answer = silent(begins).patch::<api::Lease>("kube-node-lease", "n", &patch).await;
            let error = answer.expect_err("nobody answers");
            let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
            assert_eq!(error.to_string(), format!("PATCH {path}: no answer within 30 s"));
            assert_eq!(error.code(), None);
            assert_eq!(begun.elapsed().as_secs(), 30);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_has_more_time() {
        let error = silent(true).list::<api::Node>(None).await.expect_err("nobody answers to the end");
        assert_eq!(error.to_string(), "GET /api/v1/nodes: no answer within 60 s");
    }
}
