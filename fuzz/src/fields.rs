//! Strict decoding: unknown fields, duplicate fields, values of a wrong type.

use schema::MESSAGES_MAX;
use serde_json::Value;

use crate::parts::line;

/// A line with group, version and kind, then the object. `core` is the group without a name.
pub fn fields(data: &[u8]) {
    let Some((kind, body)) = line(data) else { return };
    let parsed = serde_json::from_slice::<Value>(body);
    let duplicates = schema::duplicate_fields(body);
    assert_eq!(parsed.is_ok(), duplicates.is_ok(), "one of two readers of the same text refuses it: {duplicates:?}");
    let (Ok(object), Ok(duplicates)) = (parsed, duplicates) else { return };
    assert!(duplicates.len() <= MESSAGES_MAX);
    let canonical = schema::duplicate_fields(object.to_string().as_bytes()).expect("what we print is JSON");
    assert_eq!(canonical, Vec::<String>::new(), "a value has no duplicates");

    let mut words = kind.split(' ');
    let (Some(group), Some(version), Some(kind)) = (words.next(), words.next(), words.next()) else { return };
    let group = if group == "core" { "" } else { group };
    let unknown = schema::unknown_fields(group, version, kind, &object);
    assert!(unknown.len() <= MESSAGES_MAX);
    let _ = schema::type_error(group, version, kind, &object);
}
