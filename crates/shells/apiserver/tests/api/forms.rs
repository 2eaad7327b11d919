//! The forms of an answer, and who gets one at all.

use axum_core::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::rig::{Api, CONFIG_MAPS, SERVICES, answer, config_map, service};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

#[tokio::test]
async fn s104_a_table_has_columns_and_as_much_of_each_object_as_asked_for() {
    let api = Api::start().await;
    let web = api.post(SERVICES, &service("web", Some("10.96.0.80"))).await.expect(201);
    let path = format!("{SERVICES}/web");
    let table = api.get_as(&path, TABLE).await.expect(200);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let columns: Vec<(&str, i64)> = columns
        .iter()
        .map(|column| (column["name"].as_str().expect("a name"), column["priority"].as_i64().expect("a number")))
        .collect();
    let expected =
        [("Name", 0), ("Type", 0), ("Cluster-IP", 0), ("External-IP", 0), ("Port(s)", 0), ("Age", 0), ("Selector", 1)];
    assert_eq!(columns, expected);
    let cells = table["rows"][0]["cells"].as_array().expect("cells");
    assert_eq!(cells[..5], [json!("web"), json!("ClusterIP"), json!("10.96.0.80"), json!("<none>"), json!("80/TCP")]);
    let partial =
        json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": web["metadata"] });
    assert_eq!(table["rows"][0]["object"], partial);
    let bare = api.get_as(&format!("{path}?includeObject=None"), TABLE).await.expect(200);
    assert_eq!(bare["rows"][0].get("object"), None);
    let whole = api.get_as(&format!("{path}?includeObject=Object"), TABLE).await.expect(200);
    assert_eq!(whole["rows"][0]["object"], web);
    let list = api.get_as(SERVICES, TABLE).await.expect(200);
    assert_eq!(list["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(list["metadata"]["resourceVersion"], web["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_watch_of_tables_sends_the_columns_once() {
    let api = Api::start().await;
    let from = api.version().await;
    let mut watch = api.watch_as(&format!("{SERVICES}?watch=1&resourceVersion={from}"), TABLE).await;
    for name in ["a", "b"] {
        api.post(SERVICES, &service(name, None)).await.expect(201);
    }
    let (first, second) = (watch.next().await, watch.next().await);
    assert_eq!((&first["type"], &first["object"]["kind"]), (&json!("ADDED"), &json!("Table")));
    assert_eq!(first["object"]["columnDefinitions"].as_array().map(Vec::len), Some(7));
    assert_eq!(
        (&second["object"]["rows"][0]["cells"][0], &second["object"]["columnDefinitions"]),
        (&json!("b"), &Value::Null)
    );
}

#[tokio::test]
async fn metadata_alone_can_be_read_listed_and_watched() {
    let api = Api::start().await;
    let object = api.post(CONFIG_MAPS, &json!({ "metadata": { "name": "a" }, "data": { "x": "y" } })).await.expect(201);
    let expected =
        json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] });
    let one = api.get_as(&format!("{CONFIG_MAPS}/a"), METADATA).await.expect(200);
    assert_eq!(one, expected);
    let list = api.get_as(CONFIG_MAPS, METADATA_LIST).await.expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1")));
    assert_eq!(list["items"], json!([expected]));
    let initial = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch_as(&format!("{CONFIG_MAPS}?{initial}"), METADATA).await;
    assert_eq!(watch.next().await, json!({ "type": "ADDED", "object": expected }));
    let bookmark = watch.next().await;
    assert_eq!((&bookmark["type"], &bookmark["object"]["kind"]), (&json!("BOOKMARK"), &json!("PartialObjectMetadata")));
}

#[tokio::test]
async fn a_form_that_is_not_served_is_not_acceptable() {
    let api = Api::start().await;
    let answer = api.get_as(CONFIG_MAPS, "text/html").await;
    assert_eq!((answer.code, &answer.body["reason"]), (406, &json!("NotAcceptable")), "{}", answer.body);
    let either = api.get_as(CONFIG_MAPS, "application/vnd.kubernetes.protobuf,application/json").await;
    assert_eq!(either.expect(200)["kind"], "ConfigMapList");
}

#[tokio::test]
async fn both_groups_of_events_show_one_stored_object() {
    let api = Api::start().await;
    let core = "/api/v1/namespaces/default/events";
    let new = "/apis/events.k8s.io/v1/namespaces/default/events";
    let event = json!({
        "metadata": { "name": "e" }, "regarding": { "kind": "Service", "namespace": "default", "name": "web" },
        "note": "It was tested", "reason": "Tested", "type": "Normal", "action": "Test",
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a-test", "reportingInstance": "one",
    });
    let created = api.post(new, &event).await.expect(201);
    assert_eq!((&created["apiVersion"], &created["note"]), (&json!("events.k8s.io/v1"), &json!("It was tested")));
    let seen = api.get(&format!("{core}/e")).await.expect(200);
    assert_eq!(
        (&seen["apiVersion"], &seen["message"], &seen["reportingComponent"]),
        (&json!("v1"), &json!("It was tested"), &json!("a-test"))
    );
    assert_eq!(seen["involvedObject"]["name"], "web");
    let changed = api.patch(&format!("{core}/e"), &json!({ "message": "Twice" })).await.expect(200);
    let list = api.get(new).await.expect(200);
    assert_eq!((&list["kind"], &list["items"][0]["note"]), (&json!("EventList"), &json!("Twice")));
    assert_eq!(list["items"][0]["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
    api.delete(&format!("{new}/e")).await.expect(200);
    api.get(&format!("{core}/e")).await.refused(404, "NotFound", "events \"e\" not found");
}

#[tokio::test]
async fn without_identity_only_health_and_version_are_told() {
    let api = Api::start().await;
    for (path, code) in [
        ("/healthz", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 200),
        ("/api", 401),
        (CONFIG_MAPS, 401),
        ("/nonsense", 401),
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a valid request");
        let told = answer(api.server.handle(request).await).await;
        assert_eq!(told.code, code, "{path}");
        if code == 401 {
            told.refused(401, "Unauthorized", "Unauthorized");
        }
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_served_are_refused() {
    let api = Api::start().await;
    for (method, path, code) in [
        (Method::GET, "/apis/apps/v1/deployments", 404),
        (Method::GET, "/api/v1/namespaces/default/services/kubernetes/scale", 404),
        (Method::POST, "/api/v1/namespaces/default/services/kubernetes", 405),
        (Method::POST, "/api/v1/services", 404),
        (Method::PUT, CONFIG_MAPS, 405),
        (Method::GET, "/api/v1/namespaces/default/nodes", 404),
    ] {
        let answer = api.send(method.clone(), path, &[], "").await;
        assert_eq!(answer.code, code, "{method} {path}");
    }
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
}

#[tokio::test]
async fn the_older_openapi_document_comes_in_two_forms_and_is_sent_once() {
    let api = Api::start().await;
    let path = "/openapi/v2";
    let json = api.get(path).await;
    assert_eq!((json.code, &json.body["swagger"]), (200, &json!("2.0")));
    let tag = json.headers["etag"].to_str().expect("text").to_owned();
    for asked in ["v2@v1.0+protobuf", "v2.v1.0+protobuf"] {
        let protobuf = api.get_as(path, &format!("application/com.github.proto-openapi.spec.{asked}")).await;
        assert_eq!(protobuf.headers["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
        assert_eq!(protobuf.headers["etag"], tag.as_str());
    }
    let again = api.send(Method::GET, path, &[("if-none-match", &tag)], "").await;
    assert_eq!((again.code, again.body), (304, json!("")));
}
