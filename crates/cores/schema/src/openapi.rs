//! The OpenAPI v3 documents: one for each group and version, and an index of them.
//!
//! Their readers are kubectl and client libraries: `kubectl explain` reads paths and components; `kubectl apply` and
//! `create` look in the PATCH operation of a kind for the parameter `fieldValidation`, and there for the media types and in
//! the components for the keys of a strategic merge patch. The deprecated `watch/` paths are not listed.

mod operation;
mod parameter;
mod paths;
#[cfg(test)]
mod tests;
mod v2;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

pub use v2::DocumentV2;

use crate::definitions::{COMPONENTS, definitions};

/// An API group and one of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersion<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// Such as `v1`.
    pub version: &'a str,
}

impl GroupVersion<'_> {
    /// The path below which it is served, without a leading slash: `api/v1` or `apis/GROUP/VERSION`.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            format!("api/{}", self.version)
        } else {
            format!("apis/{}/{}", self.group, self.version)
        }
    }
}

/// A kind as it is served in one group and version.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// As in `kind:`.
    pub kind: &'a str,
    /// As in URLs.
    pub plural: &'a str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `status` subresource (GET, PUT and PATCH of the kind itself).
    pub has_status: bool,
    /// Further subresources.
    pub subresources: &'a [Subresource<'a>],
}

/// A subresource that takes and gives objects of one kind of the same group and version.
#[derive(Clone, Copy, Debug)]
pub struct Subresource<'a> {
    /// The last part of its path, such as `binding`.
    pub name: &'a str,
    /// The kind it takes.
    pub kind: &'a str,
    /// What can be done with it.
    pub methods: &'a [Method],
}

/// An HTTP method on a collection, an object or a subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read or list.
    Get,
    /// Create.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Delete one or all.
    Delete,
}

/// A document as it is sent, ready to be kept: making one takes some milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it stands below `/openapi/v3/`: `api/v1`, `apis/discovery.k8s.io/v1`.
    pub path: String,
    /// The document, JSON.
    pub bytes: Vec<u8>,
    /// Changes if and only if the bytes do. A client that asks with `?hash=` of this may keep the answer for ever.
    pub hash: String,
}

impl Document {
    /// The document of a group and version.
    pub fn new(of: GroupVersion, kinds: &[Served]) -> Document {
        let bytes = openapi_v3(of, kinds).to_string().into_bytes();
        Document { path: of.path(), hash: hash(&bytes), bytes }
    }
}

/// What `/openapi/v3` answers: where the documents are.
pub fn openapi_v3_index(documents: &[Document]) -> Value {
    let paths: Map<String, Value> = documents
        .iter()
        .map(|Document { path, hash, .. }| {
            (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The OpenAPI 3.0 document of a group and version. Kinds that are not defined here are objects with any fields.
pub fn openapi_v3(of: GroupVersion, kinds: &[Served]) -> Value {
    let mut paths = Map::new();
    for kind in kinds {
        paths.extend(paths::paths(of, kind));
    }
    let paths = Value::Object(paths);
    let mut wanted = BTreeSet::new();
    close(&paths, &mut wanted);
    let schemas: Map<String, Value> =
        wanted.into_iter().map(|name| (name.to_owned(), definitions().components[name].clone())).collect();
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// Collects the components that a value refers to, and those that they refer to.
fn close(value: &Value, wanted: &mut BTreeSet<&'static str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| close(item, wanted)),
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(COMPONENTS))
                && let Some((name, schema)) = definitions().components.get_key_value(name)
                && wanted.insert(name)
            {
                close(schema, wanted);
            }
            fields.values().for_each(|field| close(field, wanted));
        }
        _ => {}
    }
}

/// FNV-1a of 64 bits: it has to tell versions of a document apart, not to withstand anybody.
fn hash(bytes: &[u8]) -> String {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016X}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}
