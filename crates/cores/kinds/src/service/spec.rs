//! The spec of a Service as the pipeline works on it.
//!
//! Values that must be checked are strings here, since the checks come last (S-108).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Refusal, ip};

pub(super) const NONE: &str = "None";
pub(super) const EXTERNAL_NAME: &str = "ExternalName";
pub(super) const LOAD_BALANCER: &str = "LoadBalancer";
pub(super) const NODE_PORT: &str = "NodePort";
pub(super) const CLUSTER_IP: &str = "ClusterIP";
pub(super) const SINGLE_STACK: &str = "SingleStack";
pub(super) const PREFER_DUAL_STACK: &str = "PreferDualStack";
pub(super) const REQUIRE_DUAL_STACK: &str = "RequireDualStack";
pub(super) const LOCAL: &str = "Local";
pub(super) const CLUSTER: &str = "Cluster";
pub(super) const CLIENT_IP: &str = "ClientIP";

/// A Service, with its spec taken apart.
pub(super) struct Decoded {
    /// Everything but the spec.
    pub other: Map<String, Value>,
    /// The spec.
    pub spec: Spec,
}

impl Decoded {
    /// Takes an object apart that is in its kind's shape.
    pub fn new(object: Value) -> Result<Decoded, Refusal> {
        let Value::Object(mut other) = object else {
            return Err(Refusal::BadRequest("a Service must be an object".to_owned()));
        };
        let spec = other.remove("spec").unwrap_or_else(|| Value::Object(Map::new()));
        let spec = serde_json::from_value(spec)
            .map_err(|error| Refusal::BadRequest(format!("spec of the Service cannot be read: {error}")))?;
        Ok(Decoded { other, spec })
    }

    /// Puts the object together again.
    pub fn encode(&self) -> Value {
        let mut object = self.other.clone();
        // A spec holds only strings, numbers, lists and maps with string keys, which all can be written.
        object.insert("spec".to_owned(), serde_json::to_value(&self.spec).unwrap_or_default());
        Value::Object(object)
    }
}

/// `spec` (S-102). Absent and empty are the same, as they are after a round trip through Kubernetes' store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    #[serde(rename = "clusterIP", skip_serializing_if = "String::is_empty")]
    pub cluster_ip: String,
    #[serde(rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<String>,
    pub r#type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    #[serde(rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    pub session_affinity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<SessionAffinityConfig>,
    #[serde(rename = "loadBalancerIP", skip_serializing_if = "String::is_empty")]
    pub load_balancer_ip: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_traffic_policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub health_check_node_port: i32,
    #[serde(skip_serializing_if = "is_false")]
    pub publish_not_ready_addresses: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
}

/// One of `spec.ports`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Port {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    pub port: i32,
    pub target_port: TargetPort,
    #[serde(skip_serializing_if = "is_zero")]
    pub node_port: i32,
}

/// A port of the endpoints, by number or by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum TargetPort {
    Number(i32),
    Name(String),
}

impl Default for TargetPort {
    fn default() -> TargetPort {
        TargetPort::Number(0)
    }
}

/// `spec.sessionAffinityConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SessionAffinityConfig {
    #[serde(rename = "clientIP", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<ClientIp>,
}

/// `spec.sessionAffinityConfig.clientIP`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientIp {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Spec {
    pub fn is_external_name(&self) -> bool {
        self.r#type == EXTERNAL_NAME
    }

    pub fn is_load_balancer(&self) -> bool {
        self.r#type == LOAD_BALANCER
    }

    /// Whether the type is one that gets cluster IPs.
    pub fn needs_cluster_ip(&self) -> bool {
        [CLUSTER_IP, NODE_PORT, LOAD_BALANCER].contains(&self.r#type.as_str())
    }

    pub fn is_headless(&self) -> bool {
        matches!(self.cluster_ips.as_slice(), [only] if only == NONE)
    }

    /// Headless and without selector: it has no endpoints of its own, and may carry any families (S-115).
    pub fn is_headless_selectorless(&self) -> bool {
        self.cluster_ip == NONE && self.selector.is_empty()
    }

    /// Whether the type is one whose ports may have node ports.
    pub fn has_node_ports(&self) -> bool {
        self.r#type == NODE_PORT || self.is_load_balancer()
    }

    /// Whether ports without a node port get one (S-135).
    pub fn needs_node_ports(&self) -> bool {
        self.r#type == NODE_PORT || (self.is_load_balancer() && self.allocate_load_balancer_node_ports.unwrap_or(true))
    }

    /// Whether load balancers must be able to ask which nodes have endpoints.
    pub fn needs_health_check(&self) -> bool {
        self.is_load_balancer() && self.external_traffic_policy == LOCAL
    }

    /// Reachable from outside the cluster (S-111).
    pub fn is_externally_accessible(&self) -> bool {
        self.has_node_ports() || (self.r#type == CLUSTER_IP && !self.external_ips.is_empty())
    }

    pub fn has_policy(&self, policy: &str) -> bool {
        self.ip_family_policy.as_deref() == Some(policy)
    }

    /// The node ports that are set, in order.
    pub fn node_ports(&self) -> impl Iterator<Item = i32> {
        self.ports.iter().map(|port| port.node_port).filter(|&port| port != 0)
    }
}

/// `IPv4` or `IPv6`.
pub(super) fn family_of(address: IpAddr) -> String {
    ip::family(address).to_owned()
}

/// The family that isn't this one.
pub(super) fn other_family(family: &str) -> String {
    if family == "IPv4" { "IPv6" } else { "IPv4" }.to_owned()
}
