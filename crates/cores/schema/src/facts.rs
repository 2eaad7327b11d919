//! Facts about fields that `k8s-openapi` doesn't tell: how lists and maps merge, which values some
//! strings may have, and two defaults.
//!
//! A list merges in two ways: by `patchStrategy` and one `patchMergeKey` in a strategic merge patch, by list type and
//! several map keys in server-side apply. The two disagree at times (a Service's ports: `port` against `port` and
//! `protocol`, S-103), so both are said. Lists that are not named here are atomic in both. See "Merge strategy" in
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.
//!
//! Types are named by the last part of their definition's name; a test shows that this is unique for those used.

use ListType::{Atomic, Map, Set};

/// How server-side apply treats a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Plain values, each of which has an owner.
    Set,
    /// Objects, identified by these fields.
    Map(&'static [&'static str]),
}

/// How a strategic merge patch treats a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchStrategy {
    /// Replaced as a whole.
    Replace,
    /// A set of plain values.
    Values,
    /// Objects, merged by this field.
    Merge(&'static str),
    /// As `Merge`, and an item keeps only those fields that the patch lists in `$retainKeys`.
    MergeRetainingKeys(&'static str),
}
use PatchStrategy::{Merge, MergeRetainingKeys, Replace, Values};

/// Type, field, list type, patch strategy.
pub(crate) const LISTS: &[(&str, &str, ListType, PatchStrategy)] = &[
    ("ObjectMeta", "finalizers", Set, Values),
    ("ObjectMeta", "ownerReferences", Map(&["uid"]), Merge("uid")),
    ("ServiceSpec", "ports", Map(&["port", "protocol"]), Merge("port")),
    ("ServiceStatus", "conditions", Map(&["type"]), Merge("type")),
    ("ServiceCIDRStatus", "conditions", Map(&["type"]), Merge("type")),
    ("NamespaceStatus", "conditions", Map(&["type"]), Merge("type")),
    ("Endpoint", "addresses", Set, Replace),
    ("NodeSpec", "podCIDRs", Set, Values),
    ("NodeStatus", "addresses", Map(&["type"]), Merge("type")),
    ("NodeStatus", "conditions", Map(&["type"]), Merge("type")),
    ("PodSpec", "containers", Map(&["name"]), Merge("name")),
    ("PodSpec", "ephemeralContainers", Map(&["name"]), Merge("name")),
    ("PodSpec", "hostAliases", Map(&["ip"]), Merge("ip")),
    ("PodSpec", "imagePullSecrets", Map(&["name"]), Merge("name")),
    ("PodSpec", "initContainers", Map(&["name"]), Merge("name")),
    ("PodSpec", "resourceClaims", Map(&["name"]), MergeRetainingKeys("name")),
    ("PodSpec", "schedulingGates", Map(&["name"]), Merge("name")),
    ("PodSpec", "topologySpreadConstraints", Map(&["topologyKey", "whenUnsatisfiable"]), Merge("topologyKey")),
    ("PodSpec", "volumes", Map(&["name"]), MergeRetainingKeys("name")),
    ("PodStatus", "conditions", Map(&["type"]), Merge("type")),
    ("PodStatus", "hostIPs", Atomic, Merge("ip")),
    ("PodStatus", "podIPs", Map(&["ip"]), Merge("ip")),
    ("PodStatus", "resourceClaimStatuses", Map(&["name"]), MergeRetainingKeys("name")),
    ("Container", "env", Map(&["name"]), Merge("name")),
    ("Container", "ports", Map(&["containerPort", "protocol"]), Merge("containerPort")),
    ("Container", "volumeDevices", Map(&["devicePath"]), Merge("devicePath")),
    ("Container", "volumeMounts", Map(&["mountPath"]), Merge("mountPath")),
    ("EphemeralContainer", "env", Map(&["name"]), Merge("name")),
    ("EphemeralContainer", "ports", Map(&["containerPort", "protocol"]), Merge("containerPort")),
    ("EphemeralContainer", "volumeDevices", Map(&["devicePath"]), Merge("devicePath")),
    ("EphemeralContainer", "volumeMounts", Map(&["mountPath"]), Merge("mountPath")),
    ("ContainerRestartRuleOnExitCodes", "values", Set, Replace),
    ("ContainerStatus", "allocatedResourcesStatus", Map(&["name"]), Merge("name")),
    ("ContainerStatus", "volumeMounts", Map(&["mountPath"]), Merge("mountPath")),
    ("NodeAllocatableResourceClaimStatus", "containers", Set, Replace),
    ("ResourceRequirements", "claims", Map(&["name"]), Replace),
    ("ResourceStatus", "resources", Map(&["resourceID"]), Replace),
];

/// Maps that server-side apply replaces as a whole; others merge by key.
pub(crate) const ATOMIC_MAPS: &[(&str, &str)] = &[("PodSpec", "nodeSelector"), ("ServiceSpec", "selector")];

/// Types whose fields have one owner together.
pub(crate) const ATOMIC_TYPES: &[&str] = &[
    "ConfigMapKeySelector",
    "EndpointAddress",
    "EndpointPort",
    "FileKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "OwnerReference",
    "ResourceFieldSelector",
    "SecretKeySelector",
    "TypedLocalObjectReference",
];

/// Defaults of fields that identify an item of a list: an item that leaves them out is found by these.
pub(crate) const DEFAULTS: &[(&str, &str, &str)] =
    &[("ContainerPort", "protocol", "TCP"), ("ServicePort", "protocol", "TCP")];

/// Strings that have one of a few values, as `kubectl explain` shows them: what concerns Services, and the usual ones of
/// Pods. Whether a value is allowed is not decided by this, but in `kinds`.
pub(crate) const VALUES: &[(&str, &str, &[&str])] = &[
    ("Container", "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("ContainerPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("EndpointSlice", "addressType", &["FQDN", "IPv4", "IPv6"]),
    ("NamespaceStatus", "phase", &["Active", "Terminating"]),
    ("PodSpec", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("PodSpec", "restartPolicy", &["Always", "Never", "OnFailure"]),
    ("PodStatus", "phase", &["Failed", "Pending", "Running", "Succeeded", "Unknown"]),
    ("ServicePort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("ServiceSpec", "externalTrafficPolicy", &["Cluster", "Local"]),
    ("ServiceSpec", "internalTrafficPolicy", &["Cluster", "Local"]),
    ("ServiceSpec", "ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]),
    ("ServiceSpec", "sessionAffinity", &["ClientIP", "None"]),
    ("ServiceSpec", "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("Taint", "effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
];
