//! Pod, as the endpoint controllers and the scheduler read it.

use serde::{Deserialize, Serialize};

use crate::meta::null_as_default;
use crate::{Affinity, Labels, Metadata, Protocol, TopologySpreadConstraint, resource};

/// A Pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Pod {
    /// Name, labels, deletion.
    pub metadata: Metadata,
    /// What runs where.
    pub spec: PodSpec,
    /// Its addresses and conditions.
    pub status: PodStatus,
}

resource!(Pod, "", "v1", "Pod", "pods", true);

/// A Pod's specification.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Empty until the Pod is bound.
    pub node_name: String,
    /// Shares the node's network.
    pub host_network: bool,
    /// Host name, else the Pod's name.
    pub hostname: String,
    /// The governing Service's name.
    pub subdomain: String,
    /// Labels that a node must have.
    #[serde(deserialize_with = "null_as_default")]
    pub node_selector: Labels,
    /// Taints that it can live with.
    #[serde(deserialize_with = "null_as_default")]
    pub tolerations: Vec<Toleration>,
    /// Where else it must and must not go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How evenly it and its like are to be spread.
    #[serde(deserialize_with = "null_as_default")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Who binds it; empty means `default-scheduler`.
    pub scheduler_name: String,
    /// It is not bound while there are any.
    #[serde(deserialize_with = "null_as_default")]
    pub scheduling_gates: Vec<SchedulingGate>,
    /// The containers.
    #[serde(deserialize_with = "null_as_default")]
    pub containers: Vec<Container>,
    /// Containers that run before the others, or beside them (`restartPolicy: Always`).
    #[serde(deserialize_with = "null_as_default")]
    pub init_containers: Vec<Container>,
}

/// A kind of taint that a Pod can live with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// The taint's key; empty, with `Exists`, means every key.
    pub key: String,
    /// `Exists` or `Equal`; empty means `Equal`.
    pub operator: String,
    /// The taint's value, for `Equal`.
    pub value: String,
    /// The taint's effect; empty means every effect.
    pub effect: String,
}

/// What keeps a Pod from being bound until somebody takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SchedulingGate {
    /// Whose it is.
    pub name: String,
}

/// A container, of which readers use the ports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Unique in the Pod.
    pub name: String,
    /// What it listens on.
    #[serde(deserialize_with = "null_as_default")]
    pub ports: Vec<ContainerPort>,
    /// `Always` makes an init container a side car.
    pub restart_policy: Option<String>,
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// What a named targetPort refers to.
    pub name: String,
    /// The number.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A Pod's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// The first address.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// All addresses, at most one per family.
    #[serde(rename = "podIPs", deserialize_with = "null_as_default")]
    pub pod_ips: Vec<PodIp>,
    /// `Ready` among them.
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<Condition>,
}

/// An address of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A condition in a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// What is said.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When `status` last changed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// One word for machines.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
