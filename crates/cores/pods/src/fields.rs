//! Reading JSON by path, and naming what nobody read.

use serde_json::{Map, Value};

use crate::Obstacle;

/// Collects what stands in the way of running a Pod.
#[derive(Debug, Default)]
pub(crate) struct Obstacles {
    found: Vec<Obstacle>,
}

impl Obstacles {
    pub(crate) fn add(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.found.push(Obstacle { field: field.into(), why: why.into() });
    }

    /// Names every field of `object` that says something and isn't in `known`.
    pub(crate) fn unknown(&mut self, path: &str, object: &Value, known: &[&str]) {
        let Some(fields) = object.as_object() else { return };
        for (name, value) in fields {
            if !known.contains(&name.as_str()) && !says_nothing(value) {
                self.add(format!("{path}.{name}"), "maitred does not implement this field");
            }
        }
    }

    pub(crate) fn into_found(self) -> Vec<Obstacle> {
        self.found
    }
}

/// Whether a field might as well not be there.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// The text at a field, or an empty one.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The texts of a list.
pub(crate) fn texts(object: &Value, field: &str) -> Vec<String> {
    items(object, field).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The entries of a list.
pub(crate) fn items<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}

/// The fields of an object.
pub(crate) fn pairs<'a>(object: &'a Value, field: &str) -> Option<&'a Map<String, Value>> {
    object[field].as_object()
}
