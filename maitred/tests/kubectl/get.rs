//! get: tables, forms, selectors.

use crate::harness::Server;
use crate::{NOT_FOUND, WEB, named};

/// One Service of each type, as S-104 says they are shown.
const EVERY_TYPE: &str = "
apiVersion: v1
kind: Service
metadata: {name: a-inner, labels: {tier: front}}
spec: {clusterIP: 10.96.0.80, clusterIPs: [10.96.0.80], selector: {app: web, tier: front},
  ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: b-bare}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: c-outer}
spec: {type: NodePort, clusterIP: 10.96.0.81, clusterIPs: [10.96.0.81], ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: d-balanced}
spec: {type: LoadBalancer, clusterIP: 10.96.0.82, clusterIPs: [10.96.0.82], ports: [{port: 443, nodePort: 30443}]}
---
apiVersion: v1
kind: Service
metadata: {name: e-external}
spec: {clusterIP: 10.96.0.83, clusterIPs: [10.96.0.83], externalIPs: [192.0.2.1, 192.0.2.2], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: f-far}
spec: {type: ExternalName, externalName: example.com}
";

/// A server with the Services of [`EVERY_TYPE`].
fn with_every_type() -> Option<Server> {
    let server = Server::for_kubectl()?;
    let created = "a-inner b-bare c-outer d-balanced e-external f-far".split(' ');
    let out: String = created.map(|name| format!("service/{name} created\n")).collect();
    server.kubectl_with("create -f -", EVERY_TYPE).ok(&out);
    Some(server)
}

#[test]
fn s104_get_prints_the_columns_of_services() {
    let Some(server) = with_every_type() else { return };
    let rows: [&[&str]; 8] = [
        &["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"],
        &["a-inner", "ClusterIP", "10.96.0.80", "<none>", "80/TCP,53/UDP", "0s", "app=web,tier=front"],
        &["b-bare", "ClusterIP", "None", "<none>", "80/TCP", "0s", "app=web"],
        &["c-outer", "NodePort", "10.96.0.81", "<none>", "80:30080/TCP", "0s", "<none>"],
        &["d-balanced", "LoadBalancer", "10.96.0.82", "<pending>", "443:30443/TCP", "0s", "<none>"],
        &["e-external", "ClusterIP", "10.96.0.83", "192.0.2.1,192.0.2.2", "80/TCP", "0s", "<none>"],
        &["f-far", "ExternalName", "<none>", "example.com", "<none>", "0s", "<none>"],
        &["kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP", "0s", "<none>"],
    ];
    server.kubectl("get services -o wide").table(&rows);
    let narrow = rows.map(|row| &row[..6]);
    server.kubectl("get svc").table(&narrow);
    server.kubectl("get svc --chunk-size=2").table(&narrow);
    server.kubectl("get svc f-far").table(&[narrow[0], narrow[6]]);
}

#[test]
fn s104_get_prints_the_columns_of_slices_endpoints_ranges_and_addresses() {
    let Some(server) = Server::for_kubectl() else { return };
    let manifest = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None}
---
apiVersion: v1
kind: Service
metadata: {name: none}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}, {addresses: [10.1.0.3]}, {addresses: [10.1.0.4]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2}
addressType: IPv4
endpoints: []
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}}
subsets: [{addresses: [{ip: 10.1.0.1}, {ip: 10.1.0.2}], ports: [{port: 80}]}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: none, labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}}
";
    let said = server.kubectl_with("create -f -", manifest);
    assert_eq!(said.code, 0, "{said:?}");
    server.kubectl("get endpointslices").table(&[
        &["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"],
        &["web-1", "IPv4", "8080", "10.1.0.1,10.1.0.2,10.1.0.3 + 1 more...", "0s"],
        &["web-2", "IPv4", "<unset>", "<unset>", "0s"],
    ]);
    server.kubectl("get endpoints").table(&[
        &["NAME", "ENDPOINTS", "AGE"],
        &["none", "<none>", "0s"],
        &["web", "10.1.0.1:80,10.1.0.2:80", "0s"],
    ]);
    server.kubectl("get ipaddresses").table(&[
        &["NAME", "PARENTREF"],
        &["10.96.0.1", "services/default/kubernetes"],
        &["10.96.0.10", "services/kube-system/kube-dns"],
        &["fd00:10:96::a", "services/kube-system/kube-dns"],
    ]);
    server
        .kubectl("get servicecidrs")
        .table(&[&["NAME", "CIDRS", "AGE"], &["kubernetes", "10.96.0.0/16,fd00:10:96::/108", "0s"]]);
}

