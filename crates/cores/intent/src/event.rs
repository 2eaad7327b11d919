//! What can happen to the objects that Services are made of.

use std::net::IpAddr;
use std::sync::Arc;

use api::{EndpointSlice, Node, Service, ServiceCidr};

/// One change of the world. Objects are shared with the caller's cache, not copied.
#[derive(Clone, Debug)]
pub enum Event {
    /// A Service exists in this form.
    Service(Arc<Service>),
    /// A Service no longer exists.
    ServiceGone {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An EndpointSlice exists in this form.
    Slice(Arc<EndpointSlice>),
    /// An EndpointSlice no longer exists.
    SliceGone {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Node exists in this form. Other Nodes than this one are ignored.
    Node(Arc<Node>),
    /// A Node no longer exists.
    NodeGone {
        /// Its name.
        name: String,
    },
    /// A ServiceCIDR exists in this form.
    ServiceCidr(Arc<ServiceCidr>),
    /// A ServiceCIDR no longer exists.
    ServiceCidrGone {
        /// Its name.
        name: String,
    },
    /// All addresses of the host's interfaces.
    HostAddresses(Vec<IpAddr>),
}
