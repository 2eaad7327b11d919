//! replace and scale: whole objects, and subresources that a kind lacks.

use crate::harness::Server;
use crate::{WEB, named};

#[test]
fn s100_replace_creates_a_service_that_is_absent_and_no_config_map() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server.kubectl_with("replace -f -", &WEB.replace("8080", "8081")).ok("service/web replaced\n");
    server.kubectl("get service web -o jsonpath={.spec.ports[0].targetPort}").ok("8081");
    server.kubectl_with("replace -f -", &named("other", "10.96.0.81")).ok("service/other replaced\n");
    server.kubectl("get service other -o jsonpath={.spec.clusterIP}").ok("10.96.0.81");
    let absent = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nothing}\n";
    server
        .kubectl_with("replace -f -", absent)
        .refused("Error from server (NotFound): error when replacing \"STDIN\": configmaps \"nothing\" not found\n");
}

#[test]
fn replace_with_an_old_version_is_a_conflict() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    let read = server.kubectl("get service web -o yaml").out;
    server.kubectl_with("replace -f -", &read.replace("8080", "8081")).ok("service/web replaced\n");
    server.kubectl_with("replace -f -", &read.replace("8080", "8082")).refused(
        "Error from server (Conflict): error when replacing \"STDIN\": Operation cannot be fulfilled on services \"web\": \
         the object has been modified; please apply your changes to the latest version and try again\n",
    );
}

#[test]
fn replace_by_force_deletes_and_creates() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server
        .kubectl_with("replace --force -f -", &WEB.replace("10.96.0.80", "10.96.0.81"))
        .ok("service \"web\" deleted\nservice/web replaced\n");
    server.kubectl("get service web -o jsonpath={.spec.clusterIP}").ok("10.96.0.81");
}

#[test]
fn services_have_no_scale() {
    let Some(server) = Server::for_kubectl() else { return };
    server
        .kubectl("scale service kubernetes --replicas=2")
        .refused("Error from server (NotFound): the server could not find the requested resource\n");
}
