//! Reads parts of JSON values that may not be there.

use serde_json::Value;

/// The string at a JSON pointer, or the empty one.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer.
pub(crate) fn int(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The items of the list at a JSON pointer, or none.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The strings of the list at a JSON pointer.
pub(crate) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    items(value, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The pairs of the string map at a JSON pointer.
pub(crate) fn pairs<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a str)> {
    let map = value.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)))
}

/// Whether the value at a JSON pointer is missing, or is an empty string, list or map.
pub(crate) fn is_empty(value: &Value, pointer: &str) -> bool {
    match value.pointer(pointer) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

/// Sets a field of an object; anything else is left alone.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value.into());
    }
}

/// Sets a field that is missing or an empty string.
pub(crate) fn set_default(object: &mut Value, name: &str, value: impl Into<Value>) {
    let missing = object.get(name).is_none_or(|old| old.is_null() || old.as_str() == Some(""));
    if missing {
        set(object, name, value);
    }
}

/// Removes a field of an object.
pub(crate) fn remove(object: &mut Value, name: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(name);
    }
}

/// Makes the field of `new` what it is in `old`.
pub(crate) fn keep(new: &mut Value, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => set(new, name, value.clone()),
        None => remove(new, name),
    }
}

/// The field as an object that can be written to. What stands in the way is replaced.
pub(crate) fn object<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    if !value.get(name).is_some_and(Value::is_object) {
        set(value, name, Value::Object(serde_json::Map::new()));
    }
    &mut value[name]
}

/// Copies a field of an object to another name.
pub(crate) fn keep_as(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = object.get(from).cloned() {
        set(object, to, value);
    }
}
