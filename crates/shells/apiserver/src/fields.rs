//! Field validation: fields that no one knows, fields given twice, values of the wrong type.
//!
//! A wrong type is always refused. For the rest `fieldValidation` decides: `Strict` refuses, `Warn` (the default) warns,
//! `Ignore` is silent. Unknown fields are never stored.

use serde_json::Value;

use crate::registry::Served;
use crate::status::Status;

/// Parses a body, and says which fields occur twice in it.
pub(crate) fn parse(body: &[u8], what: &str) -> Result<(Value, Vec<String>), Status> {
    let value = serde_json::from_slice(body)
        .map_err(|error| Status::bad_request(format!("the {what} provided is not valid JSON: {error}")))?;
    let duplicates = schema::duplicate_fields(body)
        .map_err(|error| Status::bad_request(format!("the {what} provided is not valid JSON: {error}")))?;
    Ok((value, duplicates))
}

/// Checks an object as this group serves it; returns the warnings for the client.
pub(crate) fn check(
    served: &Served,
    validation: &str,
    object: &Value,
    duplicates: Vec<String>,
) -> Result<Vec<String>, Status> {
    if !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
        return Err(Status::bad_request(format!(
            "fieldValidation: Unsupported value: \"{validation}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
        )));
    }
    let (group, version) = served.group_version();
    let kind = served.facts().kind;
    let refused = |why: String| {
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    if let Some(error) = schema::type_error(group, version, kind, object) {
        return Err(refused(error.to_string()));
    }
    if validation == "Ignore" {
        return Ok(Vec::new());
    }
    let mut found = duplicates;
    found.extend(schema::unknown_fields(group, version, kind, object));
    found.truncate(schema::MESSAGES_MAX);
    if validation == "Strict" && !found.is_empty() {
        return Err(refused(format!("strict decoding error: {}", found.join(", "))));
    }
    Ok(found)
}
