//! describe.

use crate::harness::Server;
use crate::{NOT_FOUND, WEB};

#[test]
fn describe_shows_a_service_with_its_endpoints_and_events() {
    let Some(server) = Server::for_kubectl() else { return };
    let manifest = WEB.replace("  selector:\n    app: web\n", "");
    server.kubectl_with("create -f -", &manifest).ok("service/web created\n");
    let slice = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]
";
    server.kubectl_with("create -f -", slice).ok("endpointslice.discovery.k8s.io/web-1 created\n");
    server.kubectl("describe service web").ok("\
Name:                     web
Namespace:                default
Labels:                   <none>
Annotations:              <none>
Selector:                 <none>
Type:                     ClusterIP
IP Family Policy:         SingleStack
IP Families:              IPv4
IP:                       10.96.0.80
IPs:                      10.96.0.80
Port:                     http  80/TCP
TargetPort:               8080/TCP
Endpoints:                10.1.0.1:8080,10.1.0.2:8080
Session Affinity:         None
Internal Traffic Policy:  Cluster
Events:                   <none>
");
    let event = "
apiVersion: v1
kind: Event
metadata: {name: web.1}
type: Warning
reason: Tested
message: It was tested
involvedObject: {apiVersion: v1, kind: Service, namespace: default, name: web, uid: UID}
source: {component: a-test}
firstTimestamp: '2026-01-01T00:00:00Z'
lastTimestamp: '2026-01-01T00:00:00Z'
count: 1
";
    let uid = server.kubectl("get service web -o jsonpath={.metadata.uid}").out;
    server.kubectl_with("create -f -", &event.replace("UID", &uid)).ok("event/web.1 created\n");
    let said = server.kubectl("describe service web");
    let line = said.out.lines().last().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        (line[0], line[1], &line[3..]),
        ("Warning", "Tested", &["a-test", "It", "was", "tested"][..]),
        "{said:?}"
    );
}

#[test]
fn describe_knows_namespaces_nodes_and_pods() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("describe namespace default").ok("\
Name:         default
Labels:       kubernetes.io/metadata.name=default
Annotations:  <none>
Status:       Active
");
    server.kubectl_with("create -f -", "apiVersion: v1\nkind: Node\nmetadata: {name: one}").ok("node/one created\n");
    let node = server.kubectl("describe node one");
    assert_eq!((node.code, node.out.lines().next()), (0, Some("Name:               one")), "{node:?}");
    server.kubectl("run idle --image=host").ok("pod/idle created\n");
    let pod = server.kubectl("describe pod idle");
    assert!(pod.code == 0 && pod.out.contains("Status:       Pending\n"), "{pod:?}");
}

#[test]
fn describe_refuses_what_is_not_there() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("describe service nothing").refused(NOT_FOUND);
}
