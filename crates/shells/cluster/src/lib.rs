//! The Kubernetes client: requests, list-watch caches, Events.
//!
//! All consumers use one type, [`Cluster`], over one client type. In the server's process the client's transport is a
//! direct call into the API server; across machines it is TLS. No consumer knows which.

mod connect;
mod events;
mod partial;
mod reflector;
mod requests;

pub use connect::{ConnectError, OneLine, in_process, kubeconfig};
pub use events::{Recorder, Subject};
pub use partial::{Kind, PartialObject, discover, list_metadata, reflect_metadata};
pub use reflector::{Change, Selection, reflect};
pub use requests::{Cluster, NoAnswer, RequestError, patch_of, path};
