//! `fieldValidation`, first half: fields that a kind doesn't have.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::MESSAGES_MAX;
use crate::tree::{Node, Type, tree};

/// The fields of an object that its kind doesn't have, each as Kubernetes words it: `unknown field "spec.ports[0].bar"`.
///
/// In the order of the value's keys, at most [`MESSAGES_MAX`]. Nothing is unknown about a kind that is not defined here, and
/// nothing within a value of a wrong type: that is [`type_error`](crate::type_error)'s to tell.
pub fn unknown_fields(group: &str, version: &str, kind: &str, object: &Value) -> Vec<String> {
    let mut walk = Walk { path: String::new(), found: Vec::new() };
    if let (Some(of), Some(fields)) = (tree().kind(group, version, kind), object.as_object()) {
        walk.object(of, fields);
    }
    walk.found
}

struct Walk {
    path: String,
    found: Vec<String>,
}

impl Walk {
    fn object(&mut self, of: &Type, fields: &Map<String, Value>) {
        for (key, value) in fields {
            if self.found.len() == MESSAGES_MAX {
                return;
            }
            match of.fields.get(key.as_str()) {
                Some(node) if has_fields(node) => self.below(key, |walk| walk.value(node, value)),
                Some(_) => {}
                None => self.below(key, |walk| walk.found.push(format!("unknown field \"{}\"", walk.path))),
            }
        }
    }

    fn value(&mut self, node: &Node, value: &Value) {
        match (node, value) {
            (Node::Object(at), Value::Object(fields)) => self.object(tree().object(*at), fields),
            (Node::Map(inner), Value::Object(fields)) => {
                for (key, value) in fields {
                    self.below(key, |walk| walk.value(inner, value));
                }
            }
            (Node::List(inner), Value::Array(items)) => {
                let length = self.path.len();
                for (at, item) in items.iter().enumerate() {
                    write!(self.path, "[{at}]").expect("a String takes what is written");
                    self.value(inner, item);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn below(&mut self, key: &str, look: impl FnOnce(&mut Walk)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        look(self);
        self.path.truncate(length);
    }
}

/// Whether there are fields anywhere below: labels and lists of strings need no walk.
fn has_fields(node: &Node) -> bool {
    match node {
        Node::Object(_) => true,
        Node::List(inner) | Node::Map(inner) => has_fields(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: (&str, &str, &str), object: Value, expected: &[&str]) {
        assert_eq!(unknown_fields(kind.0, kind.1, kind.2, &object), expected, "{object}");
    }

    const SERVICE: (&str, &str, &str) = ("", "v1", "Service");
    const POD: (&str, &str, &str) = ("", "v1", "Pod");
    const SLICE: (&str, &str, &str) = ("discovery.k8s.io", "v1", "EndpointSlice");

    #[test]
    fn an_unknown_field_is_named_by_its_path() {
        check(SERVICE, json!({"foo": 1}), &["unknown field \"foo\""]);
        check(SERVICE, json!({"spec": {"foo": {"bar": 1}}}), &["unknown field \"spec.foo\""]);
        check(SERVICE, json!({"spec": {"ports": [{"port": 80, "bar": 1}]}}), &["unknown field \"spec.ports[0].bar\""]);
        check(
            SERVICE,
            json!({"metadata": {"lables": {}}, "spec": {"ports": [{"port": 80}, {"Port": 81}]}}),
            &["unknown field \"metadata.lables\"", "unknown field \"spec.ports[1].Port\""],
        );
        check(
            POD,
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "x"}, {"nmae": "y"}]}]}}),
            &["unknown field \"spec.containers[0].env[1].nmae\""],
        );
        check(
            SLICE,
            json!({"ports": [{"appProtocol": "h2c", "nodePort": 1}]}),
            &["unknown field \"ports[0].nodePort\""],
        );
        check(
            SLICE,
            json!({"endpoints": [{"conditions": {"live": true}}]}),
            &["unknown field \"endpoints[0].conditions.live\""],
        );
    }

    #[test]
    fn free_maps_take_any_key() {
        check(
            SERVICE,
            json!({"metadata": {"labels": {"a/b": "c"}, "annotations": {"x": "y"}}, "spec": {"selector": {"app": "web"}}}),
            &[],
        );
        check(("", "v1", "ConfigMap"), json!({"data": {"Corefile": ".:53 {}"}, "binaryData": {"a": "AA=="}}), &[]);
        check(("", "v1", "Node"), json!({"status": {"capacity": {"example.com/fpga": 2}}}), &[]);
        check(
            SERVICE,
            json!({"metadata": {"managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:ports": {"k:{\"port\":80}": {}}}}}]}}),
            &[],
        );
    }

    #[test]
    fn a_whole_service_is_known() {
        check(
            SERVICE,
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {
                    "name": "web", "generateName": "web-", "namespace": "default", "uid": "u", "resourceVersion": "1",
                    "generation": 1, "creationTimestamp": null, "deletionTimestamp": "2024-01-01T00:00:00Z",
                    "deletionGracePeriodSeconds": 30, "finalizers": ["a/b"], "selfLink": "",
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}],
                },
                "spec": {
                    "type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
                    "ipFamilyPolicy": "SingleStack", "externalIPs": ["192.0.2.1"], "externalName": "example.com",
                    "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster", "healthCheckNodePort": 30001,
                    "loadBalancerIP": "192.0.2.2", "loadBalancerClass": "a/b", "loadBalancerSourceRanges": ["192.0.2.0/24"],
                    "allocateLoadBalancerNodePorts": true, "publishNotReadyAddresses": true, "sessionAffinity": "ClientIP",
                    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}}, "trafficDistribution": "PreferClose",
                    "ports": [{
                        "name": "http", "protocol": "TCP", "appProtocol": "http", "port": 80, "targetPort": "http",
                        "nodePort": 30000,
                    }],
                },
                "status": {
                    "loadBalancer": {"ingress": [{"ip": "192.0.2.2", "ipMode": "VIP", "hostname": "h",
                        "ports": [{"port": 80, "protocol": "TCP", "error": "e"}]}]},
                    "conditions": [{"type": "T", "status": "True", "reason": "R", "message": "", "observedGeneration": 1,
                        "lastTransitionTime": "2024-01-01T00:00:00Z"}],
                },
            }),
            &[],
        );
    }

    #[test]
    fn values_of_a_wrong_type_and_undefined_kinds_are_left_to_others() {
        check(SERVICE, json!({"spec": "foo"}), &[]);
        check(SERVICE, json!([1, 2]), &[]);
        check(SERVICE, json!({"spec": null, "status": {"loadBalancer": [1]}}), &[]);
        check(("metallb.io", "v1beta1", "IPAddressPool"), json!({"anything": {"goes": 1}}), &[]);
    }

    #[test]
    fn messages_are_limited() {
        let many: Map<String, Value> = (0..1000).map(|n| (format!("x{n}"), json!(1))).collect();
        assert_eq!(unknown_fields("", "v1", "Service", &json!({ "spec": many })).len(), MESSAGES_MAX);
        let ports = vec![json!({"a": 1, "b": 1, "c": 1}); 1000];
        assert_eq!(unknown_fields("", "v1", "Service", &json!({ "spec": { "ports": ports } })).len(), MESSAGES_MAX);
    }
}
