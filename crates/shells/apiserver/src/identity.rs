//! Who sends a request.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum_core::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};

use crate::ApiServer;

/// An authenticated client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User name: the certificate's common name, or `system:maitred:ROLE` in process.
    pub user: String,
    /// Groups: the certificate's organizations.
    pub groups: Vec<String>,
}

impl Identity {
    /// A consumer in the same process.
    pub fn component(role: &str) -> Identity {
        Identity { user: format!("system:maitred:{role}"), groups: vec!["system:masters".to_owned()] }
    }
}

/// The API server as a transport for a client in the same process: no socket, the same handling, a fixed identity.
#[derive(Clone, Debug)]
pub struct InProcess {
    server: ApiServer,
    identity: Identity,
}

impl InProcess {
    pub(crate) fn new(server: ApiServer, identity: Identity) -> InProcess {
        InProcess { server, identity }
    }
}

impl<B> tower::Service<Request<B>> for InProcess
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.identity.clone());
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}
