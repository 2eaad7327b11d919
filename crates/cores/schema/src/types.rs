//! Values whose JSON type a field can't take: a string where a number belongs. They make a request a 400.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

use crate::tree::{Node, Type, tree};

/// A value that can't be decoded.
///
/// Reads as Kubernetes's own message, which clients know:
/// `json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32`. It differs in one thing:
/// within a map it names the key too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// Where, such as `spec.ports[0].port`; empty for the object itself.
    pub path: String,
    /// What stands there: `string`, `number`, `number 1.5` (one that doesn't fit), `bool`, `array` or `object`.
    pub found: String,
    /// What belongs there, such as `int32`, `[]string`, `map[string]string` or `v1.ServiceSpec`.
    pub expected: String,
    /// The type that has the field, such as `ServicePort`; of the object itself, its kind.
    pub owner: &'static str,
}

impl std::error::Error for TypeError {}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TypeError { found, expected, owner, path } = self;
        if path.is_empty() {
            return write!(f, "json: cannot unmarshal {found} into Go value of type {expected}");
        }
        write!(
            f,
            "json: cannot unmarshal {found} into Go struct field {owner}.{} of type {expected}",
            without_indices(path)
        )
    }
}

/// The first value of an object that its field can't take, in the order of the value's keys.
///
/// `null` fits everywhere: it means that the field is not set. Unknown fields may hold anything. `None` for a kind that is
/// not defined here. Of strings only times are looked into: other readers count on them.
pub fn type_error(group: &str, version: &str, kind: &str, object: &Value) -> Option<TypeError> {
    let of = tree().kind(group, version, kind)?;
    let mut walk = Walk { path: String::new(), owner: of.name };
    let found = match object {
        Value::Object(fields) => walk.object(of, fields),
        other => Err(walk.mismatch(other, false, format!("{}.{}", of.version, of.name))),
    };
    found.err()
}

struct Walk {
    path: String,
    owner: &'static str,
}

impl Walk {
    fn object(&mut self, of: &Type, fields: &Map<String, Value>) -> Result<(), TypeError> {
        let outer = std::mem::replace(&mut self.owner, of.name);
        for (key, value) in fields {
            if let Some(node) = of.fields.get(key.as_str()) {
                self.below(key, node, value)?;
            }
        }
        self.owner = outer;
        Ok(())
    }

    fn below(&mut self, key: &str, node: &Node, value: &Value) -> Result<(), TypeError> {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        self.value(node, value)?;
        self.path.truncate(length);
        Ok(())
    }

    fn value(&mut self, node: &Node, value: &Value) -> Result<(), TypeError> {
        match (node, value) {
            (_, Value::Null)
            | (Node::Any, _)
            | (Node::Text | Node::Bytes | Node::IntegerOrText | Node::Quantity, Value::String(_))
            | (Node::Number | Node::Quantity, Value::Number(_))
            | (Node::Boolean, Value::Bool(_)) => Ok(()),
            (Node::Integer32 | Node::IntegerOrText, Value::Number(number))
                if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) =>
            {
                Ok(())
            }
            (Node::Integer64, Value::Number(number)) if number.is_i64() => Ok(()),
            (Node::Time, Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => Ok(()),
            (Node::Time, Value::String(text)) => {
                let error = self.mismatch(value, false, name(node));
                Err(TypeError { found: format!("string {text:?}"), ..error })
            }
            (Node::Object(at), Value::Object(fields)) => self.object(tree().object(*at), fields),
            (Node::Map(inner), Value::Object(fields)) => {
                fields.iter().try_for_each(|(key, value)| self.below(key, inner, value))
            }
            (Node::List(inner), Value::Array(items)) => self.items(inner, items),
            _ => {
                let wants_integer = matches!(node, Node::Integer32 | Node::Integer64 | Node::IntegerOrText);
                Err(self.mismatch(value, wants_integer, name(node)))
            }
        }
    }

