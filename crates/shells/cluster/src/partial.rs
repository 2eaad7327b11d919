//! Objects of any kind, as far as their metadata goes: what garbage collection and namespace deletion look at.

use api::{List, Metadata};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::reflector::{Change, Selection, Source, reflect_from};
use crate::requests::{Cluster, JSON, RequestError};

const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const OBJECT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The verbs that a kind must offer to be listed here.
const VERBS: [&str; 3] = ["list", "watch", "delete"];

/// `meta.k8s.io/v1 PartialObjectMetadata`: an object without its body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PartialObject {
    /// The object's metadata.
    pub metadata: Metadata,
}

/// A kind that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: String,
    /// API version within the group.
    pub version: String,
    /// As in `kind:`.
    pub kind: String,
    /// As in URLs.
    pub plural: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural` or `plural.group`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The URL path of the kind's objects, or of one of them.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "/api/" } else { "/apis/" };
        let mut path = format!("{root}{}", self.api_version());
        if self.namespaced && !namespace.is_empty() {
            path += &format!("/namespaces/{namespace}");
        }
        path += &format!("/{}", self.plural);
        if !name.is_empty() {
            path += &format!("/{name}");
        }
        path
    }
}

/// All kinds that can be listed, watched and deleted, each in its group's preferred version. A group that does not
/// answer is left out: an extension server that is down must not stop the rest.
pub async fn discover(cluster: &Cluster) -> Result<Vec<Kind>, RequestError> {
    let groups: Value = cluster.send(Method::GET, "/apis", JSON, None).await?;
    let mut kinds = kinds_of(cluster, "", "v1").await?;
    for group in groups["groups"].as_array().into_iter().flatten() {
        let (name, version) = (&group["name"], &group["preferredVersion"]["version"]);
        let (Some(name), Some(version)) = (name.as_str(), version.as_str()) else { continue };
        match kinds_of(cluster, name, version).await {
            Ok(found) => kinds.extend(found),
            Err(error) => {
                tracing::warn!(group = name, %error, "an API group does not say what it serves")
            }
        }
    }
    Ok(kinds)
}

async fn kinds_of(cluster: &Cluster, group: &str, version: &str) -> Result<Vec<Kind>, RequestError> {
    let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let list: Value = cluster.send(Method::GET, &path, JSON, None).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let offers = |resource: &&Value| {
        let verbs = resource["verbs"].as_array().map(Vec::as_slice).unwrap_or_default();
        VERBS.iter().all(|verb| verbs.iter().any(|offered| offered == verb))
    };
    let kind = |resource: &Value| Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(&resource["kind"]),
        plural: text(&resource["name"]),
        namespaced: resource["namespaced"] == true,
    };
    let resources = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(resources.iter().filter(|resource| !text(&resource["name"]).contains('/')).filter(offers).map(kind).collect())
}

/// The metadata of all objects of a kind in a namespace, or everywhere if that is empty.
pub async fn list_metadata(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
) -> Result<Vec<PartialObject>, RequestError> {
    let path = kind.path(namespace, "");
    let list: List<PartialObject> = cluster.list_as(&path, LIST).await?;
    Ok(list.items)
}

/// Reflects the metadata of all objects of a kind until the receiver is dropped.
pub fn reflect_metadata(cluster: &Cluster, kind: &Kind) -> mpsc::Receiver<Change<PartialObject>> {
    let source = Source {
        kind: kind.kind.clone(),
        path: kind.path("", ""),
        list_accept: LIST,
        watch_accept: OBJECT,
        metadata: |object: &PartialObject| &object.metadata,
    };
    reflect_from(cluster, source, Selection::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_knows_its_paths() {
        let kind = |group: &str, plural: &str, namespaced| Kind {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: String::new(),
            plural: plural.to_owned(),
            namespaced,
        };
        let slices = kind("discovery.k8s.io", "endpointslices", true);
        assert_eq!(slices.path("", ""), "/apis/discovery.k8s.io/v1/endpointslices");
        assert_eq!(slices.path("a", "b"), "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b");
        assert_eq!(slices.resource(), "endpointslices.discovery.k8s.io");
        assert_eq!(kind("", "nodes", false).path("", "n"), "/api/v1/nodes/n");
        assert_eq!(kind("", "pods", true).api_version(), "v1");
    }
}
