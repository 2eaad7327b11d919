//! The OpenAPI v2 document ("swagger"), said of the same things as the v3 documents, in older words.
//!
//! kubectl still asks for it where v3 has no answer: to check a `kind: List` and kinds that are not served, and for
//! `explain --output=plaintext-openapiv2`. It takes the [protobuf] form; JSON is for everybody else.

mod protobuf;

use serde_json::{Map, Value, json};

use super::Document;
use crate::definitions::COMPONENTS;

/// Where a `$ref` points to.
const DEFINITIONS: &str = "#/definitions/";

/// A document in both its forms, ready to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentV2 {
    /// JSON.
    pub json: Vec<u8>,
    /// An `openapi.v2.Document` of [gnostic](https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto).
    pub protobuf: Vec<u8>,
    /// Changes if and only if the content does.
    pub hash: String,
}

impl DocumentV2 {
    /// One document of all that the v3 documents tell.
    pub fn new(documents: &[Document]) -> DocumentV2 {
        let document = openapi_v2(documents);
        let json = document.to_string().into_bytes();
        DocumentV2 { hash: super::hash(&json), protobuf: protobuf::document(&document), json }
    }
}

fn openapi_v2(documents: &[Document]) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for document in documents {
        let document: Value = serde_json::from_slice(&document.bytes).expect("a document is JSON");
        paths.extend(each(&document["paths"], path));
        definitions.extend(each(&document["components"]["schemas"], schema));
    }
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "definitions": definitions,
    })
}

/// An object's values, each rewritten.
fn each(object: &Value, rewrite: fn(&Value) -> Value) -> Map<String, Value> {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), rewrite(value))).collect()
}

fn path(v3: &Value) -> Value {
    let mut path = each(v3, operation);
    path.insert("parameters".to_owned(), parameters(&v3["parameters"]).into());
    path.into()
}

fn operation(v3: &Value) -> Value {
    let mut operation: Map<String, Value> = v3.as_object().cloned().unwrap_or_default();
    let mut parameters = parameters(&v3["parameters"]);
    if let Some(body) = operation.remove("requestBody") {
        let content = &body["content"];
        operation.insert("consumes".to_owned(), media_types([content]).into());
        let schema = first_schema(content).unwrap_or_default();
        let required = body["required"] == true;
        parameters.push(json!({ "in": "body", "name": "body", "required": required, "schema": schema }));
    }
    let answers = v3["responses"].as_object().into_iter().flatten();
    operation.insert("produces".to_owned(), media_types(answers.map(|(_, answer)| &answer["content"])).into());
    operation.insert("parameters".to_owned(), parameters.into());
    operation.insert("responses".to_owned(), each(&v3["responses"], response).into());
    operation.insert("schemes".to_owned(), json!(["https"]));
    operation.into()
}

/// Without the nested schema: here, a parameter is its own.
fn parameters(v3: &Value) -> Vec<Value> {
    let flat = |parameter: &Value| {
        let mut flat = parameter.as_object().cloned().unwrap_or_default();
        if let Some(Value::Object(schema)) = flat.remove("schema") {
            flat.extend(schema);
        }
        Value::Object(flat)
    };
    v3.as_array().into_iter().flatten().map(flat).collect()
}

fn response(v3: &Value) -> Value {
    match first_schema(&v3["content"]) {
        Some(schema) => json!({ "description": v3["description"], "schema": schema }),
        None => json!({ "description": v3["description"] }),
    }
}

/// Every media type has the same schema.
fn first_schema(content: &Value) -> Option<Value> {
    content.as_object()?.values().next().map(|first| schema(&first["schema"]))
}

fn media_types<'a>(contents: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let keys = contents.into_iter().filter_map(Value::as_object).flat_map(Map::keys);
    let mut media_types: Vec<&str> = keys.map(String::as_str).collect();
    media_types.sort_unstable();
    media_types.dedup();
    media_types
}

/// The older words have no `oneOf`, and let a description stand beside a `$ref`.
fn schema(v3: &Value) -> Value {
    let mut schema = Map::new();
    for (word, value) in v3.as_object().into_iter().flatten() {
        match word.as_str() {
            "$ref" => drop(schema.insert(word.clone(), reference(value))),
            "allOf" => drop(schema.insert("$ref".to_owned(), reference(&value[0]["$ref"]))),
            "oneOf" => drop(schema.insert("type".to_owned(), "string".into())),
            "properties" => drop(schema.insert(word.clone(), each(value, self::schema).into())),
            "items" | "additionalProperties" => drop(schema.insert(word.clone(), self::schema(value))),
            _ => drop(schema.insert(word.clone(), value.clone())),
        }
    }
    schema.into()
}

fn reference(v3: &Value) -> Value {
    v3.as_str().unwrap_or_default().replacen(COMPONENTS, DEFINITIONS, 1).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupVersion, Served};

    fn services() -> Value {
        let kind =
            Served { kind: "Service", plural: "services", namespaced: true, has_status: true, subresources: &[] };
        openapi_v2(&[Document::new(GroupVersion { group: "", version: "v1" }, &[kind])])
    }

    #[test]
    fn an_operation_is_said_in_older_words() {
        let document = services();
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/services/{name}"]["patch"];
        let parameters = patch["parameters"].as_array().expect("parameters");
        let of = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).expect("a parameter");
        assert_eq!((&of("fieldValidation")["in"], &of("fieldValidation")["type"]), (&json!("query"), &json!("string")));
        let body = json!({ "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch" });
        assert_eq!((&of("body")["in"], &of("body")["schema"]), (&json!("body"), &body));
        assert!(
            patch["consumes"].as_array().is_some_and(|types| types.contains(&json!("application/merge-patch+json")))
        );
        assert_eq!(patch["produces"], json!(["application/json"]));
        let service = json!({ "$ref": "#/definitions/io.k8s.api.core.v1.Service" });
        assert_eq!(patch["responses"]["200"], json!({ "description": "OK", "schema": service }));
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({ "group": "", "version": "v1", "kind": "Service" })
        );
        assert!(patch.get("requestBody").is_none(), "{patch}");
    }

    #[test]
    fn every_reference_resolves_and_nothing_has_words_of_v3() {
        fn walk(value: &Value, definitions: &Value) {
            for (word, value) in value.as_object().into_iter().flatten() {
                assert!(!matches!(word.as_str(), "allOf" | "oneOf" | "content" | "components"), "{word}: {value}");
                if let Some(target) = value.as_str().filter(|_| word == "$ref") {
                    let name = target.strip_prefix(DEFINITIONS).expect("a definition");
                    assert!(definitions.get(name).is_some(), "{name}");
                }
                walk(value, definitions);
            }
            value.as_array().into_iter().flatten().for_each(|value| walk(value, definitions));
        }
        let document = services();
        walk(&document["paths"], &document["definitions"]);
        // Field names are free, so only the schemas are looked at.
        for definition in document["definitions"].as_object().expect("definitions").values() {
            definition["properties"].as_object().into_iter().flatten().for_each(|(_, field)| {
                walk(field, &document["definitions"]);
            });
        }
        let int_or_string = &document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
        assert_eq!((&int_or_string["type"], &int_or_string["format"]), (&json!("string"), &json!("int-or-string")));
    }
}
