//! Watches that are behind what the controllers wrote, or never tell of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::harness::{Plane, pod, service, settings};
use crate::tap::{Forward, Log, Request, Tap, expired, is, running, watches, with_pieces};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Delays all that watches of Endpoints tell.
fn delaying(log: &Log, delay: Duration) -> Tap {
    let log = log.clone();
    Arc::new(move |request: Request, forward: Forward| {
        let delayed = watches(&request, "endpoints");
        let answer = log.clone().following(request, forward);
        let late = move |pieces: BoxStream<'static, Bytes>| {
            pieces.then(move |piece| tokio::time::sleep(delay).map(move |()| piece)).boxed()
        };
        async move {
            let response = answer.await;
            if delayed { with_pieces(response, late) } else { response }
        }
        .boxed()
    })
}

#[tokio::test]
async fn s215_endpoints_whose_watch_is_late_are_written_without_conflicts_and_slices_at_once() {
    let mut plane = Plane::start().await;
    plane.create(PODS, pod("p", json!({ "app": "a" }))).await;
    plane.merge(&format!("{PODS}/p/status"), running("10.1.0.1", true, "2026-01-01T00:00:00Z")).await;
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    let path = format!("{ENDPOINTS}/a");
    let ready = |endpoints: &Value| endpoints["subsets"][0]["addresses"][0]["ip"] == "10.1.0.1";
    plane.wait(&path, "Endpoints have the Pod", ready).await;
    plane.wait(SLICES, "there is a slice", |list| list["items"][0]["endpoints"][0].is_object()).await;
    plane.release();

    let log = Log::default();
    plane.control_through(settings(), &delaying(&log, Duration::from_millis(200)));
    for number in 1..=10 {
        let ready = number % 2 == 0;
        let since = format!("2026-02-01T00:00:{number:02}Z");
        plane.merge(&format!("{PODS}/p/status"), running("10.1.0.1", ready, &since)).await;
        let follows = |list: &Value| list["items"][0]["endpoints"][0]["conditions"]["ready"] == ready;
        plane.wait(SLICES, "the slice follows", follows).await;
    }
    let late = |endpoints: &Value| {
        let told = endpoints["metadata"]["annotations"][TRIGGER].as_str();
        ready(endpoints) && told.is_some_and(|told| told.starts_with("2026-02-01T00:00:"))
    };
    plane.wait(&path, "the last Endpoints are right and tell since when", late).await;
    for (method, plural) in [(Method::PUT, "endpoints"), (Method::PUT, "endpointslices"), (Method::POST, "endpoints")] {
        assert_eq!(log.count(&method, plural, 409), 0, "{method} {plural}:\n{}", log.text());
    }
    let (slices, endpoints) =
        (log.count(&Method::PUT, "endpointslices", 200), log.count(&Method::PUT, "endpoints", 200));
    assert_eq!(slices, 10, "{}", log.text());
    assert!((1..=slices).contains(&endpoints), "they waited for the watch:\n{}", log.text());
    plane.assert_healthy();
}

/// What the watches of slices do that began first.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Runs,
    Stands,
    Expires,
}

/// Lets the test stop the watches of whole slices, and then let them expire. Counts those that began.
fn stopping(flow: &watch::Receiver<Flow>, began: &Arc<AtomicUsize>) -> Tap {
    let (flow, began) = (flow.clone(), began.clone());
    Arc::new(move |request: Request, forward: Forward| {
        let whole = request.headers()["accept"] == "application/json";
        let all = request.uri().query().is_some_and(|query| !query.contains("labelSelector"));
        let chosen = watches(&request, "endpointslices") && whole && all && *flow.borrow() != Flow::Expires;
        let (stopped, began) = (chosen.then(|| flow.clone()), began.clone());
        let answer = forward(request);
        async move {
            let response = answer.await;
            let Some(flow) = stopped else { return response };
            began.fetch_add(1, Ordering::SeqCst);
            with_pieces(response, |pieces| until_expired(pieces, flow))
        }
        .boxed()
    })
}

