use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A field that is a number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A field that is text or a message, of at most 127 bytes, with a number below 16.
fn bytes(field: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 128).expect("a short field");
    [&[field << 3 | 2, length], value].concat()
}

/// A wrapped body: magic, type, object. The object may be longer than other fields.
fn wrapped(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let r#type = bytes(1, [bytes(1, api_version), bytes(2, kind)].concat());
    let length = [(object.len() & 0x7f) as u8 | 0x80, (object.len() >> 7) as u8];
    [&b"k8s\0"[..], &r#type, &[0x12], &length, object].concat()
}

fn check(api_version: &str, kind: &str, object: &[u8], expected: Value) {
    let mut expected = expected;
    expected["apiVersion"] = api_version.into();
    expected["kind"] = kind.into();
    assert_eq!(from_protobuf(&wrapped(api_version, kind, object), "", ""), Ok(expected), "{kind}");
}

/// The numbers are those of Kubernetes's published `generated.proto` files.
#[test]
fn fields_are_found_by_their_published_numbers() {
    let metadata = bytes(
        1,
        [bytes(1, "web"), bytes(3, "default"), bytes(11, [bytes(1, "app"), bytes(2, "web")].concat())].concat(),
    );
    let port = [
        bytes(1, "http"),
        bytes(2, "TCP"),
        number(3, 80),
        bytes(4, [number(1, 1), bytes(3, "web")].concat()),
        number(5, 0),
    ];
    let selector = bytes(2, [bytes(1, "app"), bytes(2, "web")].concat());
    let spec = bytes(2, [bytes(1, port.concat()), selector, bytes(4, "ClusterIP"), number(13, 1)].concat());
    check(
        "v1",
        "Service",
        &[metadata, spec, bytes(3, bytes(1, ""))].concat(),
        json!({
            "metadata": { "name": "web", "namespace": "default", "labels": { "app": "web" } },
            "spec": {
                "ports": [{ "name": "http", "protocol": "TCP", "port": 80, "targetPort": "web" }],
                "selector": { "app": "web" }, "type": "ClusterIP", "publishNotReadyAddresses": true,
            },
            "status": { "loadBalancer": {} },
        }),
    );
}

#[test]
fn a_zero_is_shown_only_where_it_is_a_value() {
    // conditions.ready = false, a pointer; hostname = "", which is none.
    let endpoint = [bytes(1, "10.0.0.1"), bytes(2, number(1, 0)), bytes(3, "")].concat();
    let object = [bytes(2, endpoint), bytes(4, "IPv4")].concat();
    check(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &object,
        json!({
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": false }, "hostname": "" }],
            "addressType": "IPv4",
        }),
    );
    // unschedulable = false is no pointer.
    check(
        "v1",
        "Node",
        &bytes(2, [bytes(1, "10.0.0.0/24"), number(4, 0)].concat()),
        json!({ "spec": { "podCIDR": "10.0.0.0/24" } }),
    );
}

#[test]
fn times_bytes_and_quantities_have_their_json_form() {
    // 1,000,000,000 s is 2001-09-09T01:46:40Z.
    let billion = [0x08, 0x80, 0x94, 0xeb, 0xdc, 0x03];
    let created = bytes(1, bytes(8, [&billion[..], &[0x10, 0]].concat()));
    check("v1", "ConfigMap", &created, json!({ "metadata": { "creationTimestamp": "2001-09-09T01:46:40Z" } }));
    check("v1", "ConfigMap", &bytes(1, bytes(8, "")), json!({ "metadata": {} }));
    let renewed = bytes(2, bytes(4, [&billion[..], &[0x10, 0x88, 0x27]].concat()));
    check(
        "coordination.k8s.io/v1",
        "Lease",
        &renewed,
        json!({ "spec": { "renewTime": "2001-09-09T01:46:40.000005Z" } }),
    );
    let data = bytes(3, [bytes(1, "a"), bytes(2, "hello")].concat());
    check("v1", "ConfigMap", &data, json!({ "binaryData": { "a": "aGVsbG8=" } }));
    let capacity = bytes(3, bytes(1, [bytes(1, "pods"), bytes(2, bytes(1, "110"))].concat()));
    check("v1", "Node", &capacity, json!({ "status": { "capacity": { "pods": "110" } } }));
}

#[test]
fn inlined_messages_add_their_fields() {
    // Volume{name: 1, inline source: 2 {configMap: 19}}
    let source = [&[0x9a, 0x01, 6][..], &bytes(1, bytes(1, "cm"))].concat();
    let volume = bytes(1, [bytes(1, "v"), bytes(2, source)].concat());
    check(
        "v1",
        "Pod",
        &bytes(2, volume),
        json!({ "spec": { "volumes": [{ "name": "v", "configMap": { "name": "cm" } }] } }),
    );
}

#[test]
fn negative_numbers_and_unknown_fields_are_read() {
    let minus_one = [&[0x08][..], &[0xff; 9], &[0x01]].concat();
    let options = [minus_one, bytes(15, "unknown"), bytes(4, "Background")].concat();
    check("v1", "DeleteOptions", &options, json!({ "gracePeriodSeconds": -1, "propagationPolicy": "Background" }));
}

#[test]
fn damage_is_told() {
    assert_eq!(from_protobuf(b"{}", "v1", "Service"), Err(Error::NotWrapped));
    assert_eq!(from_protobuf(&wrapped("v1", "Service", &[0x0a, 5, 1]), "", ""), Err(Error::Damaged("core.v1.Service")));
    let unknown = Error::UnknownKind { api_version: "apps/v1".to_owned(), kind: "Deployment".to_owned() };
    assert_eq!(from_protobuf(&wrapped("apps/v1", "Deployment", &[]), "", ""), Err(unknown));
}

#[test]
fn the_table_names_no_message_that_it_lacks() {
    for (name, message) in messages() {
        for known in message.fields.values() {
            if let Of::Message(inner) = known.of {
                assert!(messages().contains_key(inner), "{name}.{} is a {inner}", known.name);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_input_panics(object in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = from_protobuf(&object, "v1", "Service");
        for kind in ["Service", "Pod", "Node", "ConfigMap"] {
            let _ = from_protobuf(&wrapped("v1", kind, &object), "", "");
        }
    }
}
