//! patch, label, annotate and edit.

use crate::harness::Server;
use crate::{NOT_FOUND, WEB};

fn with_web() -> Option<Server> {
    let server = Server::for_kubectl()?;
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    Some(server)
}

#[test]
fn a_strategic_merge_patch_merges_ports_by_their_number() {
    let Some(server) = with_web() else { return };
    server
        .kubectl(r#"patch service web -p {"spec":{"ports":[{"port":80,"targetPort":9090}]}}"#)
        .ok("service/web patched\n");
    server.kubectl("get service web -o jsonpath={.spec.ports[*].name}/{.spec.ports[*].targetPort}").ok("http/9090");
    server
        .kubectl(r#"patch service web -p {"spec":{"ports":[{"port":80,"$patch":"delete"},{"name":"b","port":81}]}}"#)
        .ok("service/web patched\n");
    server.kubectl("get service web -o jsonpath={.spec.ports[*].port}").ok("81");
    let same = r#"patch service web -p {"spec":{"ports":[{"name":"b","port":81}]}}"#;
    server.kubectl(same).ok("service/web patched (no change)\n");
    server.kubectl(r#"patch service nothing -p {"spec":{}}"#).refused(NOT_FOUND);
}

/// S-103, the well-known bug: one number with two protocols is one item to a strategic merge patch.
#[test]
fn s103_a_strategic_merge_patch_cannot_tell_protocols_apart() {
    let Some(server) = with_web() else { return };
    let both = r#"[{"name":"tcp","port":53,"protocol":"TCP"},{"name":"udp","port":53,"protocol":"UDP"}]"#;
    let patch = format!(r#"{{"spec":{{"ports":{both}}}}}"#);
    server.kubectl(&format!("patch service web --type=merge -p {patch}")).ok("service/web patched\n");
    let said =
        server.kubectl(r#"patch service web -p {"spec":{"ports":[{"port":53,"protocol":"UDP","targetPort":5353}]}}"#);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    let why = "The Service \"web\" is invalid: spec.ports[1]: Duplicate value: ";
    assert!(said.err.starts_with(why), "{said:?}");
}

#[test]
fn a_merge_patch_replaces_lists_and_removes_nulls() {
    let Some(server) = with_web() else { return };
    server
        .kubectl(r#"patch service web --type=merge -p {"spec":{"selector":{"app":null,"tier":"front"}}}"#)
        .ok("service/web patched\n");
    server.kubectl("get service web -o jsonpath={.spec.selector}").ok(r#"{"tier":"front"}"#);
    server
        .kubectl(r#"patch service web --type=merge -p {"spec":{"ports":null}}"#)
        .refused("The Service \"web\" is invalid: spec.ports: Required value\n");
    server.kubectl(r#"patch service web --type=merge -p {"spec":{"type":5}}"#).refused(
        "Error from server (BadRequest): Service in version \"v1\" cannot be handled as a Service: json: cannot \
             unmarshal number into Go struct field ServiceSpec.spec.type of type string\n",
    );
}

#[test]
fn a_json_patch_is_carried_out_as_a_whole_or_not_at_all() {
    let Some(server) = with_web() else { return };
    let replace = r#"{"op":"replace","path":"/spec/ports/0/targetPort","value":7000}"#;
    server.kubectl(&format!("patch service web --type=json -p [{replace}]")).ok("service/web patched\n");
    let changed = replace.replace("7000", "7001");
    let test = r#"{"op":"test","path":"/spec/type","value":"NodePort"}"#;
    let said = server.kubectl(&format!("patch service web --type=json -p [{changed},{test}]"));
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    let why = "The request is invalid: the server rejected our request due to an error in our request";
    assert!(said.err.starts_with(why), "{said:?}");
    server.kubectl("get service web -o jsonpath={.spec.ports[0].targetPort}").ok("7000");
}

/// S-107: the status goes by its subresource, and only there.
#[test]
fn s107_the_status_is_patched_by_its_subresource() {
    let Some(server) = with_web() else { return };
    let condition =
        r#"{"type":"Fit","status":"True","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}"#;
    let patch = format!(r#"{{"status":{{"conditions":[{condition}]}},"spec":{{"selector":{{"app":"other"}}}}}}"#);
    server.kubectl(&format!("patch service web --type=merge -p {patch}")).ok("service/web patched\n");
    server.kubectl("get service web -o jsonpath={.status.conditions}{.spec.selector.app}").ok("other");
    let patch = patch.replace("other", "third");
    server
        .kubectl(&format!("patch service web --subresource=status --type=merge -p {patch}"))
        .ok("service/web patched\n");
    server.kubectl("get service web -o jsonpath={.status.conditions[0].type}/{.spec.selector.app}").ok("Fit/other");
    let ingress = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}"#;
    let said = server.kubectl(&format!("patch service web --subresource=status --type=merge -p {ingress}"));
    let why = "The Service \"web\" is invalid: status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\"\n";
    said.refused(why);
}

#[test]
fn labels_are_added_changed_and_removed() {
    let Some(server) = with_web() else { return };
    server.kubectl("label service web tier=front").ok("service/web labeled\n");
    server.kubectl("label service web tier=front").ok("service/web not labeled\n");
    server
        .kubectl("label service web tier=back")
        .refused("error: 'tier' already has a value (front), and --overwrite is false\n");
    server.kubectl("label service web tier=back --overwrite").ok("service/web labeled\n");
    server.kubectl("get service -l tier=back -o name").ok("service/web\n");
    server.kubectl("label service web tier-").ok("service/web unlabeled\n");
    server.kubectl("get service -l tier -o name").ok("");
    server.kubectl("label service nothing tier=front").refused(NOT_FOUND);
    server.kubectl("label service web tier=front --resource-version=1").refused(
        "Error from server (Conflict): Operation cannot be fulfilled on services \"web\": the object has been modified; \
         please apply your changes to the latest version and try again\n",
    );
}

#[test]
fn annotations_are_added_changed_and_removed() {
    let Some(server) = with_web() else { return };
    server.kubectl("annotate service web note=hello").ok("service/web annotated\n");
    server.kubectl("annotate service web note=bye --overwrite").ok("service/web annotated\n");
    server.kubectl("get service web -o jsonpath={.metadata.annotations.note}").ok("bye");
    server.kubectl("annotate service web note-").ok("service/web annotated\n");
    server.kubectl("get service web -o jsonpath={.metadata.annotations}").ok("");
    server.kubectl("annotate service nothing note=hello").refused(NOT_FOUND);
    let hints = "service.kubernetes.io/topology-mode=Auto service.kubernetes.io/topology-aware-hints=Disabled";
    server.kubectl(&format!("annotate service web {hints}")).refused(
        "The Service \"web\" is invalid: metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"Auto\": \
         must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified\n",
    );
}

#[test]
fn edit_writes_what_the_editor_leaves() {
    let Some(server) = with_web() else { return };
    server.kubectl_edit("edit service web", r"s/targetPort:\ 8080/targetPort:\ 8081/").ok("service/web edited\n");
    server.kubectl("get service web -o jsonpath={.spec.ports[0].targetPort}").ok("8081");
    let unchanged = server.kubectl_edit("edit service web", "/nothing/d");
    assert_eq!((unchanged.code, unchanged.err.as_str()), (0, "Edit cancelled, no changes made.\n"), "{unchanged:?}");
    // After a refusal kubectl opens the editor again, with the reasons on top; it ends when that changes nothing, and
    // keeps the file under a name of its own.
    let refused = server.kubectl_edit("edit service web", r"s/port:\ 80$/port:\ 80000/");
    let file = refused.err.split('"').find(|word| word.contains("/kubectl-edit-")).unwrap_or_default();
    refused.refused(&format!(
        "error: services \"web\" is invalid\nA copy of your changes has been stored to \"{file}\"\n\
         error: Edit cancelled, no valid changes were saved.\n"
    ));
    let kept = std::fs::read_to_string(file).expect("kubectl kept it");
    let reasons = "#\n# services \"web\" was not valid:\n\
                   # * spec.ports[0].port: Invalid value: 80000: must be between 1 and 65535, inclusive\n#\n";
    assert!(kept.contains(reasons) && kept.contains("    port: 80000\n"), "{kept}");
    server.kubectl_edit("edit service nothing", "/nothing/d").refused(NOT_FOUND);
}
