//! An object in the shape of its kind: nothing that the kind does not have, no `null`s, no value of a wrong type.
//!
//! Objects come from anybody, so that nothing behind this may be surprised by a string where a number belongs. As in
//! Kubernetes, a `null` is a field that isn't there, and within a list or a map it stands for the type's empty value.

use serde_json::{Map, Value};

use crate::tree::{Node, Type, tree};
use crate::types::{TypeError, type_error};

/// Brings an object into the shape of its kind. Which fields that drops is [`unknown_fields`](crate::unknown_fields)' to
/// tell. An object of a kind that is not defined here stays as it is.
pub fn conform(group: &str, version: &str, kind: &str, object: &mut Value) -> Result<(), TypeError> {
    if let Some(error) = type_error(group, version, kind, object) {
        return Err(error);
    }
    if let (Some(of), Value::Object(fields)) = (tree().kind(group, version, kind), object) {
        keep_known(of, fields);
    }
    Ok(())
}

fn keep_known(of: &Type, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| !value.is_null() && of.fields.contains_key(name.as_str()));
    for (name, value) in fields {
        tidy(&of.fields[name.as_str()], value);
    }
}

fn tidy(node: &Node, value: &mut Value) {
    match (node, value) {
        (Node::Object(at), Value::Object(fields)) => keep_known(tree().object(*at), fields),
        (Node::Map(inner), Value::Object(fields)) => fields.values_mut().for_each(|value| tidy_element(inner, value)),
        (Node::List(inner), Value::Array(items)) => items.iter_mut().for_each(|value| tidy_element(inner, value)),
        _ => {}
    }
}

fn tidy_element(node: &Node, value: &mut Value) {
    if value.is_null() {
        *value = empty(node);
    }
    tidy(node, value);
}

fn empty(node: &Node) -> Value {
    match node {
        Node::Any => Value::Null,
        Node::Text | Node::Time | Node::Bytes => "".into(),
        Node::Boolean => false.into(),
        Node::Integer32 | Node::Integer64 | Node::Number | Node::IntegerOrText | Node::Quantity => 0.into(),
        Node::List(_) => Value::Array(Vec::new()),
        Node::Map(_) | Node::Object(_) => Value::Object(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, mut object: Value, expected: Value) {
        conform("", "v1", kind, &mut object).expect("no value has a wrong type");
        assert_eq!(object, expected);
    }

    #[test]
    fn nulls_are_fields_that_are_not_there() {
        check(
            "ConfigMap",
            json!({"metadata": null, "data": {"a": null}, "immutable": null}),
            json!({"data": {"a": ""}}),
        );
        check("Service", json!({"spec": {"ports": [null]}}), json!({"spec": {"ports": [{}]}}));
    }

    #[test]
    fn unknown_fields_are_dropped_and_what_kubernetes_has_stays() {
        let object = json!({"metadata": {"name": "a", "nmae": "b"}, "spec": {}});
        check("ConfigMap", object, json!({"metadata": {"name": "a"}}));
        let pod = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
        check("Pod", pod.clone(), pod);
    }

    #[test]
    fn a_value_of_a_wrong_type_is_an_error_and_the_kind_unknown_here_is_not_looked_at() {
        assert!(conform("", "v1", "ConfigMap", &mut json!([])).is_err());
        let error = conform("", "v1", "ConfigMap", &mut json!({"data": {"a": 1}})).expect_err("a number is no text");
        assert_eq!(error.path, "data.a");
        let mut odd = json!({"a": null});
        conform("example.com", "v1", "Odd", &mut odd).expect("nobody knows it");
        assert_eq!(odd, json!({"a": null}));
    }
}
