//! create, update and patch: versions, places, and a store that takes no writes.

use http::Method;
use serde_json::json;

use crate::rig::{Api, CONFIG_MAPS, SERVICES, config_map, service, version};

const MODIFIED: &str = "Operation cannot be fulfilled on services \"web\": the object has been modified; please apply your \
                        changes to the latest version and try again";

#[tokio::test]
async fn s100_an_update_means_the_version_it_names_or_any() {
    let api = Api::start().await;
    let path = format!("{SERVICES}/web");
    let first = api.post(SERVICES, &service("web", None)).await.expect(201);
    let mut second = first.clone();
    second["spec"]["selector"] = json!({ "app": "web" });
    let second = api.put(&path, &second).await.expect(200);
    assert!(version(&second) > version(&first));
    api.put(&path, &first).await.refused(409, "Conflict", MODIFIED);
    let stale =
        json!({ "metadata": { "resourceVersion": first["metadata"]["resourceVersion"], "labels": { "a": "b" } } });
    api.patch(&path, &stale).await.refused(409, "Conflict", MODIFIED);
    let mut any = second.clone();
    any["metadata"]["resourceVersion"] = "".into();
    any["spec"]["selector"] = json!({ "app": "other" });
    let third = api.put(&path, &any).await.expect(200);
    assert_eq!(third["spec"]["selector"]["app"], "other");
    // What changes nothing is no write.
    let same = api.put(&path, &third).await.expect(200);
    assert_eq!(version(&same), version(&third));
    assert_eq!(api.version().await, version(&third));
}

#[tokio::test]
async fn s100_put_to_an_absent_name_creates_a_service_and_no_config_map() {
    let api = Api::start().await;
    let created = api.put(&format!("{SERVICES}/web"), &service("web", Some("10.96.0.80"))).await.expect(201);
    assert_eq!(created["spec"]["clusterIP"], "10.96.0.80");
    let absent = api.put(&format!("{CONFIG_MAPS}/web"), &config_map("web")).await;
    absent.refused(404, "NotFound", "configmaps \"web\" not found");
    let patched = api.patch(&format!("{SERVICES}/none"), &json!({})).await;
    patched.refused(404, "NotFound", "services \"none\" not found");
}

#[tokio::test]
async fn names_and_namespaces_must_be_those_of_the_path() {
    let api = Api::start().await;
    let elsewhere = json!({ "metadata": { "name": "a", "namespace": "kube-system" } });
    let answer = api.post(CONFIG_MAPS, &elsewhere).await;
    answer.refused(
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
    );
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let answer = api.put(&format!("{CONFIG_MAPS}/a"), &config_map("b")).await;
    answer.refused(400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)");
    let renamed = api.patch(&format!("{CONFIG_MAPS}/a"), &json!({ "metadata": { "name": "b" } })).await;
    renamed.refused(400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)");
    let nowhere = api.post("/api/v1/namespaces/nowhere/configmaps", &config_map("a")).await;
    nowhere.refused(404, "NotFound", "namespaces \"nowhere\" not found");
}

#[tokio::test]
async fn an_unknown_word_for_field_validation_is_refused_whatever_the_body() {
    let api = Api::start().await;
    let answer = api.post(&format!("{CONFIG_MAPS}?fieldValidation=Bogus"), &config_map("a")).await;
    answer.refused(
        400,
        "BadRequest",
        "fieldValidation: Unsupported value: \"Bogus\": supported values: \"Ignore\", \"Strict\", \"Warn\"",
    );
    api.get(&format!("{CONFIG_MAPS}/a")).await.expect(404);
}

#[tokio::test]
async fn an_object_from_elsewhere_is_no_new_one() {
    let api = Api::start().await;
    let with = |version: &str| json!({ "metadata": { "name": "a", "resourceVersion": version } });
    let answer = api.post(CONFIG_MAPS, &with("7")).await;
    let message = "resourceVersion should not be set on objects to be created";
    assert_eq!((answer.code, &answer.body["message"], answer.body.get("reason")), (500, &json!(message), None));
    api.get(&format!("{CONFIG_MAPS}/a")).await.expect(404);
    api.post(&format!("{CONFIG_MAPS}?dryRun=All"), &with("7")).await.expect(201);
    api.post(CONFIG_MAPS, &with("0")).await.expect(201);
}

