//! What kubectl sees. Expected texts come from S-104 and from Kubernetes's documentation.

#[path = "../harness/mod.rs"]
mod harness;

use harness::{Server, kubectl};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.0.80
  clusterIPs: [10.96.0.80]
  selector:
    app: web
  ports:
  - name: http
    port: 80
    targetPort: 8080
";

#[test]
fn s104_apply_says_created_configured_unchanged() {
    if kubectl().is_none() {
        return;
    }
    let server = Server::start();
    server.kubectl_with("apply -f -", SERVICE).ok("service/web created\n");
    server.kubectl_with("apply -f -", &SERVICE.replace("8080", "8081")).ok("service/web configured\n");
    server.kubectl_with("apply -f -", &SERVICE.replace("8080", "8081")).ok("service/web unchanged\n");
    let jsonpath = "get service web -o jsonpath={.spec.ports[0].targetPort}/{.spec.clusterIP}";
    server.kubectl(jsonpath).ok("8081/10.96.0.80");
}

#[test]
fn s104_get_prints_the_columns_of_services() {
    if kubectl().is_none() {
        return;
    }
    let server = Server::start();
    server.kubectl_with("create -f -", SERVICE).ok("service/web created\n");
    server
        .kubectl("get service web --no-headers -o custom-columns=A:.spec.type,B:.spec.ports[0].protocol")
        .ok("ClusterIP   TCP\n");
    let table = server.kubectl("get service web -o wide");
    let lines: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let heads = ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"];
    assert_eq!(lines[0], heads, "{table:?}");
    assert_eq!(lines[1][..5], ["web", "ClusterIP", "10.96.0.80", "<none>", "80/TCP"], "{table:?}");
    assert_eq!(lines[1][6], "app=web", "{table:?}");
}

#[test]
fn refusals_name_the_object_and_the_field() {
    if kubectl().is_none() {
        return;
    }
    let server = Server::start();
    server.kubectl("get service nothing").refused("Error from server (NotFound): services \"nothing\" not found\n");
    server.kubectl_with("create -f -", SERVICE).ok("service/web created\n");
    server
        .kubectl_with("create -f -", &SERVICE.replace("10.96.0.80", "10.96.0.81"))
        .refused("Error from server (AlreadyExists): error when creating \"STDIN\": services \"web\" already exists\n");
    let taken = SERVICE.replace("name: web\nspec", "name: web2\nspec");
    server.kubectl_with("create -f -", &taken).refused(
        "The Service \"web2\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.80\"]: \
         failed to allocate IP 10.96.0.80: provided IP is already allocated\n",
    );
    let port = SERVICE.replace("10.96.0.80", "10.96.0.82").replace("name: web\nspec", "name: web3\nspec");
    let port = port.replace("port: 80\n", "port: 80000\n");
    server.kubectl_with("create -f -", &port).refused(
        "The Service \"web3\" is invalid: spec.ports[0].port: Invalid value: 80000: \
         must be between 1 and 65535, inclusive\n",
    );
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if kubectl().is_none() {
        return;
    }
    let server = Server::start();
    server.kubectl_with("create -f -", SERVICE).ok("service/web created\n");
    let server = Server::start_in(server.kill(), &[]);
    server.kubectl("get service web -o jsonpath={.spec.clusterIP}").ok("10.96.0.80");
    server.kubectl("delete service web").ok("service \"web\" deleted\n");
    server.kubectl("get service web").refused("Error from server (NotFound): services \"web\" not found\n");
}
