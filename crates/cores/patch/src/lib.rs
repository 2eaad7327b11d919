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
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).map_err(|error| {
        Error::Unprocessable(format!("the server rejected our request due to an error in our request: {error}"))
    })?;
    Ok(patched)
}
