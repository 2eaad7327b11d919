use super::*;
use crate::tests::Cluster;

fn service(spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": spec,
    })
}

#[test]
fn s108_a_new_service_gets_defaults_an_address_and_node_ports() {
    let cluster = Cluster::with(&["10.96.0.0/24"]);
    let new = service(json!({"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]}));
    let admitted = Service.create(new, &cluster.context()).unwrap();
    let spec = &admitted.object["spec"];
    assert_eq!(spec["clusterIPs"], json!([spec["clusterIP"]]));
    assert_eq!(spec["ipFamilies"], json!(["IPv4"]));
    assert_eq!(spec["ports"][0]["targetPort"], json!(80));
    let address = spec["clusterIP"].as_str().unwrap().parse().unwrap();
    let port = u16::try_from(spec["ports"][0]["nodePort"].as_i64().unwrap()).unwrap();
    assert!((30086..=32767).contains(&port), "{port}");
    assert_eq!(admitted.claims, [Claim::Address(address), Claim::Port(port)]);
    assert_eq!(admitted.releases, []);
}

#[test]
fn s137_a_taken_node_port_hides_other_mistakes() {
    let cluster = Cluster::with(&["10.96.0.0/24"]).taking(&[], &[30080]);
    let new = service(json!({"type": "NodePort", "ports": [{"port": 70000, "nodePort": 30080}]}));
    assert_eq!(
        crate::tests::mistakes(Service.create(new, &cluster.context())),
        ["spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"],
    );
}
