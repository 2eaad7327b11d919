//! Service (S-102), as the proxy, DNS and the endpoint controllers read it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::meta::null_as_default;
use crate::{Labels, Metadata, resource};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Service {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// What is asked for.
    pub spec: ServiceSpec,
    /// What a load balancer gave.
    pub status: ServiceStatus,
}

resource!(Service, "", "v1", "Service", "services", true);

impl Service {
    /// A Service without a cluster IP of its own, whose name leads to its Pods.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// A Service that is an alias of a DNS name.
    pub fn is_external_name(&self) -> bool {
        self.spec.r#type == "ExternalName"
    }
}

/// A Service's specification. Enumerations that the server has validated stay text here, so that a value from a newer
/// server is ignored rather than refused.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub r#type: String,
    /// `None` for headless Services, empty for ExternalName.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// At most one address per family, or `None`.
    #[serde(rename = "clusterIPs", deserialize_with = "null_as_default")]
    pub cluster_ips: Vec<String>,
    /// `IPv4`, `IPv6`, in order of preference.
    #[serde(deserialize_with = "null_as_default")]
    pub ip_families: Vec<String>,
    /// The ports that are served.
    #[serde(deserialize_with = "null_as_default")]
    pub ports: Vec<ServicePort>,
    /// Labels of the Pods; nil and empty both mean "no selector" (S-201).
    #[serde(deserialize_with = "null_as_default")]
    pub selector: Labels,
    /// Addresses that somebody else routes here.
    #[serde(rename = "externalIPs", deserialize_with = "null_as_default")]
    pub external_ips: Vec<String>,
    /// `None` or `ClientIP`.
    pub session_affinity: String,
    /// Affinity time-out.
    pub session_affinity_config: Option<SessionAffinityConfig>,
    /// Client ranges that may use the load-balancer addresses.
    #[serde(deserialize_with = "null_as_default")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Who implements the load balancer.
    pub load_balancer_class: Option<String>,
    /// The DNS name that an ExternalName Service stands for.
    pub external_name: String,
    /// `Cluster` or `Local`; empty where it does not apply.
    pub external_traffic_policy: String,
    /// `Cluster` or `Local`; empty means `Cluster`.
    pub internal_traffic_policy: String,
    /// Health check port of a Local load balancer, 0 if none.
    pub health_check_node_port: u16,
    /// Endpoints count as ready from the start (S-205).
    pub publish_not_ready_addresses: bool,
    /// `PreferClose`, `PreferSameZone`, `PreferSameNode`.
    pub traffic_distribution: Option<String>,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Empty only where the Service has one port.
    pub name: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Application protocol (S-124).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// The port under the virtual addresses.
    pub port: u16,
    /// The port of the Pods: number or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<TargetPort>,
    /// The port on every node, 0 if none.
    pub node_port: u16,
}

/// A port of a Pod, by number or by the name of a container port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// A port number.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

/// A transport protocol that Services know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum Protocol {
    /// TCP, the default.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// Configuration of session affinity.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionAffinityConfig {
    /// For `ClientIP`.
    #[serde(rename = "clientIP")]
    pub client_ip: Option<ClientIp>,
}

/// `ClientIP` affinity.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIp {
    /// Seconds, 1 to 86400; 10800 if unset.
    pub timeout_seconds: Option<u32>,
}

/// A Service's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Addresses of the load balancer.
    pub load_balancer: LoadBalancerStatus,
}

/// Addresses of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// The points of entry.
    #[serde(deserialize_with = "null_as_default")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// One point of entry.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    /// An address, empty if the ingress is a name.
    pub ip: String,
    /// A DNS name.
    pub hostname: String,
    /// `VIP` (programmed on nodes) or `Proxy` (not).
    pub ip_mode: Option<String>,
    /// Port states.
    #[serde(deserialize_with = "null_as_default")]
    pub ports: Vec<IngressPort>,
}

/// The state of one port of an ingress.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct IngressPort {
    /// The Service port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Why it is not served.
    pub error: Option<String>,
}
