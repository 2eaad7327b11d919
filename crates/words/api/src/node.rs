//! Node, as the proxy, the scheduler and the agent read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meta::null_as_default;
use crate::{Condition, Metadata, resource};

/// Label that names a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// A machine that runs Pods.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Node {
    /// Name, labels (the zone among them).
    pub metadata: Metadata,
    /// Pod ranges and taints.
    pub spec: NodeSpec,
    /// Addresses and conditions.
    pub status: NodeStatus,
}

resource!(Node, "", "v1", "Node", "nodes", false);

impl Node {
    /// The node's zone, if it is labelled with one.
    pub fn zone(&self) -> Option<&str> {
        self.metadata.labels.get(ZONE_LABEL).map(String::as_str)
    }
}

/// A Node's specification.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// The Pod ranges, one per family.
    #[serde(rename = "podCIDRs", deserialize_with = "null_as_default")]
    pub pod_cidrs: Vec<ipnet::IpNet>,
    /// What keeps Pods away.
    #[serde(deserialize_with = "null_as_default")]
    pub taints: Vec<Taint>,
    /// No new Pods.
    pub unschedulable: bool,
}

/// What keeps Pods away from a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// The taint's key.
    pub key: String,
    /// The taint's value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
    /// When it was added, RFC 3339; the list of taints is always written whole, so this is carried along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

/// A Node's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Where the node is reached.
    #[serde(deserialize_with = "null_as_default")]
    pub addresses: Vec<NodeAddress>,
    /// `Ready` among them.
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<Condition>,
    /// What Pods may use: quantities by resource name.
    #[serde(deserialize_with = "null_as_default")]
    pub allocatable: BTreeMap<String, String>,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, …
    pub r#type: String,
    /// The address or name.
    pub address: String,
}
