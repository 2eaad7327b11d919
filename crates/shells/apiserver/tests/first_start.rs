//! What a server holds after its first start, and who may ask.

use std::sync::Arc;

use apiserver::{ApiServer, Config, Identity};
use axum_core::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

async fn server(directory: &tempfile::TempDir, advertise: &[&str]) -> ApiServer {
    server_of(directory, &["10.96.0.0/16", "fd00:10:96::/108"], advertise).await
}

async fn server_of(directory: &tempfile::TempDir, ranges: &[&str], advertise: &[&str]) -> ApiServer {
    let store = store::Embedded::open(directory.path()).expect("a store");
    let config = Config {
        service_ranges: ranges.iter().map(|range| range.parse().expect("a range")).collect(),
        pod_ranges: Vec::new(),
        node_ports: 30000..=32767,
        advertise: advertise.iter().map(|address| address.parse().expect("an address")).collect(),
        port: 6443,
    };
    ApiServer::start(Arc::new(store), config).await.expect("it starts")
}

async fn send(server: &ApiServer, method: &str, path: &str, body: Value, known: bool) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let mut request = Request::builder().method(method).uri(path).body(body).expect("a request");
    if known {
        request.extensions_mut().insert(Identity::component("test"));
    }
    let answer = server.handle(request).await;
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn get(server: &ApiServer, path: &str) -> Value {
    let (code, object) = send(server, "GET", path, Value::Null, true).await;
    assert_eq!(code, 200, "{path}: {object}");
    object
}

#[tokio::test]
async fn s148_s149_the_service_kubernetes_leads_to_the_advertised_address() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory, &["192.0.2.7"]).await;
    let service = get(&server, "/api/v1/namespaces/default/services/kubernetes").await;
    assert_eq!(service["metadata"]["labels"], json!({ "component": "apiserver", "provider": "kubernetes" }));
    let spec = &service["spec"];
    assert_eq!(spec["clusterIP"], "10.96.0.1", "the first address of the primary range");
    assert_eq!((&spec["ipFamilyPolicy"], &spec["selector"]), (&json!("SingleStack"), &Value::Null));
    assert_eq!(spec["ports"], json!([{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443 }]));
    let endpoints = get(&server, "/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"][0]["addresses"], json!([{ "ip": "192.0.2.7" }]));
    assert_eq!(endpoints["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"], "true");
    let slice = get(&server, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes").await;
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "kubernetes");
    assert_eq!(slice["endpoints"], json!([{ "addresses": ["192.0.2.7"], "conditions": { "ready": true } }]));
}

#[tokio::test]
async fn s149_with_only_a_loopback_address_nothing_is_published() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory, &["127.0.0.1"]).await;
    let (code, _) = send(&server, "GET", "/api/v1/namespaces/default/endpoints/kubernetes", Value::Null, true).await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn s149_an_address_of_an_earlier_start_is_taken_away() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(server(&directory, &["192.0.2.7"]).await);
    let server = server(&directory, &["127.0.0.1"]).await;
    let path = "/api/v1/namespaces/default/endpoints/kubernetes";
    let (code, endpoints) = send(&server, "GET", path, Value::Null, true).await;
    assert_eq!((code, &endpoints["subsets"]), (200, &json!([])));
}

#[tokio::test]
async fn s149_what_others_wrote_stays_when_nothing_is_published() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = "/api/v1/namespaces/default/endpoints";
    let subsets = json!([{ "addresses": [{ "ip": "192.0.2.9" }], "ports": [{ "port": 443, "protocol": "TCP" }] }]);
    {
        let first = server(&directory, &["127.0.0.1"]).await;
        let own = json!({ "metadata": { "name": "kubernetes" }, "subsets": subsets });
        let (code, answer) = send(&first, "POST", path, own, true).await;
        assert_eq!(code, 201, "{answer}");
    }
    let second = server(&directory, &["127.0.0.1"]).await;
    second.leave().await.expect("it can be written");
    assert_eq!(get(&second, &format!("{path}/kubernetes")).await["subsets"], subsets);
}

#[tokio::test]
async fn s149_a_data_directory_may_be_started_with_the_other_family_first() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(server(&directory, &["192.0.2.7"]).await);
    let server = server_of(&directory, &["fd00:10:96::/108", "10.96.0.0/16"], &["2001:db8::7"]).await;
    let slice = get(&server, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes").await;
    assert_eq!((&slice["addressType"], &slice["endpoints"][0]["addresses"]), (&json!("IPv6"), &json!(["2001:db8::7"])));
    let endpoints = get(&server, "/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"][0]["addresses"], json!([{ "ip": "2001:db8::7" }]));
}

#[tokio::test]
async fn s149_readyz_says_where_the_service_kubernetes_leads_or_why_nowhere() {
    for (advertise, expected) in [
        (&["192.0.2.7"][..], "[+]advertise-address ok: default/kubernetes leads to 192.0.2.7"),
        (
            &["127.0.0.1"],
            "[+]advertise-address ok: [127.0.0.1] has no IPv4 address beyond loopback, so default/kubernetes has no \
             endpoints; to publish this server to Pods, let it --listen on an IPv4 address that they reach",
        ),
        (
            &["2001:db8::7"],
            "[+]advertise-address ok: [2001:db8::7] has no IPv4 address beyond loopback, so default/kubernetes has no \
             endpoints; to publish this server to Pods, let it --listen on an IPv4 address that they reach",
        ),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let server = server(&directory, advertise).await;
        let request = Request::builder().uri("/readyz?verbose").body(Body::empty()).expect("a request");
        let answer = server.handle(request).await;
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let lines: Vec<&str> = std::str::from_utf8(&body).expect("text").lines().collect();
        assert_eq!(lines, ["[+]ping ok", "[+]store ok", expected, "readyz check passed"]);
    }
}