fn until_expired(pieces: BoxStream<'static, Bytes>, flow: watch::Receiver<Flow>) -> BoxStream<'static, Bytes> {
    let next = |(mut pieces, mut flow): (BoxStream<'static, Bytes>, watch::Receiver<Flow>)| async move {
        let stands = flow.wait_for(|flow| *flow != Flow::Runs).map(drop);
        tokio::select! {
            biased;
            () = stands => {}
            piece = pieces.next() => return piece.map(|piece| (piece, (pieces, flow))),
        }
        flow.wait_for(|flow| *flow == Flow::Expires).map(drop).await;
        Some((expired(), (stream::empty().boxed(), flow)))
    };
    stream::unfold((pieces, flow), next).take(1_000).boxed()
}

#[tokio::test]
async fn s215_a_slice_that_came_and_went_between_two_watches_stops_nothing() {
    let one_each = || controllers::Settings { slice_len_max: 1, ..settings() };
    let mut plane = Plane::start_with(one_each()).await;
    let make = async |plane: &Plane, name: &str, ip: &str| {
        plane.create(PODS, pod(name, json!({ "app": "a" }))).await;
        plane.merge(&format!("{PODS}/{name}/status"), running(ip, true, "2026-01-01T00:00:00Z")).await;
    };
    let have = |wanted: &'static [&'static str]| {
        move |list: &Value| {
            let items = list["items"].as_array().expect("a list");
            let mut found: Vec<&str> =
                items.iter().filter_map(|slice| slice["endpoints"][0]["addresses"][0].as_str()).collect();
            found.sort_unstable();
            found == wanted
        }
    };
    make(&plane, "p1", "10.1.0.1").await;
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    plane.wait(SLICES, "the Pod has a slice", have(&["10.1.0.1"])).await;
    plane.release();

    let (flow, flows) = watch::channel(Flow::Runs);
    let began = Arc::new(AtomicUsize::new(0));
    plane.control_through(one_each(), &stopping(&flows, &began));
    while began.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    flow.send_replace(Flow::Stands);
    make(&plane, "p2", "10.1.0.2").await;
    let list = plane.wait(SLICES, "each Pod has a slice", have(&["10.1.0.1", "10.1.0.2"])).await;
    let items = list["items"].as_array().expect("a list");
    let unseen = items.iter().find(|slice| slice["endpoints"][0]["addresses"][0] == "10.1.0.2").expect("it is there");
    plane.delete(&format!("{SLICES}/{}", unseen["metadata"]["name"].as_str().expect("a name")), json!({})).await;
    flow.send_replace(Flow::Expires);
    make(&plane, "p3", "10.1.0.3").await;
    plane.wait(SLICES, "all have slices", have(&["10.1.0.1", "10.1.0.2", "10.1.0.3"])).await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s229_endpoints_that_were_written_after_their_service_went_are_deleted() {
    let mut plane = Plane::without_controllers().await;
    let (open, gate) = watch::channel(false);
    let tap: Tap = Arc::new(move |request: Request, forward: Forward| {
        let held = is(&request, &Method::POST, "endpoints").then(|| gate.clone());
        async move {
            if let Some(mut gate) = held {
                gate.wait_for(|open| *open).await.expect("the test opens it");
            }
            forward(request).await
        }
        .boxed()
    });
    plane.control_through(settings(), &tap);
    plane.create(SERVICES, service("a", json!({ "app": "a" }))).await;
    plane.wait(SLICES, "it is planned", |list| list["items"][0].is_object()).await;
    plane.delete(&format!("{SERVICES}/a"), json!({})).await;
    plane.create(SERVICES, service("b", json!({ "app": "b" }))).await;
    // It comes later, so the controllers know by then that the first one went.
    let planned = |list: &Value| {
        let items = list["items"].as_array().expect("a list");
        items.iter().any(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "b")
    };
    plane.wait(SLICES, "the other is planned", planned).await;
    open.send_replace(true);
    plane.wait(&format!("{ENDPOINTS}/b"), "the other has Endpoints", |object| !object.is_null()).await;
    plane.until_run("endpoints", "all is written", |last| last.runs >= 3).await;
    plane.wait(&format!("{ENDPOINTS}/a"), "what was left is deleted", Value::is_null).await;
    plane.assert_healthy();
}

#[tokio::test]
async fn s229_services_that_come_and_go_quickly_leave_no_endpoints() {
    let plane = Plane::start().await;
    for number in 0..150u64 {
        let name = format!("s{number}");
        plane.create(SERVICES, service(&name, json!({ "app": "a" }))).await;
        tokio::time::sleep(Duration::from_millis(number % 9)).await;
        plane.delete(&format!("{SERVICES}/{name}"), json!({})).await;
    }
    plane.create(SERVICES, service("last", json!({ "app": "a" }))).await;
    plane.wait(&format!("{ENDPOINTS}/last"), "the last has Endpoints", |object| !object.is_null()).await;
    let only_last = |list: &Value| {
        let items = list["items"].as_array().expect("a list");
        let names: Vec<&str> = items.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
        names.iter().all(|name| ["last", "kubernetes"].contains(name))
    };
    plane.wait(ENDPOINTS, "nobody else's are left", only_last).await;
    plane.assert_healthy();
}
