//! Which combinations of list and watch parameters Kubernetes allows. See
//! [Resource versions](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).

use kinds::{Cause, Facts, FieldError};

use crate::query::Query;
use crate::status::Status;

/// What errors about parameters name.
static LIST_OPTIONS: Facts = Facts {
    group: "meta.k8s.io",
    version: "v1",
    kind: "ListOptions",
    plural: "listoptions",
    singular: "listoptions",
    short_names: &[],
    categories: &[],
    namespaced: false,
    has_status: false,
};

const MATCH: &str = "resourceVersionMatch";
const EVENTS: &str = "sendInitialEvents";

/// Checks the parameters of a list.
pub(crate) fn check_list(query: &Query) -> Result<(), Status> {
    let r#match = query.resource_version_match.as_str();
    let mut errors = Vec::new();
    if !r#match.is_empty() {
        if query.resource_version.is_empty() {
            errors.push(forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if !query.r#continue.is_empty() {
            errors.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(r#match, "Exact" | "NotOlderThan") {
            errors.push(unsupported(r#match, "\"Exact\", \"NotOlderThan\""));
        }
        if r#match == "Exact" && query.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(forbidden(MATCH, why));
        }
    }
    if query.send_initial_events.is_some() {
        errors.push(forbidden(EVENTS, "sendInitialEvents is forbidden for list"));
    }
    result(&errors)
}

/// Checks the parameters of a watch.
pub(crate) fn check_watch(query: &Query) -> Result<(), Status> {
    let r#match = query.resource_version_match.as_str();
    let mut errors = Vec::new();
    if !r#match.is_empty() {
        if query.send_initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(forbidden(MATCH, why));
        }
        if r#match != "NotOlderThan" {
            errors.push(unsupported(r#match, "\"NotOlderThan\""));
        }
        if !query.r#continue.is_empty() {
            errors.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    if query.send_initial_events.is_some() && r#match != "NotOlderThan" {
        errors.push(forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    result(&errors)
}

fn result(errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&LIST_OPTIONS, "", errors)) }
}

fn forbidden(field: &str, why: &str) -> FieldError {
    FieldError { cause: Cause::Forbidden, field: field.to_owned(), detail: format!("Forbidden: {why}") }
}

fn unsupported(given: &str, supported: &str) -> FieldError {
    let detail = format!("Unsupported value: \"{given}\": supported values: {supported}");
    FieldError { cause: Cause::NotSupported, field: MATCH.to_owned(), detail }
}