#[tokio::test]
async fn s149_a_server_that_leaves_takes_its_address_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory, &["192.0.2.7"]).await;
    server.leave().await.expect("it can be written");
    let endpoints = get(&server, "/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"], json!([]));
    let slice = get(&server, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes").await;
    assert_eq!(slice["endpoints"], json!([]));
}

#[tokio::test]
async fn s428_the_service_kube_dns_has_the_tenth_address_of_each_range() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory, &[]).await;
    let service = get(&server, "/api/v1/namespaces/kube-system/services/kube-dns").await;
    assert_eq!(service["metadata"]["labels"], json!({ "k8s-app": "kube-dns" }));
    let spec = &service["spec"];
    assert_eq!(spec["clusterIPs"], json!(["10.96.0.10", "fd00:10:96::a"]));
    assert_eq!(spec["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!((&spec["ipFamilyPolicy"], &spec["selector"]), (&json!("PreferDualStack"), &Value::Null));
    let ports = json!([
        { "name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53 },
        { "name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53 },
    ]);
    assert_eq!(spec["ports"], ports);
}

#[tokio::test]
async fn s428_whoever_holds_the_address_of_kube_dns_keeps_it_and_an_event_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let services = "/api/v1/namespaces/default/services";
    let dns = "/api/v1/namespaces/kube-system/services/kube-dns";
    {
        let first = server(&directory, &[]).await;
        send(&first, "DELETE", dns, Value::Null, true).await;
        let spec = json!({ "clusterIP": "10.96.0.10", "ports": [{ "port": 80 }] });
        let (code, answer) =
            send(&first, "POST", services, json!({ "metadata": { "name": "squatter" }, "spec": spec }), true).await;
        assert_eq!(code, 201, "{answer}");
    }
    let second = server(&directory, &[]).await;
    assert_eq!(get(&second, &format!("{services}/squatter")).await["spec"]["clusterIP"], "10.96.0.10");
    assert_eq!(send(&second, "GET", dns, Value::Null, true).await.0, 404);
    let events = get(&second, "/api/v1/namespaces/kube-system/events").await;
    let event = &events["items"][0];
    assert_eq!(
        (&event["reason"], &event["involvedObject"]["name"]),
        (&json!("ClusterIPNotAllocated"), &json!("kube-dns"))
    );
    let message = event["message"].as_str().expect("a message");
    assert!(message.contains("10.96.0.10") && message.contains("provided IP is already allocated"), "{message}");
}

#[tokio::test]
async fn s142_an_address_is_claimed_by_its_ip_address_object() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory, &[]).await;
    let service =
        json!({ "metadata": { "name": "web" }, "spec": { "clusterIP": "10.96.7.7", "ports": [{ "port": 80 }] } });
    let (code, answer) = send(&server, "POST", "/api/v1/namespaces/default/services", service, true).await;
    assert_eq!(code, 201, "{answer}");
    let path = "/apis/networking.k8s.io/v1/ipaddresses/10.96.7.7";
    let claim = get(&server, path).await;
    let parent = json!({ "group": "", "resource": "services", "namespace": "default", "name": "web" });
    assert_eq!(claim["spec"]["parentRef"], parent);
    let labels = json!({
        "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    });
    assert_eq!(claim["metadata"]["labels"], labels);
    assert_eq!(claim["metadata"]["resourceVersion"], answer["metadata"]["resourceVersion"], "one transaction");
    send(&server, "DELETE", "/api/v1/namespaces/default/services/web", Value::Null, true).await;
    assert_eq!(send(&server, "GET", path, Value::Null, true).await.0, 404, "released with the Service");
}

#[tokio::test]
async fn s143_s148_a_second_start_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = server(&directory, &["192.0.2.7"]).await;
    let names: Vec<Value> = items(&get(&first, "/api/v1/namespaces").await);
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let cidr = get(&first, "/apis/networking.k8s.io/v1/servicecidrs/kubernetes").await;
    assert_eq!(cidr["spec"]["cidrs"], json!(["10.96.0.0/16", "fd00:10:96::/108"]));
    let version = |list: Value| list["metadata"]["resourceVersion"].clone();
    let before = version(get(&first, "/api/v1/services").await);
    drop(first);
    let second = server(&directory, &["192.0.2.7"]).await;
    assert_eq!(version(get(&second, "/api/v1/services").await), before, "nothing was written");
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().expect("items").iter().map(|item| item["metadata"]["name"].clone()).collect()
}

#[tokio::test]
async fn strangers_get_401_but_for_health_and_version() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(&directory, &[]).await;
    for (path, expected) in [
        ("/healthz", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 200),
        ("/api", 401),
        ("/apis", 401),
        ("/openapi/v3", 401),
        ("/api/v1/services", 401),
        ("/nothing", 401),
    ] {
        assert_eq!(send(&server, "GET", path, Value::Null, false).await.0, expected, "{path}");
    }
}
