//! The components of the OpenAPI documents: the generated definitions, completed by [`facts`].

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use crate::facts::{self, ListType, PatchStrategy};

/// Where a `$ref` points to.
pub(crate) const COMPONENTS: &str = "#/components/schemas/";
const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";
const GENERATED: &str = include_str!("definitions.json");

/// All definitions, and the names of those that are kinds.
pub(crate) struct Definitions {
    /// By name, such as `io.k8s.api.core.v1.Service`.
    pub(crate) components: Map<String, Value>,
    kinds: FxHashMap<(String, String, String), String>,
}

impl Definitions {
    /// The name of a kind's definition. Options of a deletion are one kind in every group.
    pub(crate) fn name(&self, group: &str, version: &str, kind: &str) -> Option<&str> {
        let group = if kind == "DeleteOptions" { "" } else { group };
        let version = if kind == "DeleteOptions" { "v1" } else { version };
        self.kinds.get(&(group.to_owned(), version.to_owned(), kind.to_owned())).map(String::as_str)
    }
}

/// Whether anything is known of this kind's fields.
pub fn is_defined(group: &str, version: &str, kind: &str) -> bool {
    definitions().name(group, version, kind).is_some()
}

/// Parsed once; some milliseconds.
pub(crate) fn definitions() -> &'static Definitions {
    static DEFINITIONS: OnceLock<Definitions> = OnceLock::new();
    DEFINITIONS.get_or_init(|| {
        let mut generated: Value = serde_json::from_str(GENERATED).expect("the generated file is JSON");
        let Value::Object(mut components) = generated["definitions"].take() else {
            unreachable!("the generated file has definitions")
        };
        for (name, schema) in &mut components {
            complete(short(name), schema);
        }
        Definitions { kinds: kinds(&components), components }
    })
}

/// The definition that a schema refers to, directly or with a description beside it.
pub(crate) fn reference(schema: &Value) -> Option<&str> {
    let target = schema.get("$ref").or_else(|| schema["allOf"].get(0)?.get("$ref"))?;
    target.as_str()?.strip_prefix(COMPONENTS)
}

/// The last part of a definition's name: the type's.
pub(crate) fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn kinds(components: &Map<String, Value>) -> FxHashMap<(String, String, String), String> {
    let mut kinds = FxHashMap::default();
    for (name, schema) in components {
        for kind in schema[GROUP_VERSION_KIND].as_array().into_iter().flatten() {
            let text = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
            kinds.insert((text("group"), text("version"), text("kind")), name.clone());
        }
    }
    kinds
}

fn complete(name: &str, schema: &mut Value) {
    match name {
        "DeleteOptions" => schema[GROUP_VERSION_KIND] = json!([{ "group": "", "version": "v1", "kind": name }]),
        // What can be either has no type of its own; the format is what clients know it by.
        "IntOrString" => {
            schema["oneOf"] = json!([{ "type": "integer" }, { "type": "string" }]);
            schema["format"] = json!("int-or-string");
        }
        "Quantity" => schema["oneOf"] = json!([{ "type": "string" }, { "type": "number" }]),
        _ if facts::ATOMIC_TYPES.contains(&name) => schema["x-kubernetes-map-type"] = json!("atomic"),
        _ => {}
    }
    metadata_is_optional(schema);
    let is_list = schema.get(GROUP_VERSION_KIND).is_some() && schema["properties"].get("items").is_some();
    let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (field, schema) in fields {
        if schema["type"] == "array" && !is_list {
            complete_list(name, field, schema);
        }
        if facts::ATOMIC_MAPS.contains(&(name, field)) {
            schema["x-kubernetes-map-type"] = json!("atomic");
        }
        if let Some((_, _, values)) = facts::VALUES.iter().find(|(of, at, _)| (*of, *at) == (name, field)) {
            schema["enum"] = json!(values);
        }
        if let Some((_, _, default)) = facts::DEFAULTS.iter().find(|(of, at, _)| (*of, *at) == (name, field)) {
            schema["default"] = json!(default);
        }
    }
}

/// `k8s-openapi` has no `Option` around metadata and so calls it required; in Kubernetes it is not.
fn metadata_is_optional(schema: &mut Value) {
    let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) else { return };
    required.retain(|field| field != "metadata");
    if required.is_empty() {
        schema.as_object_mut().expect("a schema is an object").remove("required");
    }
}

