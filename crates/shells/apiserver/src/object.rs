//! Objects as stored bytes.
//!
//! An object is stored as JSON with `metadata` first and without its resource version, which only the commit knows. A
//! reader's bytes are the stored ones with the version spliced in behind `{"metadata":{`: nothing is decoded.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};
use store::{KeyValue, Revision};

const OPENING: &str = r#"{"metadata":{"#;

/// The stored form of an object. Its `metadata` is an object with at least a name.
pub(crate) fn encode(mut object: Value) -> Bytes {
    let mut rest = std::mem::take(object.as_object_mut().expect("the verbs store objects only"));
    let mut metadata = match rest.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    metadata.remove("resourceVersion");
    let metadata = Value::Object(metadata).to_string();
    let rest = Value::Object(rest).to_string();
    let mut bytes = BytesMut::with_capacity(metadata.len() + rest.len() + 16);
    bytes.put_slice(br#"{"metadata":"#);
    bytes.put_slice(metadata.as_bytes());
    if rest.len() > 2 {
        bytes.put_u8(b',');
        bytes.put_slice(&rest.as_bytes()[1..]);
    } else {
        bytes.put_u8(b'}');
    }
    bytes.freeze()
}

/// The object's bytes as a reader gets them at its last change.
pub(crate) fn with_version(stored: &KeyValue) -> Bytes {
    versioned(&stored.value, stored.modified)
}

/// Stored bytes with a resource version.
pub(crate) fn versioned(stored: &[u8], version: Revision) -> Bytes {
    let version = format!(r#""resourceVersion":"{version}","#);
    let mut bytes = BytesMut::with_capacity(stored.len() + version.len());
    bytes.put_slice(&stored[..OPENING.len()]);
    bytes.put_slice(version.as_bytes());
    bytes.put_slice(&stored[OPENING.len()..]);
    bytes.freeze()
}

/// The stored object as a value, with its resource version.
pub(crate) fn decode(stored: &KeyValue) -> Value {
    let mut value: Value = serde_json::from_slice(&stored.value).expect("the store holds what `encode` wrote");
    value["metadata"]["resourceVersion"] = Value::String(stored.modified.to_string());
    value
}

/// `metadata.name`, or the empty string.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_resource_version_is_spliced_into_the_stored_bytes() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "resourceVersion": "3"}});
        let stored = encode(object);
        assert_eq!(&stored[..], br#"{"metadata":{"name":"a"},"apiVersion":"v1","kind":"Pod"}"#);
        let read: Value = serde_json::from_slice(&versioned(&stored, 17)).expect("still JSON");
        assert_eq!(read["metadata"], json!({"name": "a", "resourceVersion": "17"}));
        assert_eq!(read["kind"], "Pod");
    }
}
