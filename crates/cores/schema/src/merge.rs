//! Which lists a strategic merge patch merges, kind by kind: what [`facts`](crate::facts) says of types, as paths.

use std::sync::OnceLock;

use serde_json::Value;

use crate::definitions::{definitions, reference};

/// A list that a strategic merge patch merges; all others are replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MergeKey {
    /// API group of the kind, empty for the core group.
    pub group: &'static str,
    /// The kind's name.
    pub kind: &'static str,
    /// The list's path, without indices: `spec.containers.ports`.
    pub path: String,
    /// The field that identifies an item; `None` if items are plain values, merged as a set.
    pub key: Option<&'static str>,
    /// Whether a patch may say by `$retainKeys` which fields an item keeps.
    pub retain_keys: bool,
}

/// All merged lists of all kinds, sorted by group, kind and path.
pub fn merge_keys() -> &'static [MergeKey] {
    static MERGE_KEYS: OnceLock<Vec<MergeKey>> = OnceLock::new();
    MERGE_KEYS.get_or_init(|| {
        let mut keys = Vec::new();
        for schema in definitions().components.values() {
            for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let text = |key: &str| kind[key].as_str().unwrap_or_default();
                let mut walk = Walk { group: text("group"), kind: text("kind"), keys: &mut keys };
                if schema["properties"].get("items").is_none() {
                    walk.fields("", schema, 0);
                }
            }
        }
        keys.sort();
        keys
    })
}

/// No served kind nests deeper; it stops types that contain themselves.
const DEPTH_MAX: usize = 20;

struct Walk<'a> {
    group: &'static str,
    kind: &'static str,
    keys: &'a mut Vec<MergeKey>,
}

impl Walk<'_> {
    fn fields(&mut self, path: &str, schema: &'static Value, depth: usize) {
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            let strategy = schema["x-kubernetes-patch-strategy"].as_str();
            if let Some(strategy) = strategy {
                self.keys.push(MergeKey {
                    group: self.group,
                    kind: self.kind,
                    path: path.clone(),
                    key: schema["x-kubernetes-patch-merge-key"].as_str(),
                    retain_keys: strategy.contains("retainKeys"),
                });
            }
            // Inside a list that is replaced nothing merges.
            let inner = match (schema.get("items"), strategy) {
                (Some(_), None) => None,
                (Some(items), Some(_)) => reference(items),
                (None, _) => reference(schema),
            };
            if let Some(name) = inner
                && depth < DEPTH_MAX
            {
                self.fields(&path, &definitions().components[name], depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, path: &str, expected: Option<(Option<&str>, bool)>) {
        let found = merge_keys().iter().find(|entry| entry.kind == kind && entry.path == path);
        assert_eq!(found.map(|entry| (entry.key, entry.retain_keys)), expected, "{kind} {path}");
    }

    #[test]
    fn s103_lists_of_a_service_merge_as_kubernetes_documents() {
        check("Service", "spec.ports", Some((Some("port"), false)));
        check("Service", "status.conditions", Some((Some("type"), false)));
        check("Service", "metadata.ownerReferences", Some((Some("uid"), false)));
        check("Service", "metadata.finalizers", Some((None, false)));
        for atomic in ["spec.clusterIPs", "spec.externalIPs", "spec.ipFamilies", "status.loadBalancer.ingress"] {
            check("Service", atomic, None);
        }
        check("Service", "metadata.managedFields", None);
    }

    #[test]
    fn lists_of_pods_and_nodes_merge_as_kubernetes_documents() {
        for (path, key) in [
            ("spec.containers", "name"),
            ("spec.initContainers", "name"),
            ("spec.ephemeralContainers", "name"),
            ("spec.imagePullSecrets", "name"),
            ("spec.hostAliases", "ip"),
            ("spec.topologySpreadConstraints", "topologyKey"),
            ("spec.schedulingGates", "name"),
            ("spec.containers.ports", "containerPort"),
            ("spec.containers.env", "name"),
            ("spec.containers.volumeMounts", "mountPath"),
            ("spec.containers.volumeDevices", "devicePath"),
            ("spec.initContainers.ports", "containerPort"),
            ("spec.ephemeralContainers.env", "name"),
            ("status.conditions", "type"),
            ("status.podIPs", "ip"),
            ("status.hostIPs", "ip"),
        ] {
            check("Pod", path, Some((Some(key), false)));
        }
        check("Pod", "spec.volumes", Some((Some("name"), true)));
        check("Pod", "spec.resourceClaims", Some((Some("name"), true)));
        for replaced in
            ["spec.tolerations", "spec.containers.command", "spec.containers.envFrom", "status.containerStatuses"]
        {
            check("Pod", replaced, None);
        }
        check("Node", "spec.podCIDRs", Some((None, false)));
        check("Node", "status.addresses", Some((Some("type"), false)));
        check("Node", "spec.taints", None);
        check("Endpoints", "subsets", None);
        check("EndpointSlice", "endpoints", None);
        check("ServiceCIDR", "status.conditions", Some((Some("type"), false)));
    }

    #[test]
    fn both_kinds_of_event_have_their_own_entries() {
        let groups: Vec<&str> = merge_keys()
            .iter()
            .filter(|entry| entry.kind == "Event" && entry.path == "metadata.finalizers")
            .map(|entry| entry.group)
            .collect();
        assert_eq!(groups, ["", "events.k8s.io"]);
    }
}
