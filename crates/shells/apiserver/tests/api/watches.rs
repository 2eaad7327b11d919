//! watch: where it begins, what it shows, how it tells its progress.

use serde_json::json;

use crate::rig::{Api, CONFIG_MAPS, config_map, version};

const INITIAL: &str = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

#[tokio::test]
async fn a_watch_tells_all_that_happened_after_its_version() {
    let api = Api::start().await;
    let a = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let b = api.post(CONFIG_MAPS, &config_map("b")).await.expect(201);
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&a))).await;
    assert_eq!(watch.told().await, ("ADDED".to_owned(), "b".to_owned(), version(&b)));
    let changed = api.patch(&format!("{CONFIG_MAPS}/b"), &json!({ "data": { "x": "y" } })).await.expect(200);
    assert_eq!(watch.told().await, ("MODIFIED".to_owned(), "b".to_owned(), version(&changed)));
    api.delete(&format!("{CONFIG_MAPS}/b")).await.expect(200);
    let event = watch.next().await;
    assert_eq!((&event["type"], &event["object"]["data"]), (&json!("DELETED"), &json!({ "x": "y" })));
    assert!(version(&event["object"]) > version(&changed), "the version of the deletion: {event}");
}

#[tokio::test]
async fn a_change_can_bring_an_object_into_a_selection_and_out_of_it() {
    let api = Api::start().await;
    let object = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let from = version(&object);
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?watch=1&labelSelector=x%3Dy&resourceVersion={from}")).await;
    for (labels, told) in [
        (json!({ "x": "n" }), None),
        (json!({ "x": "y" }), Some("ADDED")),
        (json!({ "x": "y", "z": "1" }), Some("MODIFIED")),
        (json!({ "x": "n", "z": "1" }), Some("DELETED")),
        (json!({ "x": "y", "z": "2" }), Some("ADDED")),
    ] {
        let patch = json!({ "metadata": { "labels": labels } });
        let changed = api.patch(&format!("{CONFIG_MAPS}/a"), &patch).await.expect(200);
        if let Some(told) = told {
            assert_eq!(watch.told().await, (told.to_owned(), "a".to_owned(), version(&changed)), "{labels}");
        }
    }
    api.delete(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    assert_eq!(watch.told().await.0, "DELETED");
}

#[tokio::test]
async fn a_watch_can_begin_with_the_state_and_say_when_it_is_complete() {
    let api = Api::start().await;
    for name in ["a", "b"] {
        api.post(CONFIG_MAPS, &config_map(name)).await.expect(201);
    }
    let at = api.version().await;
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?{INITIAL}")).await;
    for name in ["a", "b"] {
        let (r#type, told, _) = watch.told().await;
        assert_eq!((r#type.as_str(), told.as_str()), ("ADDED", name));
    }
    let end = watch.next().await;
    assert_eq!((&end["type"], &end["object"]["kind"]), (&json!("BOOKMARK"), &json!("ConfigMap")));
    assert_eq!(end["object"]["metadata"]["annotations"], json!({ "k8s.io/initial-events-end": "true" }));
    assert_eq!(version(&end["object"]), at);
    let c = api.post(CONFIG_MAPS, &config_map("c")).await.expect(201);
    assert_eq!(watch.told().await, ("ADDED".to_owned(), "c".to_owned(), version(&c)));
}

#[tokio::test]
async fn an_idle_watch_hears_of_the_newest_version() {
    let api = Api::start().await;
    let from = api.version().await;
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={from}")).await;
    api.post("/api/v1/namespaces/kube-system/configmaps", &config_map("elsewhere")).await.expect(201);
    let newest = api.version().await;
    // Time stands still only while nothing waits for the store's own thread: it would run away meanwhile.
    tokio::time::pause();
    let bookmark = watch.next().await;
    tokio::time::resume();
    assert_eq!((&bookmark["type"], version(&bookmark["object"])), (&json!("BOOKMARK"), newest));
    // A watch from there misses nothing that comes after.
    let a = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let mut next = api.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={newest}")).await;
    assert_eq!(next.told().await, ("ADDED".to_owned(), "a".to_owned(), version(&a)));
}

#[tokio::test]
async fn versions_that_are_forgotten_or_to_come_are_refused() {
    let api = Api::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let newest = api.version().await;
    api.store.compact(newest).await.expect("it is writable");
    let expired = api.get(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1")).await;
    assert_eq!((expired.code, &expired.body["reason"]), (410, &json!("Expired")), "{}", expired.body);
    assert!(expired.body["message"].as_str().is_some_and(|text| text.starts_with("too old resource version: 1 (")));
    for query in
        [format!("watch=1&resourceVersion={}", newest + 1), format!("{INITIAL}&resourceVersion={}", newest + 1)]
    {
        let future = api.get(&format!("{CONFIG_MAPS}?{query}")).await;
        future.refused(504, "Timeout", &format!("Too large resource version: {}, current: {newest}", newest + 1));
    }
}

#[tokio::test]
async fn one_object_can_be_watched_by_its_name_or_by_the_old_path() {
    let api = Api::start().await;
    for path in [
        format!("{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Db&resourceVersion=1"),
        "/api/v1/watch/namespaces/default/configmaps/b?resourceVersion=1".to_owned(),
    ] {
        let mut watch = api.watch(&path).await;
        for name in ["a", "b"] {
            api.post(CONFIG_MAPS, &config_map(name)).await.expect(201);
        }
        assert_eq!(watch.told().await.1, "b", "{path}");
        for name in ["a", "b"] {
            api.delete(&format!("{CONFIG_MAPS}/{name}")).await.expect(200);
        }
        let (r#type, name, _) = watch.told().await;
        assert_eq!((r#type.as_str(), name.as_str()), ("DELETED", "b"), "{path}");
    }
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    let api = Api::start().await;
    let list = api.get(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1")).await;
    assert_eq!((list.code, list.body.as_str()), (200, Some("")));
}
