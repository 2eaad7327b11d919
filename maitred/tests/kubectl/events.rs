//! get events, and both groups over one stored object.

use crate::harness::Server;

const EVENT: &str = "
apiVersion: v1
kind: Event
metadata:
  name: web.1
type: Warning
reason: Tested
message: It was tested
involvedObject:
  apiVersion: v1
  kind: Service
  namespace: default
  name: web
source:
  component: a-test
firstTimestamp: NOW
lastTimestamp: NOW
count: 1
";

#[test]
fn events_are_shown_in_both_groups() {
    let Some(server) = Server::for_kubectl() else { return };
    let now = server.kubectl("get namespace default -o jsonpath={.metadata.creationTimestamp}").out;
    server.kubectl_with("create -f -", &EVENT.replace("NOW", &format!("{now:?}"))).ok("event/web.1 created\n");
    let rows: [&[&str]; 2] = [
        &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"],
        &["0s", "Warning", "Tested", "service/web", "It was tested"],
    ];
    server.kubectl("get events").table(&rows);
    server.kubectl("get events.events.k8s.io").table(&rows);
    server.kubectl("get event web.1 -o jsonpath={.involvedObject.name}/{.message}").ok("web/It was tested");
    server.kubectl("get event.events.k8s.io web.1 -o jsonpath={.regarding.name}/{.note}").ok("web/It was tested");
    server.kubectl("get events --field-selector involvedObject.name=web -o name").ok("event/web.1\n");
    server.kubectl("get events --field-selector involvedObject.name=other -o name").ok("");
    let said = server.kubectl("events --for service/web");
    let line = said.out.lines().last().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line[1..], ["Warning", "Tested", "Service/web", "It", "was", "tested"], "{said:?}");
}

#[test]
fn an_event_about_another_namespace_is_refused() {
    let Some(server) = Server::for_kubectl() else { return };
    let event = EVENT.replace("namespace: default", "namespace: elsewhere").replace("NOW", "'2026-01-01T00:00:00Z'");
    server.kubectl_with("create -f -", &event).refused(
        "The Event \"web.1\" is invalid: involvedObject.namespace: Invalid value: \"elsewhere\": does not match \
         event.namespace\n",
    );
}