#[tokio::test]
async fn a_patch_cannot_make_another_kind_of_an_object() {
    let api = Api::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let kind = api.patch(&path, &json!({ "kind": "Pod" })).await;
    kind.refused(400, "BadRequest", "kind in the data (\"Pod\") does not match the expected kind (ConfigMap)");
    let version = api.patch(&path, &json!({ "apiVersion": "v2" })).await;
    version.refused(400, "BadRequest", "apiVersion in the data (\"v2\") does not match the expected apiVersion (v1)");
    let without = api.patch(&path, &json!({ "kind": null, "apiVersion": null })).await.expect(200);
    assert_eq!((&without["kind"], &without["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
}

#[tokio::test]
async fn many_unknown_fields_make_a_small_answer() {
    let api = Api::start().await;
    let mut object = config_map("a");
    for number in 0..50_000 {
        object[format!("unknown-{number}-{}", "x".repeat(20))] = 1.into();
    }
    let answer = api.post(CONFIG_MAPS, &object).await;
    assert_eq!(answer.code, 201);
    let bytes: usize = answer.headers.get_all("warning").iter().map(|value| value.len()).sum();
    assert!((1..8192).contains(&bytes), "{bytes}");
    let strict = api.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), &object).await;
    let told = strict.body["message"].as_str().map_or(0, |message| message.matches("unknown field").count());
    assert_eq!((strict.code, told), (400, 100));
}

/// Clients that take the last label or annotation away read none, not an empty map.
#[tokio::test]
async fn empty_maps_and_lists_of_metadata_are_not_kept() {
    let api = Api::start().await;
    let object = json!({ "metadata": { "name": "a", "labels": {}, "annotations": { "x": "y" }, "finalizers": [] } });
    let created = api.post(CONFIG_MAPS, &object).await.expect(201);
    assert_eq!((created["metadata"].get("labels"), created["metadata"].get("finalizers")), (None, None));
    let patch = json!({ "metadata": { "annotations": { "x": null } } });
    let patched = api.patch(&format!("{CONFIG_MAPS}/a"), &patch).await.expect(200);
    assert_eq!(patched["metadata"].get("annotations"), None);
}

#[tokio::test]
async fn a_field_given_twice_is_refused_when_strict() {
    let api = Api::start().await;
    let body = r#"{"metadata":{"name":"a"},"data":{"x":"1","x":"2"},"colour":1}"#;
    let json = [("content-type", "application/json")];
    let strict = api.send(Method::POST, &format!("{CONFIG_MAPS}?fieldValidation=Strict"), &json, body).await;
    strict.refused(
        400,
        "BadRequest",
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.x\", \
         unknown field \"colour\"",
    );
    let warned = api.send(Method::POST, CONFIG_MAPS, &json, body).await;
    let warnings: Vec<_> = warned.headers.get_all("warning").iter().collect();
    assert_eq!(warnings, [r#"299 - "duplicate field \"data.x\"""#, r#"299 - "unknown field \"colour\"""#]);
    let stored = warned.expect(201);
    assert_eq!((&stored["data"], &stored["colour"]), (&json!({ "x": "2" }), &json!(null)));
}

#[tokio::test]
async fn bodies_in_other_forms_are_named_in_the_refusal() {
    let api = Api::start().await;
    let text = api.send(Method::POST, CONFIG_MAPS, &[("content-type", "text/plain")], "x").await;
    assert_eq!((text.code, &text.body["reason"]), (415, &json!("UnsupportedMediaType")), "{}", text.body);
    let yaml = [("content-type", "application/apply-patch+yaml")];
    let apply = api.send(Method::PATCH, &format!("{SERVICES}/kubernetes"), &yaml, "metadata: {}").await;
    assert_eq!((apply.code, &apply.body["reason"]), (415, &json!("UnsupportedMediaType")), "{}", apply.body);
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    let large = api.send(Method::POST, CONFIG_MAPS, &[("content-type", "application/json")], large).await;
    assert_eq!((large.code, &large.body["reason"]), (413, &json!("RequestEntityTooLarge")), "{}", large.body);
}

/// A Namespace named `a`, as `kubectl create namespace` sends it.
#[tokio::test]
async fn a_body_may_be_protobuf() {
    let api = Api::start().await;
    let r#type = b"\x0a\x0f\x0a\x02v1\x12\x09Namespace";
    let body = [&b"k8s\0"[..], r#type, b"\x12\x05\x0a\x03\x0a\x01a"].concat();
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    let created = api.send(Method::POST, "/api/v1/namespaces", &protobuf, body).await.expect(201);
    assert_eq!((&created["metadata"]["name"], &created["status"]["phase"]), (&json!("a"), &json!("Active")));
    let broken = api.send(Method::POST, "/api/v1/namespaces", &protobuf, "{}").await;
    assert_eq!((broken.code, &broken.body["reason"]), (400, &json!("BadRequest")), "{}", broken.body);
}

#[tokio::test]
async fn a_store_that_takes_no_writes_answers_503_and_still_reads() {
    let api = Api::start().await;
    api.post(CONFIG_MAPS, &config_map("before")).await.expect(201);
    api.files.fail_sync(1, std::io::ErrorKind::StorageFull);
    for name in ["first", "second"] {
        let answer = api.post(CONFIG_MAPS, &config_map(name)).await;
        assert_eq!((answer.code, &answer.body["reason"]), (503, &json!("ServiceUnavailable")), "{}", answer.body);
        api.get(&format!("{CONFIG_MAPS}/{name}")).await.expect(404);
    }
    api.get(&format!("{CONFIG_MAPS}/before")).await.expect(200);
    assert_eq!((api.get("/livez").await.code, api.get("/readyz").await.code), (200, 500));
}
