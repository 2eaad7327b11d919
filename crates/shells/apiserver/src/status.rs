//! Errors as the API answers them: `Status` objects. The only place where HTTP codes are chosen.

use axum_core::body::Body;
use http::{Response, StatusCode, header};
use kinds::{Cause, Facts, FieldError, Refusal};
use serde_json::{Value, json};

/// An unsuccessful answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// HTTP code.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`; empty if there is none.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// The object and the causes.
    pub details: Option<Value>,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
        Status { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, facts: &Facts, name: &str) -> Status {
        self.details = Some(json!({ "name": name, "group": facts.group, "kind": facts.plural }));
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, "BadRequest", message)
    }

    /// 401: no identity.
    pub fn unauthorized() -> Status {
        Status::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403.
    pub fn forbidden(facts: &Facts, name: &str, why: &str) -> Status {
        Status::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", facts.resource())).about(facts, name)
    }

    /// 404 for an object.
    pub fn not_found(facts: &Facts, name: &str) -> Status {
        Status::new(404, "NotFound", format!("{} \"{name}\" not found", facts.resource())).about(facts, name)
    }

    /// 404 for a path that nothing is served at.
    pub fn no_such_path() -> Status {
        // `kubectl debug` reads the details of a 404 without asking whether there are any.
        let details = Some(json!({}));
        Status { details, ..Status::new(404, "NotFound", "the server could not find the requested resource") }
    }

    /// 405.
    pub fn method_not_allowed() -> Status {
        Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 405: what Kubernetes offers and this server does not.
    pub fn not_served(message: impl Into<String>) -> Status {
        Status::new(405, "MethodNotAllowed", message)
    }

    /// 409: the name is in use.
    pub fn already_exists(facts: &Facts, name: &str) -> Status {
        Status::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", facts.resource())).about(facts, name)
    }

    /// 409: the object is not what the client believed.
    pub fn conflict(facts: &Facts, name: &str, why: &str) -> Status {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", facts.resource());
        Status::new(409, "Conflict", message).about(facts, name)
    }

    /// 409 because the resource version is not the newest.
    pub fn modified(facts: &Facts, name: &str) -> Status {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(facts, name, why)
    }

    /// 410: the history asked for is gone.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Status {
        Status::new(413, "RequestEntityTooLarge", format!("limit is {limit}"))
    }

    /// 415.
    pub fn unsupported_media_type(given: &str, supported: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format ({given}) - accepted media types include: {}",
            supported.join(", ")
        );
        Status::new(415, "UnsupportedMediaType", message)
    }

    /// 422 with a cause per field.
    pub fn invalid(facts: &Facts, name: &str, errors: &[FieldError]) -> Status {
        let text = |error: &FieldError| format!("{}: {}", error.field, error.detail);
        let list = match errors {
            [only] => text(only),
            many => format!("[{}]", many.iter().map(text).collect::<Vec<_>>().join(", ")),
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({ "reason": cause(error.cause), "message": error.detail, "field": error.field }))
            .collect();
        let kind = match facts.group {
            "" => facts.kind.to_owned(),
            group => format!("{}.{group}", facts.kind),
        };
        let mut status = Status::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {list}"));
        status.details = Some(json!({ "name": name, "group": facts.group, "kind": facts.kind, "causes": causes }));
        status
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Status {
        Status::new(500, "InternalError", format!("Internal error occurred: {}", message.into()))
    }

    /// 500 for what Kubernetes has no reason for.
    pub fn unclassified(message: impl Into<String>) -> Status {
        Status::new(500, "", message)
    }

    /// 503: the store takes no writes, or is not ready.
    pub fn unavailable(message: impl Into<String>) -> Status {
        Status::new(503, "ServiceUnavailable", message)
    }

    /// What a kind's refusal is on the wire.
    pub fn refused(facts: &Facts, name: &str, refusal: Refusal) -> Status {
        match refusal {
            Refusal::Invalid(errors) => Status::invalid(facts, name, &errors),
            Refusal::BadRequest(message) => Status::bad_request(message),
            Refusal::Conflict(why) => Status::conflict(facts, name, &why),
            Refusal::Forbidden(why) => Status::forbidden(facts, name, &why),
            Refusal::Internal(message) => Status::internal(message),
        }
    }

    /// The object.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            value["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            value["details"] = details.clone();
        }
        value
    }

    /// The HTTP answer.
    pub fn response(&self) -> Response<Body> {
        let code = StatusCode::from_u16(self.code).expect("the constructors use valid codes");
        json_response(code, self.to_value().to_string())
    }
}

impl From<store::Error> for Status {
    fn from(error: store::Error) -> Status {
        match error {
            store::Error::Compacted { .. } => Status::expired(
                "The provided continue parameter or resource version is too old to display a consistent list result.",
            ),
            store::Error::Future { asked, newest } => {
                let message = format!("Too large resource version: {asked}, current: {newest}");
                let mut status = Status::new(504, "Timeout", message);
                status.details = Some(json!({
                    "retryAfterSeconds": 1,
                    "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
                }));
                status
            }
            store::Error::ReadOnly(_) => Status::unavailable(error.to_string()),
            store::Error::Conflict { .. } | store::Error::Unreadable(_) => Status::internal(error.to_string()),
        }
    }
}

/// A JSON answer.
pub(crate) fn json_response(code: StatusCode, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .expect("a constant header is valid")
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Required => "FieldValueRequired",
        Cause::Invalid => "FieldValueInvalid",
        Cause::Forbidden => "FieldValueForbidden",
        Cause::Duplicate => "FieldValueDuplicate",
        Cause::NotSupported => "FieldValueNotSupported",
        Cause::TooLong => "FieldValueTooLong",
        Cause::TooMany => "FieldValueTooMany",
        Cause::TypeInvalid => "FieldValueTypeInvalid",
    }
}
