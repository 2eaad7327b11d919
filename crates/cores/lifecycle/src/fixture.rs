//! Objects for tests, written as JSON.

use jiff::Timestamp;
use serde_json::Value;

/// Decodes a fixture.
pub fn decode<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the fixture has the kind's shape")
}

/// A time of 2026-01-01, as `12:00:00`.
pub fn at(time: &str) -> Timestamp {
    format!("2026-01-01T{time}Z").parse().expect("the fixture is a time of day")
}

/// Lays `patch` over `base`: objects are merged, everything else is replaced.
pub fn merge(mut base: Value, patch: Value) -> Value {
    match (base.as_object_mut(), patch) {
        (Some(object), Value::Object(patch)) => {
            for (key, value) in patch {
                let below = object.remove(&key).unwrap_or(Value::Null);
                object.insert(key, merge(below, value));
            }
            base
        }
        (_, patch) => patch,
    }
}
