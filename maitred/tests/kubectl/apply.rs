//! apply and diff.

use crate::WEB;
use crate::harness::Server;

#[test]
fn s104_apply_says_created_configured_unchanged() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("apply -f -", WEB).ok("service/web created\n");
    server.kubectl_with("apply -f -", &WEB.replace("8080", "8081")).ok("service/web configured\n");
    server.kubectl_with("apply -f -", &WEB.replace("8080", "8081")).ok("service/web unchanged\n");
    let jsonpath = "get service web -o jsonpath={.spec.ports[0].targetPort}/{.spec.clusterIP}";
    server.kubectl(jsonpath).ok("8081/10.96.0.80");
}

/// S-103: what a manifest no longer names goes, what it never named stays.
#[test]
fn s103_apply_merges_three_ways() {
    let Some(server) = Server::for_kubectl() else { return };
    let second = "  - name: https\n    port: 443\n";
    server.kubectl_with("apply -f -", &format!("{WEB}{second}")).ok("service/web created\n");
    server.kubectl("label service web by=hand").ok("service/web labeled\n");
    server.kubectl_with("apply -f -", WEB).ok("service/web configured\n");
    server.kubectl("get service web -o jsonpath={.spec.ports[*].port}/{.metadata.labels.by}").ok("80/hand");
}

#[test]
fn apply_refuses_unknown_fields_and_wrong_values() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("apply -f -", &WEB.replace("spec:\n", "spec:\n  flavour: sweet\n")).refused(
        "Error from server (BadRequest): error when creating \"STDIN\": Service in version \"v1\" cannot be handled as a \
         Service: strict decoding error: unknown field \"spec.flavour\"\n",
    );
    server.kubectl_with("apply -f -", WEB).ok("service/web created\n");
    let changed = server.kubectl_with("apply -f -", &WEB.replace("10.96.0.80", "10.96.0.81"));
    assert_eq!(changed.code, 1, "{changed:?}");
    let why = "The Service \"web\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.0.81\"]: may not change once set\n";
    assert_eq!(changed.err, why);
}

#[test]
fn a_dry_run_on_the_server_decides_and_stores_nothing() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("apply --dry-run=server -f -", WEB).ok("service/web created (server dry run)\n");
    server.kubectl("get service web").refused("Error from server (NotFound): services \"web\" not found\n");
    server
        .kubectl("get ipaddress 10.96.0.80")
        .refused("Error from server (NotFound): ipaddresses.networking.k8s.io \"10.96.0.80\" not found\n");
    let wrong = server.kubectl_with("apply --dry-run=server -f -", &WEB.replace("port: 80\n", "port: 80000\n"));
    wrong.refused(
        "The Service \"web\" is invalid: spec.ports[0].port: Invalid value: 80000: must be between 1 and 65535, inclusive\n",
    );
}

#[test]
fn diff_shows_what_apply_would_change() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("apply -f -", WEB).ok("service/web created\n");
    server.kubectl_with("diff -f -", WEB).ok("");
    let changed = server.kubectl_with("diff -f -", &WEB.replace("8080", "8081"));
    let lines: Vec<&str> = changed.out.lines().filter(|line| line.contains("targetPort: ")).collect();
    assert_eq!((changed.code, lines), (1, vec!["-    targetPort: 8080", "+    targetPort: 8081"]), "{changed:?}");
    server.kubectl("get service web -o jsonpath={.spec.ports[0].targetPort}").ok("8080");
}

/// Server-side apply is not offered yet; kubectl must hear so rather than half of it be done.
#[test]
fn server_side_apply_is_refused_as_an_unknown_media_type() {
    let Some(server) = Server::for_kubectl() else { return };
    let said = server.kubectl_with("apply --server-side -f -", WEB);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.starts_with("error: Server-side apply not available on the server: "), "{said:?}");
}
