//! Which fields a kind has and of which type, and how a JSON value is brought into that shape.
//!
//! Objects come from anybody, so nothing behind [`conform`] may be surprised by a string where a number belongs. As in
//! Kubernetes, a wrong type is an error (400), a `null` is a field that isn't there, and an unknown field is dropped and
//! reported, so that the server can warn or refuse as the client's `fieldValidation` says. Kinds of which maitred reads
//! only a part (Pod, Node) have open shapes, which keep what they don't know.

use serde_json::Value;

use crate::{Kind, Refusal, age};

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything at all.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A whole number of 32 bits or a string.
    IntOrText,
    /// An RFC 3339 timestamp.
    Time,
    /// A map from strings to one shape.
    Map(&'static Shape),
    /// A list of one shape.
    List(&'static Shape),
    /// An object with exactly these fields.
    Object(&'static Fields),
    /// An object with these fields and others.
    Open(&'static Fields),
}

/// The fields of an object.
pub type Fields = [(&'static str, Shape)];

/// A list of strings.
pub const TEXTS: Shape = Shape::List(&Shape::Text);
/// A map from strings to strings.
pub const TEXT_MAP: Shape = Shape::Map(&Shape::Text);

/// A reference to an object, as in Events and endpoints.
pub const OBJECT_REFERENCE: Shape = Shape::Object(&[
    ("kind", Shape::Text),
    ("namespace", Shape::Text),
    ("name", Shape::Text),
    ("uid", Shape::Text),
    ("apiVersion", Shape::Text),
    ("resourceVersion", Shape::Text),
    ("fieldPath", Shape::Text),
]);

/// `status.conditions`, in their modern form.
pub const CONDITIONS: Shape = Shape::List(&Shape::Object(&[
    ("type", Shape::Text),
    ("status", Shape::Text),
    ("observedGeneration", Shape::Int64),
    ("lastTransitionTime", Shape::Time),
    ("reason", Shape::Text),
    ("message", Shape::Text),
]));

/// `metadata`.
pub const METADATA: Shape = Shape::Object(&[
    ("name", Shape::Text),
    ("generateName", Shape::Text),
    ("namespace", Shape::Text),
    ("selfLink", Shape::Text),
    ("uid", Shape::Text),
    ("resourceVersion", Shape::Text),
    ("generation", Shape::Int64),
    ("creationTimestamp", Shape::Time),
    ("deletionTimestamp", Shape::Time),
    ("deletionGracePeriodSeconds", Shape::Int64),
    ("labels", TEXT_MAP),
    ("annotations", TEXT_MAP),
    (
        "ownerReferences",
        Shape::List(&Shape::Object(&[
            ("apiVersion", Shape::Text),
            ("kind", Shape::Text),
            ("name", Shape::Text),
            ("uid", Shape::Text),
            ("controller", Shape::Bool),
            ("blockOwnerDeletion", Shape::Bool),
        ])),
    ),
    ("finalizers", TEXTS),
    ("managedFields", Shape::List(&Shape::Open(&[]))),
]);

/// Brings an object into the shape of its kind: checks types, drops `null`s and unknown fields, and sets `apiVersion`
/// and `kind`. Returns the unknown fields' paths, as in `unknown field "spec.foo"`.
pub fn conform(kind: &dyn Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
    let facts = kind.facts();
    let mut unknown = Vec::new();
    let result = fit(object, &Shape::Object(kind.shape()), "", &mut unknown);
    result.map_err(|mismatch| {
        let Mismatch { path, found, expected } = mismatch;
        Refusal::BadRequest(format!(
            "{name} in version \"{version}\" cannot be handled as a {name}: json: cannot unmarshal {found} into Go \
             struct field {name}.{path} of type {expected}",
            name = facts.kind,
            version = facts.version,
        ))
    })?;
    object["apiVersion"] = facts.api_version().into();
    object["kind"] = facts.kind.into();
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    Ok(unknown)
}

struct Mismatch {
    path: String,
    found: &'static str,
    expected: &'static str,
}

fn fit(value: &mut Value, shape: &Shape, path: &str, unknown: &mut Vec<String>) -> Result<(), Mismatch> {
    match (shape, &mut *value) {
        (Shape::Any, _) => Ok(()),
        (Shape::Text, Value::String(_)) | (Shape::Bool, Value::Bool(_)) | (Shape::IntOrText, Value::String(_)) => {
            Ok(())
        }
        (Shape::Int32 | Shape::IntOrText, Value::Number(number)) if fits_32_bits(number) => Ok(()),
        (Shape::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
        (Shape::Time, Value::String(text)) if age::is_time(text) => Ok(()),
        (Shape::Map(shape), Value::Object(map)) => {
            for (key, value) in map {
                if value.is_null() {
                    *value = zero(shape);
                }
                fit(value, shape, &join(path, key), unknown)?;
            }
            Ok(())
        }
        (Shape::List(shape), Value::Array(list)) => {
            for value in list {
                if value.is_null() {
                    *value = zero(shape);
                }
                fit(value, shape, path, unknown)?;
            }
            Ok(())
        }
        (Shape::Object(fields), Value::Object(map)) => fit_fields(map, fields, false, path, unknown),
        (Shape::Open(fields), Value::Object(map)) => fit_fields(map, fields, true, path, unknown),
        (_, found) => Err(Mismatch { path: path.to_owned(), found: type_found(found), expected: type_expected(shape) }),
    }
}

fn fit_fields(
    map: &mut serde_json::Map<String, Value>,
    fields: &Fields,
    open: bool,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), Mismatch> {
    let known = |name: &str| fields.iter().any(|(known, _)| *known == name);
    map.retain(|name, value| {
        if !open && !known(name) {
            unknown.push(format!("unknown field \"{}\"", join(path, name)));
            return false;
        }
        !value.is_null()
    });
    for (name, shape) in fields {
        if let Some(value) = map.get_mut(*name) {
            fit(value, shape, &join(path, name), unknown)?;
        }
    }
    Ok(())
}

/// What a `null` in a list or a map stands for.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Any => Value::Null,
        Shape::Text | Shape::Time => "".into(),
        Shape::Bool => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::IntOrText => 0.into(),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Map(_) | Shape::Object(_) | Shape::Open(_) => Value::Object(serde_json::Map::new()),
    }
}

fn fits_32_bits(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn type_found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any => "interface {}",
        Shape::Text => "string",
        Shape::Bool => "bool",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        Shape::IntOrText => "intstr.IntOrString",
        Shape::Time => "time.Time",
        Shape::Map(_) => "map",
        Shape::List(_) => "list",
        Shape::Object(_) | Shape::Open(_) => "struct",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests;
