//! Patches as functions from values to values: JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes's strategic
//! merge patch, which merges some lists by a key.
//!
//! Which lists those are is said by `schema`. Server-side apply comes with managed fields.

mod strategic;

use serde_json::Value;

/// The language of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
}

impl Form {
    /// The media types of all forms.
    pub const MEDIA_TYPES: [&str; 3] =
        ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

    /// The form that a `Content-Type` names.
    pub fn from_media_type(media_type: &str) -> Option<Form> {
        let forms = [Form::Json, Form::Merge, Form::Strategic];
        Form::MEDIA_TYPES.iter().zip(forms).find(|(name, _)| **name == media_type).map(|(_, form)| form)
    }
}

/// The most operations of a JSON patch, as upstream.
const OPERATIONS_MAX: usize = 10_000;
/// The most bytes that the `copy` operations of a JSON patch may copy: the size of the largest body.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Why a patch could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is not of its form.
    #[error("{0}")]
    Malformed(String),
    /// The patch is well formed but does not fit the object.
    #[error("{0}")]
    Unprocessable(String),
}

/// The object after the patch. `group` and `kind` are the object's, for the merge keys of its lists.
pub fn apply(form: Form, group: &str, kind: &str, object: &Value, patch: &Value) -> Result<Value, Error> {
    match form {
        Form::Json => json(object, patch),
        Form::Merge => {
            object_only(patch)?;
            let mut patched = object.clone();
            json_patch::merge(&mut patched, patch);
            Ok(patched)
        }
        Form::Strategic => {
            object_only(patch)?;
            strategic::merge(group, kind, object, patch)
        }
    }
}

fn object_only(patch: &Value) -> Result<(), Error> {
    if patch.is_object() { Ok(()) } else { Err(Error::Malformed("the patch is not a JSON object".to_owned())) }
}

fn json(object: &Value, patch: &Value) -> Result<Value, Error> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Error::Malformed(format!("the patch is not a list of JSON patch operations: {error}")))?;
    if patch.len() > OPERATIONS_MAX {
        return Err(Error::Malformed(format!(
            "the patch has {} operations, the most is {OPERATIONS_MAX}",
            patch.len()
        )));
    }
    let mut patched = object.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        if let json_patch::PatchOperation::Copy(copy) = operation {
            copied += patched.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > COPIED_BYTES_MAX {
                let message = format!("the patch copies more than {COPIED_BYTES_MAX} bytes");
                return Err(Error::Unprocessable(message));
            }
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation)).map_err(|error| {
            Error::Unprocessable(format!("the server rejected our request due to an error in our request: {error}"))
        })?;
    }
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_applied_in_order() {
        let object = json!({ "spec": { "ports": [{ "port": 80 }] } });
        let patch = json!([
            { "op": "test", "path": "/spec/ports/0/port", "value": 80 },
            { "op": "add", "path": "/spec/ports/-", "value": { "port": 81 } },
            { "op": "remove", "path": "/spec/ports/0" },
        ]);
        let patched = apply(Form::Json, "", "Service", &object, &patch).expect("it fits");
        assert_eq!(patched, json!({ "spec": { "ports": [{ "port": 81 }] } }));
        let failed = json!([{ "op": "test", "path": "/spec/ports/0/port", "value": 81 }]);
        assert!(matches!(apply(Form::Json, "", "Service", &object, &failed), Err(Error::Unprocessable(_))));
    }

    #[test]
    fn a_patch_that_doubles_the_object_again_and_again_is_refused() {
        let object = json!({ "metadata": { "name": "a", "annotations": { "text": "x".repeat(1000) } } });
        let copy = |n| json!({ "op": "copy", "from": "/metadata", "path": format!("/metadata/x{n}") });
        let patch = Value::Array((0..40).map(copy).collect());
        let refused = apply(Form::Json, "", "Service", &object, &patch);
        assert!(matches!(refused, Err(Error::Unprocessable(why)) if why.contains("copies more than")));
    }
}
