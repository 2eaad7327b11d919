//! get -w.

use crate::harness::{Server, table};
use crate::{NOT_FOUND, WEB};

#[test]
fn s104_get_w_sees_each_change() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    let watch = server.following("get service web -w --output-watch-events --request-timeout=30s");
    // The event's column is wide enough for each of them from the first row on.
    let head = ["EVENT   ", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"];
    let rows = |event: &str, ports: &str| {
        let event = format!("{event:8}");
        table(&[&head, &[&event, "web", "ClusterIP", "10.96.0.80", "<none>", ports, "0s"]])
    };
    let row = |event: &str, ports: &str| assert_eq!(watch.line(), below_head(&rows(event, ports)));
    assert_eq!([watch.line(), watch.line()].concat(), rows("ADDED", "80/TCP"));
    server.kubectl(r#"patch service web -p {"spec":{"ports":[{"port":80,"targetPort":9090}]}}"#);
    row("MODIFIED", "80/TCP");
    server.kubectl(r#"patch service web --type=merge -p {"spec":{"ports":[{"port":81}]}}"#);
    row("MODIFIED", "81/TCP");
    server.kubectl("delete service web --wait=false");
    row("DELETED", "81/TCP");
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    row("ADDED", "80/TCP");
    // When its time is over, all has been said.
    assert_eq!(watch.end(), (0, Vec::new()));
}

/// The rows of a table without its head.
fn below_head(table: &str) -> &str {
    table.split_once('\n').map_or("", |(_, rows)| rows)
}

#[test]
fn get_w_refuses_what_is_not_there() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("get service nothing -w").refused(NOT_FOUND);
    server.kubectl("get services -w --field-selector spec.flavour=sweet").refused(
        "Error from server (BadRequest): Unable to find \"/v1, Resource=services\" that match label selector \"\", field \
         selector \"spec.flavour=sweet\": field label not supported: spec.flavour\n",
    );
}

#[test]
fn a_watch_with_a_selector_sees_objects_enter_and_leave() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    let watch = server.following("get services -A -l tier=front -w --output-watch-events");
    // Whether it is listed or seen to come, it is ADDED; from then on the watch runs.
    let first =
        WEB.replace("  name: web\nspec", "  name: first\n  labels: {tier: front}\nspec").replace("10.96.0.80", "None");
    server.kubectl_with("create -f -", &first).ok("service/first created\n");
    assert_eq!(watch.next()[0], "EVENT");
    let row = |event: &str, name: &str| assert_eq!(watch.next()[..3], [event, "default", name]);
    row("ADDED", "first");
    server.kubectl("label service web tier=front").ok("service/web labeled\n");
    row("ADDED", "web");
    server.kubectl("annotate service web note=hello").ok("service/web annotated\n");
    row("MODIFIED", "web");
    server.kubectl("label service web tier=back --overwrite").ok("service/web labeled\n");
    row("DELETED", "web");
}

#[test]
fn a_watch_prints_names_and_whole_objects_too() {
    let Some(server) = Server::for_kubectl() else { return };
    let names = server.following("get services -w -o name");
    assert_eq!(names.next(), ["service/kubernetes"]);
    let objects = server.following("get services -w -o jsonpath={.metadata.name}:{.spec.type}{\"\\n\"}");
    assert_eq!(objects.next(), ["kubernetes:ClusterIP"]);
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    assert_eq!(names.next(), ["service/web"]);
    assert_eq!(objects.next(), ["web:ClusterIP"]);
}

#[test]
fn a_version_of_the_future_is_refused() {
    let Some(server) = Server::for_kubectl() else { return };
    let said = server.kubectl("get --raw /api/v1/services?watch=1&resourceVersion=1000000");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("Too large resource version: 1000000"), "{said:?}");
}