fn complete_list(name: &str, field: &str, schema: &mut Value) {
    let known = facts::LISTS.iter().find(|(of, at, ..)| (*of, *at) == (name, field));
    let (list_type, strategy) =
        known.map_or((ListType::Atomic, PatchStrategy::Replace), |(_, _, list, patch)| (*list, *patch));
    let (list_type, keys) = match list_type {
        ListType::Atomic => ("atomic", None),
        ListType::Set => ("set", None),
        ListType::Map(keys) => ("map", Some(keys)),
    };
    schema["x-kubernetes-list-type"] = json!(list_type);
    if let Some(keys) = keys {
        schema["x-kubernetes-list-map-keys"] = json!(keys);
    }
    let (strategy, key) = match strategy {
        PatchStrategy::Replace => return,
        PatchStrategy::Values => ("merge", None),
        PatchStrategy::Merge(key) => ("merge", Some(key)),
        PatchStrategy::MergeRetainingKeys(key) => ("merge,retainKeys", Some(key)),
    };
    schema["x-kubernetes-patch-strategy"] = json!(strategy);
    if let Some(key) = key {
        schema["x-kubernetes-patch-merge-key"] = json!(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_resolves() {
        fn walk(schema: &Value) {
            if let Some(target) = schema.get("$ref") {
                let name = target.as_str().and_then(|target| target.strip_prefix(COMPONENTS)).expect("a component");
                assert!(definitions().components.contains_key(name), "{name} is not defined");
            }
            schema.as_object().into_iter().flat_map(Map::values).for_each(walk);
            schema.as_array().into_iter().flatten().for_each(walk);
        }
        definitions().components.values().for_each(walk);
    }

    #[test]
    fn every_served_kind_and_its_list_is_defined() {
        for (group, version, kind) in [
            ("", "v1", "Namespace"),
            ("", "v1", "Node"),
            ("", "v1", "Pod"),
            ("", "v1", "Service"),
            ("", "v1", "Endpoints"),
            ("discovery.k8s.io", "v1", "EndpointSlice"),
            ("networking.k8s.io", "v1", "ServiceCIDR"),
            ("networking.k8s.io", "v1", "IPAddress"),
            ("", "v1", "ConfigMap"),
            ("", "v1", "Event"),
            ("events.k8s.io", "v1", "Event"),
            ("coordination.k8s.io", "v1", "Lease"),
        ] {
            assert!(is_defined(group, version, kind), "{group}/{version} {kind}");
            let list = format!("{kind}List");
            assert!(is_defined(group, version, &list), "{group}/{version} {list}");
        }
        for kind in ["Binding", "Status", "DeleteOptions"] {
            assert!(is_defined("", "v1", kind), "{kind}");
        }
        assert!(is_defined("discovery.k8s.io", "v1", "DeleteOptions"));
        assert!(!is_defined("", "v1", "EndpointSlice"));
    }

    #[test]
    fn every_fact_is_about_a_field_that_exists_once() {
        let of = |short_name: &str| -> Vec<&Value> {
            let here = definitions().components.iter().filter(|(name, _)| short(name) == short_name);
            here.map(|(_, schema)| schema).collect()
        };
        for (name, field, ..) in facts::LISTS {
            let [schema] = of(name)[..] else { panic!("{name} is not one type") };
            assert_eq!(schema["properties"][field]["type"], "array", "{name}.{field}");
        }
        for (name, field) in facts::ATOMIC_MAPS {
            let [schema] = of(name)[..] else { panic!("{name} is not one type") };
            assert_eq!(schema["properties"][field]["type"], "object", "{name}.{field}");
        }
        for (name, field, _) in facts::DEFAULTS {
            let [schema] = of(name)[..] else { panic!("{name} is not one type") };
            assert_eq!(schema["properties"][field]["type"], "string", "{name}.{field}");
        }
        for (name, field, values) in facts::VALUES {
            let [schema] = of(name)[..] else { panic!("{name} is not one type") };
            assert_eq!(schema["properties"][field]["type"], "string", "{name}.{field}");
            assert_eq!(schema["properties"][field]["enum"], json!(values), "{name}.{field}");
        }
        for name in facts::ATOMIC_TYPES {
            assert!(of(name).iter().all(|schema| schema["type"] == "object") && !of(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn metadata_is_never_required() {
        let required = |name: &str| definitions().components[name].get("required").cloned();
        assert_eq!(required("io.k8s.api.core.v1.Service"), None);
        assert_eq!(required("io.k8s.api.core.v1.ServicePort"), Some(json!(["port"])));
        assert_eq!(required("io.k8s.api.networking.v1.IPAddressSpec"), Some(json!(["parentRef"])));
        assert_eq!(required("io.k8s.api.core.v1.ServiceList"), Some(json!(["items"])));
    }

    #[test]
    fn keys_of_a_list_are_fields_of_its_items() {
        for schema in definitions().components.values() {
            for (field, list) in schema["properties"].as_object().into_iter().flatten() {
                let keys = list["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                for key in keys.chain(list.get("x-kubernetes-patch-merge-key")) {
                    let item = reference(&list["items"]).expect("items that have keys are objects");
                    let key = key.as_str().expect("text");
                    assert!(definitions().components[item]["properties"].get(key).is_some(), "{field}: {item}.{key}");
                }
            }
        }
    }
}
