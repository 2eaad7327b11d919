//! create, run and expose.

use crate::harness::Server;
use crate::{WEB, named};

#[test]
fn create_makes_an_object_once() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server
        .kubectl_with("create -f -", &named("web", "10.96.0.81"))
        .refused("Error from server (AlreadyExists): error when creating \"STDIN\": services \"web\" already exists\n");
}

/// These commands send protobuf rather than JSON.
#[test]
fn create_makes_objects_from_words() {
    let Some(server) = Server::for_kubectl() else { return };
    let check = |words: &str, out: &str| {
        server.kubectl(words).ok(out);
    };
    check("create namespace shop", "namespace/shop created\n");
    check("create service clusterip inner --tcp=80:8080 -n shop", "service/inner created\n");
    check("create service clusterip bare --clusterip=None -n shop", "service/bare created\n");
    check("create service nodeport outer --tcp=80:8080 --node-port=30080 -n shop", "service/outer created\n");
    check("create service loadbalancer wide --tcp=443:8443 -n shop", "service/wide created\n");
    check("create service externalname far --external-name example.com -n shop", "service/far created\n");
    check("create configmap settings --from-literal=colour=blue -n shop", "configmap/settings created\n");
    check("get configmap settings -n shop -o jsonpath={.data.colour}", "blue");
    let columns = "custom-columns=A:.metadata.name,B:.spec.type,C:.spec.ports[0].port,D:.spec.ports[0].targetPort";
    server.kubectl(&format!("get services -n shop --no-headers -o {columns}")).table(&[
        &["bare", "ClusterIP", "<none>", "<none>"],
        &["far", "ExternalName", "<none>", "<none>"],
        &["inner", "ClusterIP", "80", "8080"],
        &["outer", "NodePort", "80", "8080"],
        &["wide", "LoadBalancer", "443", "8443"],
    ]);
    check("get service outer -n shop -o jsonpath={.spec.ports[0].nodePort}", "30080");
    server
        .kubectl("create namespace shop")
        .refused("Error from server (AlreadyExists): namespaces \"shop\" already exists\n");
    server.kubectl("create service nodeport again --tcp=80 --node-port=30080").refused(
        "error: failed to create NodePort service: Service \"again\" is invalid: spec.ports[0].nodePort: Invalid value: \
         30080: provided port is already allocated\n",
    );
}

#[test]
fn s122_generate_name_completes_a_name() {
    let Some(server) = Server::for_kubectl() else { return };
    let generated = WEB.replace("  name: web\nspec", "  generateName: web-\nspec").replace("10.96.0.80", "None");
    for _ in 0..2 {
        let said = server.kubectl_with("create -o name -f -", &generated);
        let suffix = said.out.strip_prefix("service/web-").map(str::trim_end).unwrap_or_default();
        assert_eq!((said.code, suffix.len()), (0, 5), "{said:?}");
    }
    let listed = server.kubectl("get services -o name -l !component");
    assert_eq!(listed.out.lines().count(), 2, "{listed:?}");
}

#[test]
fn refusals_name_the_object_and_the_field() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    server.kubectl_with("create -f -", &named("web2", "10.96.0.80")).refused(
        "The Service \"web2\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.80\"]: \
         failed to allocate IP 10.96.0.80: provided IP is already allocated\n",
    );
    let port = named("web3", "10.96.0.82").replace("port: 80\n", "port: 80000\n");
    server.kubectl_with("create -f -", &port).refused(
        "The Service \"web3\" is invalid: spec.ports[0].port: Invalid value: 80000: \
         must be between 1 and 65535, inclusive\n",
    );
    let nowhere = named("web4", "10.96.0.83").replace("name: web4\n", "name: web4\n  namespace: nowhere\n");
    server
        .kubectl_with("create -f -", &nowhere)
        .refused("Error from server (NotFound): error when creating \"STDIN\": namespaces \"nowhere\" not found\n");
}

#[test]
fn field_validation_refuses_warns_or_is_silent() {
    let Some(server) = Server::for_kubectl() else { return };
    let unknown =
        WEB.replace("port: 80\n", "port: 80\n    colour: red\n").replace("spec:\n", "spec:\n  flavour: sweet\n");
    server.kubectl_with("create --validate=strict -f -", &unknown).refused(
        "Error from server (BadRequest): error when creating \"STDIN\": Service in version \"v1\" cannot be handled as a \
         Service: strict decoding error: unknown field \"spec.flavour\", unknown field \"spec.ports[0].colour\"\n",
    );
    let warned = server.kubectl_with("create --validate=warn -f -", &unknown);
    warned.ok("service/web created\n");
    let warnings = "Warning: unknown field \"spec.flavour\"\nWarning: unknown field \"spec.ports[0].colour\"\n";
    assert_eq!(warned.err, warnings);
    let silent = server.kubectl_with(
        "create --validate=ignore -f -",
        &unknown.replace("name: web\nspec", "name: b\nspec").replace("10.96.0.80", "None"),
    );
    silent.ok("service/b created\n");
    assert_eq!(silent.err, "");
    server.kubectl("get service web -o jsonpath={.spec.flavour}{.spec.ports[0].colour}").ok("");
}

/// S-134.
#[test]
fn s134_warnings_reach_the_terminal() {
    let Some(server) = Server::for_kubectl() else { return };
    let manifest = WEB.replace("10.96.0.80", "None").replace("spec:\n", "spec:\n  loadBalancerIP: 192.0.2.1\n");
    let said = server.kubectl_with("create -f -", &manifest);
    said.ok("service/web created\n");
    assert_eq!(said.err, "Warning: spec.loadBalancerIP is ignored when spec.clusterIP is \"None\"\n");
}

#[test]
fn expose_makes_a_service_of_pods_and_services() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("run shop --image=host --labels=app=shop").ok("pod/shop created\n");
    server.kubectl("expose pod shop --port=80 --target-port=8080").ok("service/shop exposed\n");
    server.kubectl("expose service shop --name=again --port=81").ok("service/again exposed\n");
    let columns =
        "custom-columns=A:.metadata.name,B:.spec.selector.app,C:.spec.ports[0].port,D:.spec.ports[0].targetPort";
    server
        .kubectl(&format!("get services -l app=shop --no-headers -o {columns}"))
        .table(&[&["again", "shop", "81", "81"], &["shop", "shop", "80", "8080"]]);
    server
        .kubectl("expose pod shop --port=80")
        .refused("Error from server (AlreadyExists): services \"shop\" already exists\n");
    server
        .kubectl("expose pod nothing --port=80")
        .refused("Error from server (NotFound): pods \"nothing\" not found\n");
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", WEB).ok("service/web created\n");
    let server = Server::start_in(server.kill(), &[]);
    server.kubectl("get service web -o jsonpath={.spec.clusterIP}").ok("10.96.0.80");
    server.kubectl_with("create -f -", &named("web2", "10.96.0.80")).refused(
        "The Service \"web2\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.80\"]: \
         failed to allocate IP 10.96.0.80: provided IP is already allocated\n",
    );
    server.kubectl("delete service web").ok("service \"web\" deleted\n");
    server.kubectl_with("create -f -", &named("web2", "10.96.0.80")).ok("service/web2 created\n");
}
