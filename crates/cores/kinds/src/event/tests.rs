use super::*;
use crate::tests::{NOW, created, object, refused};

fn event() -> Value {
    json!({
        "involvedObject": {"kind": "Service", "namespace": "default", "name": "web", "uid": "u", "fieldPath": "spec"},
        "reason": "Allocated", "message": " it works\n", "type": "Normal", "count": 3,
        "source": {"component": "maitred", "host": "n1"},
        "firstTimestamp": "2026-03-01T11:00:00Z", "lastTimestamp": "2026-03-01T11:59:00Z",
    })
}

#[test]
fn one_event_has_two_forms() {
    let core = created(&Event, event());
    let view = to_events_v1(&core);
    assert_eq!(view["apiVersion"], "events.k8s.io/v1");
    assert_eq!(view["regarding"], core["involvedObject"]);
    assert_eq!(view["note"], core["message"]);
    assert_eq!(view["deprecatedSource"], core["source"]);
    assert_eq!(view["deprecatedCount"], 3);
    assert_eq!(view["deprecatedLastTimestamp"], core["lastTimestamp"]);
    assert_eq!(view.get("involvedObject"), None);
    assert_eq!(from_events_v1(&view), core);
}

#[test]
fn an_event_stands_in_the_namespace_of_its_object() {
    assert_eq!(
        refused(&Event, json!({"involvedObject": {"namespace": "other"}})),
        ["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"],
    );
    created(&Event, json!({"involvedObject": {"kind": "Node", "name": "n1"}}));
}

#[test]
fn rows() {
    let row = |fields: Value| Value::from(Event.row(&object(&Event, fields), NOW));
    let expected =
        json!(["60s", "Normal", "Allocated", "service/web", "spec", "maitred, n1", "it works", "60m", 3, "a"]);
    assert_eq!(row(event()), expected);
    let modern = json!({
        "involvedObject": {"kind": "Service", "namespace": "default", "name": "web"}, "eventTime": "2026-03-01T11:59:50.000000Z",
        "series": {"count": 7, "lastObservedTime": "2026-03-01T11:59:55.000000Z"},
        "reportingComponent": "maitred", "reportingInstance": "n1", "type": "Warning", "reason": "R", "message": "M",
    });
    assert_eq!(row(modern), json!(["5s", "Warning", "R", "service/web", "", "maitred, n1", "M", "10s", 7, "a"]));
    assert_eq!(row(json!({}))[0], "<unknown>");
}

#[test]
fn selectable_fields() {
    let object = object(&Event, event());
    #[rustfmt::skip]
    let cases = [
        ("involvedObject.kind", Some("Service")),
        ("involvedObject.namespace", Some("default")),
        ("involvedObject.name", Some("web")),
        ("involvedObject.uid", Some("u")),
        ("involvedObject.fieldPath", Some("spec")),
        ("involvedObject.apiVersion", Some("")),
        ("involvedObject.colour", None),
        ("regarding.name", Some("web")),
        ("reason", Some("Allocated")),
        ("type", Some("Normal")),
        ("source", Some("maitred")),
        ("reportingComponent", Some("")),
        ("message", None),
    ];
    for (path, expected) in cases {
        assert_eq!(Event.field(&object, path).as_deref(), expected, "{path}");
    }
}
