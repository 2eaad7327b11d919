//! Parameters of operations: names and types are Kubernetes's, the descriptions are ours.

use serde_json::{Value, json};

/// A query parameter.
pub(super) struct Parameter {
    name: &'static str,
    description: &'static str,
    kind: &'static str,
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, kind: "string" }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, kind: "integer" }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, description, kind: "boolean" }
}

const DRY_RUN: Parameter = text("dryRun", "`All` checks and answers the request without storing anything.");
const FIELD_MANAGER: Parameter =
    text("fieldManager", "Who owns the fields that this request sets, up to 128 characters. Apply requires it.");
const FIELD_VALIDATION: Parameter = text(
    "fieldValidation",
    "What to do about unknown and duplicate fields: `Strict` refuses the request, `Warn` (the default) answers with \
     warnings, `Ignore` drops them silently.",
);
const FORCE: Parameter = flag("force", "Whether an apply takes fields over from other managers. Only for apply.");

/// Parameters of POST and PUT.
pub(super) const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];

/// Parameters of PATCH.
pub(super) const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];

/// Parameters of DELETE.
pub(super) const DELETE: &[Parameter] = &[
    DRY_RUN,
    number("gracePeriodSeconds", "Seconds until the object is deleted; 0 deletes at once."),
    flag("orphanDependents", "Deprecated in favour of propagationPolicy."),
    text("propagationPolicy", "What becomes of dependents: `Orphan`, `Background` or `Foreground`."),
];

/// Parameters that choose objects of a collection.
pub(super) const SELECT: &[Parameter] = &[
    text("continue", "The token of the previous page."),
    text("fieldSelector", "Only objects whose fields match."),
    text("labelSelector", "Only objects whose labels match."),
    number("limit", "How many objects a page has at most."),
    text("resourceVersion", "Which state to read, as resourceVersionMatch says."),
    text("resourceVersionMatch", "How resourceVersion is meant: `Exact` or `NotOlderThan`."),
    flag("sendInitialEvents", "Whether a watch begins with the objects that exist, followed by a bookmark."),
    number("timeoutSeconds", "Seconds after which the request ends."),
];

/// Parameters of a list beside those that choose.
pub(super) const WATCH: &[Parameter] = &[
    flag("allowWatchBookmarks", "Whether a watch may send events of type BOOKMARK."),
    flag("watch", "Whether to watch for changes instead of listing."),
];

impl Parameter {
    /// As it stands in a document.
    pub(super) fn schema(&self) -> Value {
        json!({
            "name": self.name, "in": "query", "description": self.description,
            "schema": { "type": self.kind, "uniqueItems": true },
        })
    }
}

/// Parameters that every operation of a path has.
pub(super) fn of_path(namespaced: bool, named: Option<&str>) -> Value {
    let in_path = |name: &str, description: String| {
        json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": { "type": "string", "uniqueItems": true },
        })
    };
    let name = named.map(|kind| in_path("name", format!("Name of the {kind}.")));
    let namespace = namespaced.then(|| in_path("namespace", "Namespace of the object.".to_owned()));
    let pretty = text("pretty", "`true` indents the answer.").schema();
    name.into_iter().chain(namespace).chain([pretty]).collect()
}
