//! What people get wrong or run out of: one sentence that names the thing and the way out, and nothing is stored.

use crate::harness::{Server, kubectl};
use crate::{WEB, named};

/// A server with these options, if there is a kubectl.
fn with(options: &[&str]) -> Option<Server> {
    kubectl()?;
    Some(Server::start_in(tempfile::tempdir().expect("a data directory"), options))
}

#[test]
fn a_malformed_manifest_is_refused_and_stores_nothing() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", &WEB.replace("  ports:", " ports:")).refused(
        "error: error parsing STDIN: error converting YAML to JSON: yaml: line 10: did not find expected key\n",
    );
    let raw = server.kubectl_with("create --raw /api/v1/namespaces/default/services -f -", "{\"kind\": \"Service\"");
    raw.refused(
        "Error from server (BadRequest): the object provided is not valid JSON: EOF while parsing an object at line 1 \
         column 18\n",
    );
    server.kubectl("get services -o name").ok("service/kubernetes\n");
}

#[test]
fn s117_an_exhausted_range_of_cluster_ips_names_the_range() {
    // Sixteen addresses: two are nobody's, one is that of `kubernetes` and one that of `kube-dns`.
    let Some(server) = with(&["--service-cluster-ip-range", "10.96.0.0/28"]) else { return };
    let bare = |number: usize| {
        named(&format!("web-{number}"), "X").replace("  clusterIP: X\n", "").replace("  clusterIPs: [X]\n", "")
    };
    let all: Vec<String> = (0..12).map(bare).collect();
    assert_eq!(server.kubectl_with("create -f -", &all.join("---")).code, 0);
    server.kubectl_with("create -f -", &bare(12)).refused(
        "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed to allocate a \
         serviceIP: range is full (10.96.0.0/28): delete a Service or add a ServiceCIDR\n",
    );
    server.kubectl("delete service web-3").ok("service \"web-3\" deleted\n");
    server.kubectl_with("create -f -", &bare(12)).ok("service/web-12 created\n");
}

#[test]
fn s137_an_exhausted_range_of_node_ports_names_the_range() {
    let Some(server) = with(&["--service-node-port-range", "30080-30081"]) else { return };
    let node_port = |name: &str| server.kubectl(&format!("create service nodeport {name} --tcp=80"));
    node_port("one").ok("service/one created\n");
    node_port("two").ok("service/two created\n");
    node_port("three").refused(
        "error: failed to create NodePort service: Internal error occurred: failed to allocate a nodePort: range is full \
         (30080-30081): delete a Service with node ports or widen --service-node-port-range\n",
    );
    server.kubectl("get service three").refused("Error from server (NotFound): services \"three\" not found\n");
}
