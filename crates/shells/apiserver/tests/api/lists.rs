//! list: pages, versions, parameters.

use serde_json::json;

use crate::rig::{Api, CONFIG_MAPS, config_map, names, version};

async fn with_config_maps(names: &[&str]) -> Api {
    let api = Api::start().await;
    for name in names {
        api.post(CONFIG_MAPS, &config_map(name)).await.expect(201);
    }
    api
}

#[tokio::test]
async fn pages_show_one_state_whatever_is_written_meanwhile() {
    let api = with_config_maps(&["a", "b", "c", "d", "e"]).await;
    let first = api.get(&format!("{CONFIG_MAPS}?limit=2")).await.expect(200);
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    api.post(CONFIG_MAPS, &config_map("bb")).await.expect(201);
    api.delete(&format!("{CONFIG_MAPS}/d")).await.expect(200);
    let next = |page: &serde_json::Value| {
        let token = page["metadata"]["continue"].as_str().expect("a token").to_owned();
        format!("{CONFIG_MAPS}?limit=2&continue={token}")
    };
    let second = api.get(&next(&first)).await.expect(200);
    let third = api.get(&next(&second)).await.expect(200);
    assert_eq!((names(&second), names(&third)), (vec!["c", "d"], vec!["e"]));
    assert_eq!((version(&second), version(&third)), (version(&first), version(&first)));
    assert_eq!(third["metadata"]["continue"], "");
    let now = api.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(names(&now), ["a", "b", "bb", "c", "e"]);
}

#[tokio::test]
async fn a_page_is_filled_with_what_is_selected() {
    let api = with_config_maps(&["a", "b", "c", "d"]).await;
    for name in ["b", "d"] {
        let labels = json!({ "metadata": { "labels": { "x": "y" } } });
        api.patch(&format!("{CONFIG_MAPS}/{name}"), &labels).await.expect(200);
    }
    let page = api.get(&format!("{CONFIG_MAPS}?limit=2&labelSelector=x%3Dy")).await.expect(200);
    assert_eq!((names(&page), page["metadata"].get("remainingItemCount")), (vec!["b", "d"], None));
}

#[tokio::test]
async fn a_list_can_be_of_exactly_one_version() {
    let api = with_config_maps(&["a"]).await;
    let then = api.version().await;
    api.post(CONFIG_MAPS, &config_map("b")).await.expect(201);
    let exact = api.get(&format!("{CONFIG_MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")).await.expect(200);
    assert_eq!((names(&exact), version(&exact)), (vec!["a"], then));
    let page = api.get(&format!("{CONFIG_MAPS}?resourceVersion={then}&limit=5")).await.expect(200);
    assert_eq!(names(&page), ["a"]);
    for newer in ["", "?resourceVersion=0", &format!("?resourceVersion={then}&resourceVersionMatch=NotOlderThan")] {
        let list = api.get(&format!("{CONFIG_MAPS}{newer}")).await.expect(200);
        assert_eq!(names(&list), ["a", "b"], "{newer}");
    }
}

#[tokio::test]
async fn versions_of_the_future_and_of_forgotten_times_are_refused() {
    let api = with_config_maps(&["a", "b", "c"]).await;
    let page = api.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    api.post(CONFIG_MAPS, &config_map("d")).await.expect(201);
    let newest = api.version().await;
    let future = api.get(&format!("{CONFIG_MAPS}?resourceVersion={}", newest + 1)).await;
    future.refused(504, "Timeout", &format!("Too large resource version: {}, current: {newest}", newest + 1));
    api.store.compact(newest).await.expect("it is writable");
    let token = page["metadata"]["continue"].as_str().expect("a token");
    let expired = api.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
    assert_eq!((expired.code, &expired.body["reason"]), (410, &json!("Expired")), "{}", expired.body);
    let exact = api.get(&format!("{CONFIG_MAPS}?resourceVersion=1&resourceVersionMatch=Exact")).await;
    assert_eq!((exact.code, &exact.body["reason"]), (410, &json!("Expired")), "{}", exact.body);
}

/// The combinations of <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.
#[tokio::test]
async fn parameters_that_contradict_each_other_are_refused() {
    let api = with_config_maps(&["a"]).await;
    for (query, code, message) in [
        (
            "resourceVersionMatch=Exact",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden \
             unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is \
             forbidden for resourceVersion \"0\"",
        ),
        (
            "sendInitialEvents=true",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for \
             watch unless sendInitialEvents is provided",
        ),
        (
            "watch=1&sendInitialEvents=true",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
             resourceVersionMatch to NotOlderThan",
        ),
    ] {
        let answer = api.get(&format!("{CONFIG_MAPS}?{query}")).await;
        assert_eq!((answer.code, answer.body["message"].as_str()), (code, Some(message)), "{query}");
    }
}
