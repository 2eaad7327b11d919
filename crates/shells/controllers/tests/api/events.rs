//! Events are forgotten.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Plane, settings};

const EVENTS: &str = "/api/v1/namespaces/default/events";

fn event(name: &str, age: SignedDuration) -> Value {
    let told = (Timestamp::now() - age).to_string();
    json!({
        "metadata": { "name": name }, "reason": "Tested", "message": "It was tested", "type": "Normal",
        "involvedObject": { "kind": "Service", "namespace": "default", "name": "web" },
        "firstTimestamp": told, "lastTimestamp": told,
    })
}

/// More than a page of them, some told again later than others.
#[tokio::test]
async fn events_go_when_their_time_is_over_and_not_before() {
    let ttl = SignedDuration::from_secs(6);
    let mut plane = Plane::without_controllers().await;
    for number in 0..520 {
        plane.create(EVENTS, event(&format!("old-{number}"), SignedDuration::ZERO)).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    plane.create(EVENTS, event("young", SignedDuration::ZERO)).await;
    let again = json!({ "count": 2, "lastTimestamp": Timestamp::now().to_string() });
    plane.merge(&format!("{EVENTS}/old-7"), again).await;
    plane.control(controllers::Settings { event_ttl: ttl, ..settings() });
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list").iter();
        items.filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect()
    };
    plane.wait(EVENTS, "the old ones go", |list| names(list) == ["old-7", "young"]).await;
    plane.wait(EVENTS, "the others go, too", |list| names(list).is_empty()).await;
    plane.assert_healthy();
}

#[tokio::test]
async fn what_is_told_again_after_its_event_was_forgotten_is_a_new_event_with_the_count() {
    let plane = Plane::without_controllers().await;
    let recorder = cluster::Recorder::new(&plane.client, "a-test");
    let subject = cluster::Subject {
        kind: "Service",
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        uid: "1".to_owned(),
    };
    let tell = async || recorder.record(&subject, "Normal", "Tested", "It was tested").await;
    tell().await;
    tell().await;
    let told = plane.list(EVENTS).await;
    assert_eq!((told.len(), &told[0]["count"]), (1, &json!(2)));
    let name = told[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    plane.delete(&format!("{EVENTS}/{name}"), json!({})).await;
    tell().await;
    let told = plane.list(EVENTS).await;
    assert_eq!((told.len(), &told[0]["count"], &told[0]["reason"]), (1, &json!(3), &json!("Tested")));
}
