//! A Pod object, whole.

use api::{Metadata, Resource};
use serde::Deserialize;
use serde_json::Value;

/// A Pod with all its fields, since a field that is not known must be noticed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodObject {
    pub(crate) metadata: Metadata,
    /// All of it, metadata included.
    pub(crate) whole: Value,
}

impl<'de> Deserialize<'de> for PodObject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PodObject, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        // Bookmarks and Status objects have next to no metadata.
        let metadata = Metadata::deserialize(&whole["metadata"]).map_err(serde::de::Error::custom)?;
        Ok(PodObject { metadata, whole })
    }
}

impl Resource for PodObject {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Pod";
    const PLURAL: &'static str = "pods";
    const NAMESPACED: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl PodObject {
    /// The grace period of its deletion in seconds, if it is being deleted.
    pub(crate) fn deletion_grace_s(&self) -> Option<i64> {
        self.metadata.deletion_timestamp.as_ref()?;
        Some(self.whole["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0))
    }
}
