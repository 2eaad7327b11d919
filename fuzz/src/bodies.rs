//! Request bodies in protobuf form.

use schema::from_protobuf;

use crate::parts::byte;

/// Kinds that a body may be sent for without naming its own.
const KINDS: [(&str, &str); 4] =
    [("v1", "Service"), ("v1", "Pod"), ("discovery.k8s.io/v1", "EndpointSlice"), ("v1", "DeleteOptions")];

/// A byte that chooses the kind, then the body.
pub fn bodies(data: &[u8]) {
    let Some((choice, body)) = byte(data) else { return };
    let (api_version, kind) = KINDS[usize::from(choice) % KINDS.len()];
    let Ok(object) = from_protobuf(body, api_version, kind) else { return };
    assert!(object["apiVersion"].is_string() && object["kind"].is_string(), "{object}");
    // What was read can be sent on, and means the same there.
    let sent = object.to_string();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&sent).ok(), Some(object));
}
