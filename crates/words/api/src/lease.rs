//! Lease (`coordination.k8s.io/v1`): the sign of life of a node, a server or a leader.

use serde::{Deserialize, Serialize};

use crate::{Metadata, resource};

/// Who holds something, and when it last said so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Lease {
    /// Name; a node's Lease is named as the node, in namespace `kube-node-lease`.
    pub metadata: Metadata,
    /// Holder and times.
    pub spec: LeaseSpec,
}

resource!(Lease, "coordination.k8s.io", "v1", "Lease", "leases", true);

/// A Lease's specification.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_identity: Option<String>,
    /// How long others wait after `renew_time`, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i32>,
    /// When it was taken, RFC 3339 with microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquire_time: Option<String>,
    /// When it was last renewed, RFC 3339 with microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<String>,
    /// How often it changed hands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_transitions: Option<i32>,
}
