//! delete: by name, by selection, held by finalizers.

use crate::harness::Server;
use crate::{NOT_FOUND, WEB, named};

#[test]
fn delete_removes_by_name_by_label_and_all() {
    let Some(server) = Server::for_kubectl() else { return };
    for number in 1..=4 {
        let name = format!("web-{number}");
        let manifest = named(&name, &format!("10.96.0.8{number}"));
        server.kubectl_with("create -f -", &manifest).ok(&format!("service/{name} created\n"));
    }
    server.kubectl("label service web-2 web-3 gone=soon").ok("service/web-2 labeled\nservice/web-3 labeled\n");
    server.kubectl("delete service web-1").ok("service \"web-1\" deleted\n");
    server.kubectl("delete service -l gone=soon").ok("service \"web-2\" deleted\nservice \"web-3\" deleted\n");
    server.kubectl("delete services --all").ok("service \"kubernetes\" deleted\nservice \"web-4\" deleted\n");
    server.kubectl("delete service nothing").refused(NOT_FOUND);
    server.kubectl_with("create -f -", &named("web-5", "10.96.0.85")).ok("service/web-5 created\n");
    server.kubectl("delete service web-5 nothing").partly_refused("service \"web-5\" deleted\n", NOT_FOUND);
    server.kubectl("delete service nothing --ignore-not-found").ok("");
    let prefix = "ipaddress.networking.k8s.io";
    server.kubectl("get ipaddresses -o name").ok(&format!("{prefix}/10.96.0.10\n{prefix}/fd00:10:96::a\n"));
}

/// S-148: the Service by which Pods find the API is created again if it is missing.
#[test]
fn s148_the_service_kubernetes_comes_back() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("delete service kubernetes").ok("service \"kubernetes\" deleted\n");
    server.kubectl("wait service/kubernetes --for=create --timeout=30s").ok("service/kubernetes condition met\n");
    server.kubectl("get service kubernetes -o jsonpath={.spec.clusterIP}").ok("10.96.0.1");
}

#[test]
fn s106_finalizers_hold_an_object_and_its_address() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server
        .kubectl(r#"patch service web -p {"metadata":{"finalizers":["example.com/hold"]}}"#)
        .ok("service/web patched\n");
    let deleting = server.following("delete service web");
    assert_eq!(deleting.next().join(" "), "service \"web\" deleted");
    server.kubectl("get service web -o jsonpath={.metadata.finalizers[0]}").ok("example.com/hold");
    server.kubectl("get ipaddress 10.96.0.80 -o name").ok("ipaddress.networking.k8s.io/10.96.0.80\n");
    server.kubectl_with("create -f -", &named("web2", "10.96.0.80")).refused(
        "The Service \"web2\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.80\"]: \
         failed to allocate IP 10.96.0.80: provided IP is already allocated\n",
    );
    let said = server.kubectl(r#"patch service web -p {"metadata":{"finalizers":["example.com/other"]}}"#);
    said.refused(
        "The Service \"web\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is \
         being deleted, found new finalizers []string{\"example.com/other\"}\n",
    );
    server.kubectl(r#"patch service web --type=merge -p {"metadata":{"finalizers":null}}"#).ok("service/web patched\n");
    assert_eq!(deleting.end(), (0, Vec::new()));
    server.kubectl_with("create -f -", &named("web2", "10.96.0.80")).ok("service/web2 created\n");
}

#[test]
fn some_namespaces_cannot_be_deleted() {
    let Some(server) = Server::for_kubectl() else { return };
    for name in ["default", "kube-public", "kube-system"] {
        let why = format!(
            "Error from server (Forbidden): namespaces \"{name}\" is forbidden: this namespace may not be deleted\n"
        );
        server.kubectl(&format!("delete namespace {name}")).refused(&why);
    }
}

#[test]
fn nothing_new_appears_in_a_namespace_that_ends() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("create namespace shop").ok("namespace/shop created\n");
    // A finalizer of somebody's keeps it for as long as the test needs.
    server
        .kubectl(r#"patch namespace shop -p {"metadata":{"finalizers":["example.com/hold"]}}"#)
        .ok("namespace/shop patched\n");
    server.kubectl("delete namespace shop --wait=false").ok("namespace \"shop\" deleted\n");
    server.kubectl("get namespace shop").table(&[&["NAME", "STATUS", "AGE"], &["shop", "Terminating", "0s"]]);
    server.kubectl_with("create -n shop -f -", WEB).refused(
        "Error from server (Forbidden): error when creating \"STDIN\": services \"web\" is forbidden: unable to create new \
         content in namespace shop because it is being terminated\n",
    );
}

#[test]
fn a_dry_run_deletes_nothing() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server.kubectl("delete service web --dry-run=server").ok("service \"web\" deleted (server dry run)\n");
    server.kubectl("get service web -o name").ok("service/web\n");
}