    fn items(&mut self, inner: &Node, items: &[Value]) -> Result<(), TypeError> {
        let length = self.path.len();
        for (at, item) in items.iter().enumerate() {
            write!(self.path, "[{at}]").expect("a String takes what is written");
            self.value(inner, item)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn mismatch(&self, value: &Value, wants_integer: bool, expected: String) -> TypeError {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            // Which number it was matters only where numbers are taken, and this one isn't.
            Value::Number(number) if wants_integer => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        TypeError { path: self.path.clone(), found, expected, owner: self.owner }
    }
}

/// A type as Go writes it.
fn name(node: &Node) -> String {
    match node {
        Node::Any => "interface {}".to_owned(),
        Node::Text => "string".to_owned(),
        Node::Time => "v1.Time".to_owned(),
        Node::Bytes => "[]uint8".to_owned(),
        Node::Integer32 => "int32".to_owned(),
        Node::Integer64 => "int64".to_owned(),
        Node::Number => "float64".to_owned(),
        Node::Boolean => "bool".to_owned(),
        Node::IntegerOrText => "intstr.IntOrString".to_owned(),
        Node::Quantity => "resource.Quantity".to_owned(),
        Node::List(inner) => format!("[]{}", name(inner)),
        Node::Map(inner) => format!("map[string]{}", name(inner)),
        Node::Object(at) => format!("{}.{}", tree().object(*at).version, tree().object(*at).name),
    }
}

/// `spec.ports[0].port` → `spec.ports.port`. Only indices stand in brackets: keys of maps that do are seldom, and only shown.
fn without_indices(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let index = after.split_once(']').filter(|(index, _)| index.bytes().all(|byte| byte.is_ascii_digit()));
        rest = index.map_or_else(
            || {
                plain.push('[');
                after
            },
            |(_, rest)| rest,
        );
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(object: Value, path: &str, message: &str) {
        let error = type_error("", "v1", "Service", &object).expect("a value of a wrong type");
        assert_eq!((error.path.as_str(), error.to_string().as_str()), (path, message), "{object}");
    }

    #[test]
    fn the_message_is_the_one_clients_know() {
        check(
            json!({"spec": {"ports": [{"port": 80}, {"port": "81"}]}}),
            "spec.ports[1].port",
            "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        );
        check(
            json!({"spec": {"clusterIP": 1}}),
            "spec.clusterIP",
            "json: cannot unmarshal number into Go struct field ServiceSpec.spec.clusterIP of type string",
        );
        check(
            json!({"spec": {"ports": {"port": 80}}}),
            "spec.ports",
            "json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        );
        check(
            json!({"spec": {"selector": ["a"]}}),
            "spec.selector",
            "json: cannot unmarshal array into Go struct field ServiceSpec.spec.selector of type map[string]string",
        );
        check(
            json!({"metadata": {"labels": {"app": true}}}),
            "metadata.labels.app",
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels.app of type string",
        );
        check(
            json!({"spec": {"clusterIPs": ["10.0.0.1", 7]}}),
            "spec.clusterIPs[1]",
            "json: cannot unmarshal number into Go struct field ServiceSpec.spec.clusterIPs of type string",
        );
        check(
            json!({"spec": false}),
            "spec",
            "json: cannot unmarshal bool into Go struct field Service.spec of type v1.ServiceSpec",
        );
        check(json!("text"), "", "json: cannot unmarshal string into Go value of type v1.Service");
    }

    #[test]
    fn a_number_must_fit_its_field() {
        let port = |value: Value| json!({"spec": {"ports": [{"port": value}]}});
        let message = |number: &str| {
            format!(
                "json: cannot unmarshal number {number} into Go struct field ServicePort.spec.ports.port of type int32"
            )
        };
        for (value, shown) in
            [(json!(1.5), "1.5"), (json!(2_147_483_648_u64), "2147483648"), (json!(-2_147_483_649_i64), "-2147483649")]
        {
            check(port(value), "spec.ports[0].port", &message(shown));
        }
        for value in [json!(2_147_483_647), json!(-2_147_483_648), json!(0)] {
            assert_eq!(type_error("", "v1", "Service", &port(value)), None);
        }
        let generation = json!({"metadata": {"generation": 9_223_372_036_854_775_808_u64}});
        let error = type_error("", "v1", "Service", &generation).expect("it is too large");
        assert_eq!((error.found.as_str(), error.expected.as_str()), ("number 9223372036854775808", "int64"));
    }

    #[test]
    fn some_fields_take_numbers_and_strings() {
        let target = |value: Value| json!({"spec": {"ports": [{"port": 80, "targetPort": value}]}});
        for value in [json!(80), json!("http"), json!(null)] {
            assert_eq!(type_error("", "v1", "Service", &target(value)), None);
        }
        check(
            target(json!({"a": 1})),
            "spec.ports[0].targetPort",
            "json: cannot unmarshal object into Go struct field ServicePort.spec.ports.targetPort of type intstr.IntOrString",
        );
        let node = |value: Value| json!({"status": {"capacity": {"cpu": value}}});
        for value in [json!(4), json!("4"), json!("500m"), json!(0.5)] {
            assert_eq!(type_error("", "v1", "Node", &node(value)), None);
        }
        assert_eq!(
            type_error("", "v1", "Node", &node(json!(true))).expect("a bool is no quantity").expected,
            "resource.Quantity"
        );
    }

    #[test]
    fn null_unknown_fields_raw_values_and_undefined_kinds_pass() {
        for object in [
            json!({"spec": null, "metadata": {"creationTimestamp": null, "labels": {"a": null}}}),
            json!({"spec": {"ports": [null], "unknown": {"port": "x"}}}),
            json!({"metadata": {"managedFields": [{"fieldsV1": {"f:spec": [1, "two"]}}]}}),
        ] {
            assert_eq!(type_error("", "v1", "Service", &object), None, "{object}");
        }
        assert_eq!(type_error("metallb.io", "v1beta1", "IPAddressPool", &json!({"spec": 1})), None);
    }
}
