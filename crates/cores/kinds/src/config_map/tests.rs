use serde_json::json;

use super::*;
use crate::tests::{NOW, changed, created, mistakes, refused};

#[test]
fn what_is_refused() {
    let found = refused(&ConfigMap, json!({"data": {"a/b": ""}}));
    assert!(found[0].starts_with("data[a/b]: Invalid value: \"a/b\": a valid config key must consist of"), "{found:?}");
    assert_eq!(
        refused(&ConfigMap, json!({"data": {"a": ""}, "binaryData": {"a": ""}})),
        ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
    );
    assert_eq!(
        refused(&ConfigMap, json!({"data": {"a": "x".repeat(1024 * 1024 + 1)}})),
        [": Too long: may not be more than 1048576 bytes"],
    );
}

#[test]
fn an_immutable_one_stays_as_it_is() {
    let fixed = || json!({"immutable": true, "data": {"a": "b"}});
    let change = |change| mistakes(changed(&ConfigMap, fixed(), change));
    assert_eq!(change(json!({"/data/a": "c"})), ["data: Forbidden: field is immutable when `immutable` is set"]);
    assert_eq!(
        change(json!({"/immutable": false})),
        ["immutable: Forbidden: field is immutable when `immutable` is set"]
    );
    changed(&ConfigMap, fixed(), json!({"/metadata/labels": {"a": "b"}})).unwrap();
    changed(&ConfigMap, json!({"data": {"a": "b"}}), json!({"/data/a": "c"})).unwrap();
}

#[test]
fn rows() {
    let object = created(&ConfigMap, json!({"data": {"a": "", "b": ""}, "binaryData": {"c": ""}}));
    assert_eq!(Value::from(ConfigMap.row(&object, NOW)), json!(["a", 3, "0s"]));
}
