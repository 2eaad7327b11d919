//! The Kubernetes API over a [`store::Store`]: verbs, watch, tables, discovery, authentication.
//!
//! The verbs are generic; everything that makes a kind what it is stands in `kinds`. A request takes one way:
//!
//! ```text
//!   TLS or in-process ──► Identity ──► path ──► verb ──► kind's decision (pure) ──► one store transaction
//!                            │                                                        │
//!                            401                                        events to the watchers, once durable
//! ```
//!
//! Network requests get their [`Identity`] from the client certificate; consumers in the same process attach theirs by
//! [`ApiServer::client`], a request extension that no network request can carry.

mod bootstrap;
mod claims;
pub mod credentials;
mod discovery;
mod fields;
mod health;
mod identity;
mod keys;
mod listing;
mod object;
mod openapi;
mod options;
mod path;
mod ports;
mod query;
mod registry;
pub mod serve;
mod status;
mod table;
mod verbs;
mod warnings;
mod watch;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum_core::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use ipnet::IpNet;
use store::Store;

pub use bootstrap::{dns_address, first_address};
pub use identity::{Identity, InProcess};
pub use status::Status;

/// What the API server must know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ranges of cluster IPs, the primary family first (`--service-cluster-ip-range`).
    pub service_ranges: Vec<IpNet>,
    /// The ranges of Pod addresses (`--cluster-cidr`), as far as they are known.
    pub pod_ranges: Vec<IpNet>,
    /// The node ports (`--service-node-port-range`).
    pub node_ports: RangeInclusive<u16>,
    /// The addresses under which clients reach this server (`--advertise-address`).
    pub advertise: Vec<IpAddr>,
    /// The port it listens on.
    pub port: u16,
}

/// The API server, without its listener.
#[derive(Clone, Debug)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    config: Config,
    claims: Arc<claims::Claims>,
    /// Whether this server has said goodbye. An async lock: it is held while `default/kubernetes` is written.
    leaving: tokio::sync::Mutex<bool>,
}

impl ApiServer {
    /// Reads what the store holds and writes what must exist from the start: the four namespaces, the default
    /// ServiceCIDR (S-143) and the Services `default/kubernetes` (S-148) and `kube-system/kube-dns` (S-428).
    pub async fn start(store: Arc<dyn Store>, config: Config) -> Result<ApiServer, Status> {
        let claims = Arc::new(claims::Claims::load(store.as_ref()).await?);
        let server =
            ApiServer { inner: Arc::new(Inner { store, config, claims, leaving: tokio::sync::Mutex::new(false) }) };
        bootstrap::bootstrap(&server).await?;
        bootstrap::compare_ranges(&server).await?;
        bootstrap::keep(&server);
        Ok(server)
    }

    /// Takes this server out of `default/kubernetes`, as the last act of one that stops (S-149).
    pub async fn leave(&self) -> Result<(), Status> {
        bootstrap::leave(self).await
    }

    /// A client of this server in the same process, with a fixed identity.
    pub fn client(&self, identity: Identity) -> InProcess {
        InProcess::new(self.clone(), identity)
    }

    /// Answers one request. The caller has attached an [`Identity`] extension, or none for an anonymous client.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let answer = self.route(request).await;
        answer.unwrap_or_else(|status| status.response())
    }

    fn route(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Status>> {
        Box::pin(async move {
            if let Some(response) = health::answer(self, request.uri().path(), request.uri().query()) {
                return Ok(response);
            }
            if request.extensions().get::<Identity>().is_none() {
                return Err(Status::unauthorized());
            }
            if let Some(response) = discovery::answer(&request).or_else(|| openapi::answer(&request)) {
                return Ok(response);
            }
            verbs::answer(self, request).await
        })
    }
}

impl Inner {
    fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }
}
