//! Writes `crates/cores/schema/src/definitions.json`: types and descriptions of every kind that maitred serves, as
//! OpenAPI 3.0 components.
//!
//! Everything in that file comes from `k8s-openapi`: schemas from its `JsonSchema` implementations, names of groups,
//! versions and kinds from its `Resource` trait. What the crate doesn't say (how lists merge) stands in
//! `crates/cores/schema/src/facts.rs`. List kinds have no schema there and are put together here.
//!
//! `schemas` writes the file, `schemas --check` fails if it differs.

use std::path::PathBuf;
use std::process::ExitCode;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Binding, ConfigMap, Endpoints, Event, Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event as EventsEvent;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Patch, Status};
use k8s_openapi::{ListableResource, Resource};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

const GENERATED: &str = "by `./dev schemas` from k8s-openapi 0.29 (Kubernetes 1.36); not to be edited";

fn main() -> ExitCode {
    let wanted = file();
    match std::env::args().nth(1).as_deref() {
        None => std::fs::write(place(), wanted).expect("the file can be written"),
        Some("--check") if committed() == wanted => println!("{} is up to date", place().display()),
        Some("--check") => {
            eprintln!("{} differs from what k8s-openapi says: run ./dev schemas", place().display());
            return ExitCode::FAILURE;
        }
        Some(_) => {
            eprintln!("usage: schemas [--check]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/cores/schema/src/definitions.json")
}

fn committed() -> String {
    std::fs::read_to_string(place()).unwrap_or_default()
}

/// One definition a line, in the order of their names, so that a change of version reads well as a difference.
fn file() -> String {
    let lines: Vec<String> =
        definitions().iter().map(|(name, schema)| format!("{}: {schema}", Value::from(name.as_str()))).collect();
    format!("{{\"generated\": {}, \"definitions\": {{\n{}\n}}}}\n", Value::from(GENERATED), lines.join(",\n"))
}

fn definitions() -> Map<String, Value> {
    let mut kinds = Kinds { generator: SchemaGenerator::new(SchemaSettings::openapi3()), marks: Vec::new() };
    kinds.add::<Binding>();
    kinds.add_with_list::<ConfigMap>();
    kinds.add_with_list::<Endpoints>();
    kinds.add_with_list::<Event>();
    kinds.add_with_list::<Namespace>();
    kinds.add_with_list::<Node>();
    kinds.add_with_list::<Pod>();
    kinds.add_with_list::<Service>();
    kinds.add_with_list::<EndpointSlice>();
    kinds.add_with_list::<EventsEvent>();
    kinds.add_with_list::<IPAddress>();
    kinds.add_with_list::<ServiceCIDR>();
    kinds.add_with_list::<Lease>();
    kinds.add::<Status>();
    kinds.generator.subschema_for::<DeleteOptions>();
    kinds.generator.subschema_for::<ListMeta>();
    kinds.generator.subschema_for::<Patch>();
    kinds.finish()
}

struct Kinds {
    generator: SchemaGenerator,
    marks: Vec<Mark>,
}

/// What is known of a kind beside its schema.
struct Mark {
    name: String,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    list_kind: Option<&'static str>,
}

impl Kinds {
    fn add<T: JsonSchema + Resource>(&mut self) {
        self.mark::<T>(None);
    }

    fn add_with_list<T: JsonSchema + ListableResource>(&mut self) {
        self.mark::<T>(Some(T::LIST_KIND));
    }

    fn mark<T: JsonSchema + Resource>(&mut self, list_kind: Option<&'static str>) {
        self.generator.subschema_for::<T>();
        let name = T::schema_name().into_owned();
        self.marks.push(Mark { name, group: T::GROUP, version: T::VERSION, kind: T::KIND, list_kind });
    }

    fn finish(mut self) -> Map<String, Value> {
        let mut definitions = self.generator.take_definitions(true);
        for mark in &self.marks {
            let item = definitions.get_mut(&mark.name).expect("the kind was added");
            item["x-kubernetes-group-version-kind"] = group_version_kind(mark, mark.kind);
            if let Some(list_kind) = mark.list_kind {
                let list = list(mark, list_kind, item);
                let package = mark.name.strip_suffix(mark.kind).expect("a definition ends with its kind");
                definitions.insert(format!("{package}{list_kind}"), list);
            }
        }
        definitions
    }
}

fn group_version_kind(mark: &Mark, kind: &str) -> Value {
    json!([{ "group": mark.group, "version": mark.version, "kind": kind }])
}

fn list(mark: &Mark, list_kind: &str, item: &Value) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    json!({
        "description": format!("{list_kind} is a list of {} objects.", mark.kind),
        "type": "object",
        "properties": {
            "apiVersion": item["properties"]["apiVersion"],
            "kind": item["properties"]["kind"],
            "items": { "description": "The objects.", "type": "array", "items": reference(&mark.name) },
            "metadata": {
                "description": "What the server says of the list as a whole: its version, and how to go on.",
                "allOf": [reference(&ListMeta::schema_name())],
            },
        },
        "required": ["items"],
        "x-kubernetes-group-version-kind": group_version_kind(mark, list_kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_is_what_the_crate_says() {
        assert!(committed() == file(), "{} is out of date: run ./dev schemas", place().display());
    }
}
