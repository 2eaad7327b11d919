//! Lists, and kinds that are not served: what kubectl checks by itself, with the document of `/openapi/v2`.

use crate::WEB;
use crate::harness::Server;

const LIST: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: one
  data:
    a: b
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: two
";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
";

#[test]
fn s100_what_was_read_as_a_list_can_be_applied_and_replaced() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("apply -f -", LIST).ok("configmap/one created\nconfigmap/two created\n");
    server.kubectl_with("apply -f -", LIST).ok("configmap/one unchanged\nconfigmap/two unchanged\n");
    let yaml = server.kubectl("get configmaps -o yaml").out;
    assert!(yaml.contains("kind: List"), "{yaml}");
    let changed = yaml.replace("a: b", "a: c");
    server.kubectl_with("replace -f -", &changed).ok("configmap/one replaced\nconfigmap/two replaced\n");
    server.kubectl("get configmap one -o jsonpath={.data.a}").ok("c");
    let json = server.kubectl("get configmaps -o json").out;
    let applied = server.kubectl_with("apply -f -", &json.replace("\"a\": \"c\"", "\"a\": \"d\""));
    assert!(applied.out.starts_with("configmap/one configured\nconfigmap/two "), "{applied:?}");
    server.kubectl("get configmap one -o jsonpath={.data.a}").ok("d");
    server.kubectl_with("delete -f -", LIST).ok("configmap \"one\" deleted\nconfigmap \"two\" deleted\n");
    server.kubectl_with("create -f -", LIST).ok("configmap/one created\nconfigmap/two created\n");
}

/// A Service has numbers, texts and what may be either.
#[test]
fn s100_every_field_of_a_service_passes_kubectls_own_check() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("apply -f -", WEB).ok("service/web created\n");
    let yaml =
        server.kubectl("get services,endpointslices,nodes,namespaces,events,servicecidrs,ipaddresses -A -o yaml").out;
    let said = server.kubectl_with("apply --dry-run=server -f -", &yaml);
    assert!(!said.err.contains("error"), "{}", said.err);
    assert!(said.out.contains("service/web configured (server dry run)\n"), "{said:?}");
}

#[test]
fn s100_an_unknown_field_in_a_list_is_found() {
    let Some(server) = Server::for_kubectl() else { return };
    let said = server.kubectl_with("apply -f -", &LIST.replace("  data:\n    a: b\n", "  flavour: sweet\n"));
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("unknown field \"flavour\" in io.k8s.api.core.v1.ConfigMap"), "{said:?}");
}

#[test]
fn s100_a_kind_that_is_not_served_is_named_and_the_others_are_applied() {
    let Some(server) = Server::for_kubectl() else { return };
    let said = server.kubectl_with("apply -f -", &format!("{DEPLOYMENT}---{WEB}"));
    assert_eq!((said.code, said.out.as_str()), (1, "service/web created\n"), "{said:?}");
    let why = "error: resource mapping not found for name: \"web\" namespace: \"\" from \"STDIN\": no matches for kind \
               \"Deployment\" in version \"apps/v1\"\nensure CRDs are installed first\n";
    assert_eq!(said.err, why);
}

/// S-102.
#[test]
fn s102_explain_reads_the_older_document_too() {
    let Some(server) = Server::for_kubectl() else { return };
    let port = server.kubectl("explain --output=plaintext-openapiv2 service.spec.ports.port");
    let head = "KIND:     Service\nVERSION:  v1\n\nFIELD:    port <integer>\n\nDESCRIPTION:\n     ";
    assert!(port.code == 0 && port.out.starts_with(head), "{port:?}");
    let spec = server.kubectl("explain --output=plaintext-openapiv2 endpointslice.endpoints").out;
    for field in
        ["   addresses\t<[]string> -required-", "   conditions\t<Object>", "   deprecatedTopology\t<map[string]string>"]
    {
        assert!(spec.lines().any(|line| line == field), "{field} is missing: {spec}");
    }
}

#[test]
fn the_older_document_can_be_read_as_json() {
    let Some(server) = Server::for_kubectl() else { return };
    let document: serde_json::Value =
        serde_json::from_str(&server.kubectl("get --raw /openapi/v2").out).expect("it is JSON");
    assert_eq!(document["swagger"], "2.0");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"));
}
