//! wait.

use crate::harness::Server;
use crate::{NOT_FOUND, WEB};

#[test]
fn wait_sees_fields_conditions_and_deletions() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    let met = "service/web condition met\n";
    server.kubectl("wait service/web --for=jsonpath={.spec.clusterIP}=10.96.0.80 --timeout=30s").ok(met);
    let waiting = server.following("wait service/web --for=condition=Fit --timeout=30s");
    let condition =
        r#"{"type":"Fit","status":"True","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}"#;
    let patch = format!(r#"{{"status":{{"conditions":[{condition}]}}}}"#);
    server
        .kubectl(&format!("patch service web --subresource=status --type=merge -p {patch}"))
        .ok("service/web patched\n");
    assert_eq!(waiting.next().join(" "), met.trim_end());
    assert_eq!(waiting.end().0, 0);
    let waiting = server.following("wait service/web --for=delete --timeout=30s");
    server.kubectl("delete service web").ok("service \"web\" deleted\n");
    let (code, lines) = waiting.end();
    assert!(code == 0 && (lines.is_empty() || lines == [met.trim_end()]), "{code} {lines:?}");
}

#[test]
fn wait_gives_up_in_time() {
    let Some(server) = Server::for_kubectl() else { return };
    server
        .kubectl("wait service/kubernetes --for=jsonpath={.spec.type}=NodePort --timeout=1s")
        .refused("error: timed out waiting for the condition on services/kubernetes\n");
    server.kubectl("wait service/nothing --for=condition=Fit --timeout=1s").refused(NOT_FOUND);
}
