//! The definitions as a tree that is quick to walk along an object.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::definitions::{definitions, reference, short};

/// What a value must look like.
#[derive(Debug)]
pub enum Node {
    /// Anything: `managedFields` and raw extensions.
    Any,
    /// A string.
    Text,
    /// A string that holds a time.
    Time,
    /// A string that holds bytes.
    Bytes,
    /// A whole number of 32 bits.
    Integer32,
    /// A whole number of 64 bits.
    Integer64,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A whole number of 32 bits or a string.
    IntegerOrText,
    /// A number or a string, such as `500m`.
    Quantity,
    /// A list.
    List(Box<Node>),
    /// An object with any keys.
    Map(Box<Node>),
    /// An object with the fields of a type, by its number: see [`Node::object`].
    Object(usize),
}

impl Node {
    /// The type whose fields an object here has.
    pub fn object(&self) -> Option<&'static Type> {
        match self {
            Node::Object(at) => Some(tree().object(*at)),
            _ => None,
        }
    }
}

/// A type with fields.
#[derive(Debug)]
pub struct Type {
    /// As Kubernetes names it in messages: `ServicePort`.
    pub(crate) name: &'static str,
    /// API version it belongs to: `v1`.
    pub(crate) version: &'static str,
    /// Its fields.
    pub(crate) fields: FxHashMap<&'static str, Node>,
}

impl Type {
    /// The type of a kind, if it is defined here.
    pub fn of(group: &str, version: &str, kind: &str) -> Option<&'static Type> {
        tree().kind(group, version, kind)
    }

    /// As Kubernetes names it in messages: `ServicePort`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The fields by name.
    pub fn fields(&self) -> Vec<(&'static str, &Node)> {
        let mut fields: Vec<_> = self.fields.iter().map(|(name, node)| (*name, node)).collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        fields
    }
}

/// All types.
pub(crate) struct Tree {
    types: Vec<Type>,
    by_name: FxHashMap<&'static str, usize>,
}

/// Built once.
pub(crate) fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| build(&definitions().components))
}

impl Tree {
    /// The type of a kind.
    pub(crate) fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Type> {
        let name = definitions().name(group, version, kind)?;
        self.by_name.get(name).map(|at| &self.types[*at])
    }

    /// The type that a node names.
    pub(crate) fn object(&self, at: usize) -> &Type {
        &self.types[at]
    }
}

fn build(components: &'static Map<String, Value>) -> Tree {
    let with_fields = components.iter().filter(|(_, schema)| schema.get("properties").is_some());
    let names: Vec<&'static str> = with_fields.map(|(name, _)| name.as_str()).collect();
    let by_name: FxHashMap<_, _> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let types = names
        .iter()
        .map(|name| {
            let fields = components[*name]["properties"].as_object().expect("a type with fields");
            Type {
                name: short(name),
                version: name.rsplit('.').nth(1).unwrap_or_default(),
                fields: fields
                    .iter()
                    .map(|(field, schema)| (field.as_str(), node(schema, components, &by_name)))
                    .collect(),
            }
        })
        .collect();
    Tree { types, by_name }
}

fn node(
    schema: &'static Value,
    components: &'static Map<String, Value>,
    by_name: &FxHashMap<&'static str, usize>,
) -> Node {
    if let Some(name) = reference(schema) {
        return match (by_name.get(name), short(name)) {
            (Some(at), _) => Node::Object(*at),
            (None, "IntOrString") => Node::IntegerOrText,
            (None, "Quantity") => Node::Quantity,
            (None, _) => node(&components[name], components, by_name),
        };
    }
    let inner = |key: &str| Box::new(node(&schema[key], components, by_name));
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => Node::Time,
        (Some("string"), Some("byte")) => Node::Bytes,
        (Some("string"), _) => Node::Text,
        (Some("integer"), Some("int32")) => Node::Integer32,
        (Some("integer"), _) => Node::Integer64,
        (Some("number"), _) => Node::Number,
        (Some("boolean"), _) => Node::Boolean,
        (Some("array"), _) => Node::List(inner("items")),
        (Some("object"), _) if schema.get("additionalProperties").is_some() => Node::Map(inner("additionalProperties")),
        _ => Node::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raw_values_may_be_anything() {
        fn is_any(node: &Node) -> bool {
            match node {
                Node::Any => true,
                Node::List(inner) | Node::Map(inner) => is_any(inner),
                _ => false,
            }
        }
        let mut found: Vec<(&str, &str)> = Vec::new();
        for of in &tree().types {
            found.extend(of.fields.iter().filter(|(_, node)| is_any(node)).map(|(field, _)| (of.name, *field)));
        }
        assert_eq!(found, [("ManagedFieldsEntry", "fieldsV1")]);
    }
}
