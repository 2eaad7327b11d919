//! One operation on a path: its name, its parameters, what it takes and what it answers.

use serde_json::{Map, Value, json};

use super::{GroupVersion, Served, parameter};
use crate::definitions::{COMPONENTS, definitions};

/// The operations of one path have all but the action in common.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) of: GroupVersion<'a>,
    /// Whose path this is.
    pub(super) served: &'a Served<'a>,
    /// What is taken and given; differs from the served kind in some subresources.
    pub(super) kind: &'a str,
    pub(super) subresource: Option<&'a str>,
    /// The list over all namespaces of a kind that lives in namespaces.
    pub(super) all_namespaces: bool,
}

/// What `x-kubernetes-action` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    List,
    Get,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
}

/// Media types of patches, with the schema `Patch`: any object (for a JSON patch, kubectl's readers don't look).
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

impl Action {
    /// The HTTP method, as a key of a path.
    pub(super) fn method(self) -> &'static str {
        match self {
            Action::List | Action::Get => "get",
            Action::Post => "post",
            Action::Put => "put",
            Action::Patch => "patch",
            Action::Delete | Action::DeleteCollection => "delete",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::DeleteCollection => "deletecollection",
            other => other.method(),
        }
    }

    /// The verb that an operation's id begins with.
    fn verb(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Get => "read",
            Action::Post => "create",
            Action::Put => "replace",
            Action::Patch => "patch",
            Action::Delete | Action::DeleteCollection => "delete",
        }
    }

    fn parameters(self) -> Vec<Value> {
        let lists: &[&[parameter::Parameter]] = match self {
            Action::List => &[parameter::SELECT, parameter::WATCH],
            Action::Get => &[],
            Action::Post | Action::Put => &[parameter::WRITE],
            Action::Patch => &[parameter::PATCH],
            Action::Delete => &[parameter::DELETE],
            Action::DeleteCollection => &[parameter::SELECT, parameter::DELETE],
        };
        lists.iter().flat_map(|list| list.iter()).map(parameter::Parameter::schema).collect()
    }
}

impl Operation<'_> {
    /// As it stands in a document.
    pub(super) fn render(&self, action: Action) -> Value {
        let mut operation = json!({
            "tags": [format!("{}_{}", self.group_word(), self.of.version)],
            "description": self.description(action),
            "operationId": self.id(action),
            "parameters": action.parameters(),
            "responses": self.responses(action),
            "x-kubernetes-action": action.name(),
            "x-kubernetes-group-version-kind": {
                "group": self.of.group, "version": self.of.version, "kind": self.kind,
            },
        });
        if let Some(body) = self.body(action) {
            operation["requestBody"] = body;
        }
        operation
    }

    fn description(&self, action: Action) -> String {
        let kind = self.kind;
        let of = self.subresource.map_or_else(String::new, |name| format!(" ({name} of a {})", self.served.kind));
        match action {
            Action::List => format!("Lists or watches objects of kind {kind}."),
            Action::Get => format!("Reads a {kind}{of}."),
            Action::Post => format!("Creates a {kind}{of}."),
            Action::Put => format!("Replaces a {kind}{of}."),
            Action::Patch => format!("Changes a {kind} in part{of}."),
            Action::Delete => format!("Deletes a {kind}{of}."),
            Action::DeleteCollection => format!("Deletes the chosen objects of kind {kind}."),
        }
    }

    /// Kubernetes's scheme: `listCoreV1ServiceForAllNamespaces`, `patchDiscoveryV1NamespacedEndpointSlice`.
    fn id(&self, action: Action) -> String {
        let collection = if action == Action::DeleteCollection { "Collection" } else { "" };
        let namespaced = if self.served.namespaced && !self.all_namespaces { "Namespaced" } else { "" };
        let everywhere = if self.all_namespaces { "ForAllNamespaces" } else { "" };
        format!(
            "{}{}{}{collection}{namespaced}{}{}{everywhere}",
            action.verb(),
            capitalized(self.group_word()),
            capitalized(self.of.version),
            self.served.kind,
            capitalized(self.subresource.unwrap_or_default()),
        )
    }

    /// `core`, `discovery`, …: the first label of the group's name.
    fn group_word(&self) -> &str {
        match self.of.group.split('.').next() {
            None | Some("") => "core",
            Some(word) => word,
        }
    }

    fn body(&self, action: Action) -> Option<Value> {
        let one = |media: &str, schema: Value| json!({ media: { "schema": schema } });
        let (content, required) = match action {
            Action::List | Action::Get => return None,
            Action::Post | Action::Put => (one("*/*", self.schema(self.kind)), true),
            Action::Delete | Action::DeleteCollection => (one("*/*", self.schema("DeleteOptions")), false),
            Action::Patch => {
                let patch = reference("io.k8s.apimachinery.pkg.apis.meta.v1.Patch");
                let content: Map<String, Value> =
                    PATCHES.iter().map(|media| ((*media).to_owned(), json!({ "schema": patch }))).collect();
                (Value::Object(content), true)
            }
        };
        Some(if required { json!({ "content": content, "required": true }) } else { json!({ "content": content }) })
    }

    fn responses(&self, action: Action) -> Value {
        let status = || self.meta_schema("Status");
        let (schema, codes): (Value, &[(&str, &str)]) = match action {
            Action::List => (self.schema(&format!("{}List", self.kind)), &[("200", "OK")]),
            Action::Get => (self.schema(self.kind), &[("200", "OK")]),
            Action::Post => (self.schema(self.kind), &[("200", "OK"), ("201", "Created"), ("202", "Accepted")]),
            Action::Put | Action::Patch => (self.schema(self.kind), &[("200", "OK"), ("201", "Created")]),
            Action::Delete => (status(), &[("200", "OK"), ("202", "Accepted")]),
            Action::DeleteCollection => (status(), &[("200", "OK")]),
        };
        let mut content = json!({ "application/json": { "schema": schema } });
        if action == Action::List {
            content["application/json;stream=watch"] = json!({ "schema": schema });
        }
        let mut responses: Map<String, Value> = codes
            .iter()
            .map(|(code, text)| ((*code).to_owned(), json!({ "description": text, "content": content })))
            .collect();
        responses.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
        Value::Object(responses)
    }

    fn schema(&self, kind: &str) -> Value {
        schema(self.of.group, self.of.version, kind)
    }

    fn meta_schema(&self, kind: &str) -> Value {
        schema("", "v1", kind)
    }
}

fn schema(group: &str, version: &str, kind: &str) -> Value {
    definitions().name(group, version, kind).map_or_else(|| json!({ "type": "object" }), reference)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