#[test]
fn s101_fields_labels_and_namespaces_select() {
    let Some(server) = with_every_type() else { return };
    let check = |words: &str, names: &str| {
        let out: String = names.split_whitespace().map(|name| format!("service/{name}\n")).collect();
        server.kubectl(&format!("get services -o name {words}")).ok(&out);
    };
    check("-l tier=front", "a-inner");
    check("-l tier!=front,!component", "b-bare c-outer d-balanced e-external f-far");
    check("--field-selector spec.type=NodePort", "c-outer");
    check("--field-selector spec.clusterIP=None", "b-bare");
    check("--field-selector metadata.name!=f-far,spec.type!=ClusterIP", "c-outer d-balanced");
    check("--field-selector metadata.namespace=default -l component=apiserver", "kubernetes");
    server.kubectl("get services -n kube-system -o name").ok("service/kube-dns\n");
    server.kubectl("get services -n kube-public").ok("");
    server.kubectl("get services --field-selector spec.flavour=sweet").refused(
        "Error from server (BadRequest): Unable to find \"/v1, Resource=services\" that match label selector \"\", field \
         selector \"spec.flavour=sweet\": field label not supported: spec.flavour\n",
    );
}

#[test]
fn get_sorts_by_any_field_of_the_object() {
    let Some(server) = with_every_type() else { return };
    let said = server.kubectl("get services --sort-by=.spec.ports[0].nodePort -l !component --no-headers");
    let names: Vec<&str> = said.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((said.code, &names[4..]), (0, &["c-outer", "d-balanced"][..]), "{said:?}");
}

#[test]
fn get_prints_all_namespaces_and_the_category_all() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("get services -A").table(&[
        &["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        &["default", "kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP", "0s"],
        &["kube-system", "kube-dns", "ClusterIP", "10.96.0.10", "<none>", "53/UDP,53/TCP", "0s"],
    ]);
    server.kubectl("get all").table(&[
        &["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        &["service/kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP", "0s"],
    ]);
    server.kubectl("get namespaces").table(&[
        &["NAME", "STATUS", "AGE"],
        &["default", "Active", "0s"],
        &["kube-node-lease", "Active", "0s"],
        &["kube-public", "Active", "0s"],
        &["kube-system", "Active", "0s"],
    ]);
    let none = server.kubectl("get pods");
    none.ok("");
    assert_eq!(none.err, "No resources found in default namespace.\n");
}

/// Defaults of S-111 and S-114; `generation` counts the changes of `spec`.
#[test]
fn s111_get_prints_the_whole_object_as_yaml_and_json() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server.kubectl("get service web -o yaml").timeless(
        "apiVersion: v1
kind: Service
metadata:
  creationTimestamp: *
  generation: 1
  name: web
  namespace: default
  resourceVersion: *
  uid: *
spec:
  clusterIP: 10.96.0.80
  clusterIPs:
  - 10.96.0.80
  internalTrafficPolicy: Cluster
  ipFamilies:
  - IPv4
  ipFamilyPolicy: SingleStack
  ports:
  - name: http
    port: 80
    protocol: TCP
    targetPort: 8080
  selector:
    app: web
  sessionAffinity: None
  type: ClusterIP
status:
  loadBalancer: {}
",
    );
    server.kubectl("get service web -o json").timeless(WEB_AS_JSON);
    // A list is kubectl's own, of whole objects.
    server.kubectl_with("create -f -", &named("b-web", "10.96.0.81")).ok("service/b-web created\n");
    let indented = |name: &str, address: &str| {
        let object =
            WEB_AS_JSON.trim_end().replace("\"web\",\n        \"namespace", &format!("{name:?},\n        \"namespace"));
        object.replace("10.96.0.80", address).replace('\n', "\n        ")
    };
    server.kubectl("get services -l !component -o json").timeless(&format!(
        r#"{{
    "apiVersion": "v1",
    "items": [
        {},
        {}
    ],
    "kind": "List",
    "metadata": {{
        "resourceVersion": *
    }}
}}
"#,
        indented("b-web", "10.96.0.81"),
        indented("web", "10.96.0.80"),
    ));
}

/// The Service of [`WEB`] with the fields that the server gives it.
const WEB_AS_JSON: &str = r#"{
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "creationTimestamp": *,
        "generation": 1,
        "name": "web",
        "namespace": "default",
        "resourceVersion": *,
        "uid": *
    },
    "spec": {
        "clusterIP": "10.96.0.80",
        "clusterIPs": [
            "10.96.0.80"
        ],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": [
            "IPv4"
        ],
        "ipFamilyPolicy": "SingleStack",
        "ports": [
            {
                "name": "http",
                "port": 80,
                "protocol": "TCP",
                "targetPort": 8080
            }
        ],
        "selector": {
            "app": "web"
        },
        "sessionAffinity": "None",
        "type": "ClusterIP"
    },
    "status": {
        "loadBalancer": {}
    }
}
"#;

#[test]
fn get_refuses_what_is_not_there() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("get service nothing").refused(NOT_FOUND);
    server.kubectl("get flavours").refused("error: the server doesn't have a resource type \"flavours\"\n");
    server.kubectl("get service nothing --ignore-not-found").ok("");
}
