//! Slim read types of the Kubernetes objects that the proxy, DNS and the controllers use.
//!
//! They hold the fields that are read, and nothing else: unknown fields are dropped while decoding, so a cache of
//! Services costs what the data path needs. A slim type is never written back whole; whoever owns an object writes
//! it as JSON or by patch. What an object *means* is left to `intent`, `slices` and `zone`.

mod affinity;
mod endpoint_slice;
mod endpoints;
mod lease;
mod meta;
mod node;
mod pod;
mod selector;
mod service;
mod service_cidr;

pub use affinity::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinity, PodAffinityTerm,
    TopologySpreadConstraint,
};
pub use endpoint_slice::{
    AGENT_SLICE_MANAGER, AddressType, Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, Hint,
    SERVICE_NAME_LABEL,
};
pub use endpoints::{EndpointAddress, EndpointSubset, Endpoints};
pub use lease::{Lease, LeaseSpec};
pub use meta::{Labels, List, ListMeta, Metadata, ObjectReference, OwnerReference};
pub use node::{Node, NodeAddress, NodeSpec, NodeStatus, Taint};
pub use pod::{Condition, Container, ContainerPort, Pod, PodIp, PodSpec, PodStatus, SchedulingGate, Toleration};
pub use selector::{Requirement, Selector, SelectorError};
pub use service::{
    ClientIp, IngressPort, LoadBalancerIngress, LoadBalancerStatus, Protocol, Service, ServicePort, ServiceSpec,
    ServiceStatus, SessionAffinityConfig, TargetPort,
};
pub use service_cidr::{IpAddress, IpAddressSpec, ParentReference, ServiceCidr, ServiceCidrSpec, ServiceCidrStatus};

/// A kind of object that a client can list and watch.
pub trait Resource: serde::de::DeserializeOwned + Clone + Send + Sync + 'static {
    /// API group, empty for the core group.
    const GROUP: &'static str;
    /// API version within the group.
    const VERSION: &'static str;
    /// The kind's name, as in `kind:`.
    const KIND: &'static str;
    /// The plural name that stands in URLs.
    const PLURAL: &'static str;
    /// Whether objects live in namespaces.
    const NAMESPACED: bool;

    /// The object's metadata.
    fn metadata(&self) -> &Metadata;
}

/// Says where a slim type is served.
macro_rules! resource {
    ($type:ty, $group:literal, $version:literal, $kind:literal, $plural:literal, $namespaced:literal) => {
        impl $crate::Resource for $type {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;
            const NAMESPACED: bool = $namespaced;

            fn metadata(&self) -> &$crate::Metadata {
                &self.metadata
            }
        }
    };
}
pub(crate) use resource;

/// A Namespace, of which only the name, the deletion and its phase matter to readers.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct Namespace {
    /// Name, labels and deletion.
    pub metadata: Metadata,
    /// Who has to let go of it.
    pub spec: NamespaceSpec,
    /// Whether it is being deleted.
    pub status: NamespaceStatus,
}

/// A Namespace's specification.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct NamespaceSpec {
    /// `kubernetes` until the namespace is empty.
    #[serde(deserialize_with = "meta::null_as_default")]
    pub finalizers: Vec<String>,
}

/// A Namespace's status.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct NamespaceStatus {
    /// `Active` or `Terminating`.
    pub phase: String,
    /// What a deletion waits for.
    #[serde(deserialize_with = "meta::null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

resource!(Namespace, "", "v1", "Namespace", "namespaces", false);
