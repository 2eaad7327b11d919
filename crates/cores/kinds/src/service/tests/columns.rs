//! `kubectl get services`.

use super::*;

#[test]
fn s104_service_rows() {
    let row = |spec: Value, status: Value| {
        let mut object = service(spec);
        object["status"] = status;
        object["metadata"]["creationTimestamp"] = json!("2026-03-01T11:55:00Z");
        Service.row(&object, NOW)
    };
    let pending = json!({"loadBalancer": {}});
    let ports = json!([{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]);
    #[rustfmt::skip]
    let cases = [
        ("s104_cluster_ip", json!({"type": "ClusterIP", "clusterIPs": ["10.96.0.9"], "ports": ports, "selector": {"a": "b", "c": "d"}}), pending.clone(),
            json!(["web", "ClusterIP", "10.96.0.9", "<none>", "80:30080/TCP,53/UDP", "5m", "a=b,c=d"])),
        ("s104_headless", json!({"type": "ClusterIP", "clusterIPs": ["None"], "ports": []}), pending.clone(),
            json!(["web", "ClusterIP", "None", "<none>", "<none>", "5m", "<none>"])),
        ("s104_external_ips", json!({"type": "NodePort", "clusterIPs": ["10.96.0.9"], "externalIPs": ["192.0.2.1", "192.0.2.2"], "ports": []}), pending.clone(),
            json!(["web", "NodePort", "10.96.0.9", "192.0.2.1,192.0.2.2", "<none>", "5m", "<none>"])),
        ("s104_pending", json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"], "ports": []}), pending.clone(),
            json!(["web", "LoadBalancer", "10.96.0.9", "<pending>", "<none>", "5m", "<none>"])),
        ("s104_ingress_sorted_and_unique", json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"], "externalIPs": ["192.0.2.9"], "ports": []}),
            json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}, {"ip": "192.0.2.1"}, {"ip": "192.0.2.1"}]}}),
            json!(["web", "LoadBalancer", "10.96.0.9", "192.0.2.1,lb.example.com,192.0.2.9", "<none>", "5m", "<none>"])),
        ("s104_external_name", json!({"type": "ExternalName", "externalName": "example.com", "ports": []}), pending,
            json!(["web", "ExternalName", "<none>", "example.com", "<none>", "5m", "<none>"])),
    ];
    for (id, spec, status, expected) in cases {
        println!("case {id}");
        assert_eq!(Value::from(row(spec, status)), expected, "{id}");
    }
}

#[test]
fn s104_service_columns() {
    let shown: Vec<(&str, u8)> = Service.columns().iter().map(|column| (column.name, column.priority)).collect();
    let expected =
        [("Name", 0), ("Type", 0), ("Cluster-IP", 0), ("External-IP", 0), ("Port(s)", 0), ("Age", 0), ("Selector", 1)];
    assert_eq!(shown, expected);
}

#[test]
fn s101_selectable_fields() {
    let object = service(json!({"type": "NodePort", "clusterIP": "10.96.0.9"}));
    assert_eq!(Service.field(&object, "spec.clusterIP").as_deref(), Some("10.96.0.9"));
    assert_eq!(Service.field(&object, "spec.type").as_deref(), Some("NodePort"));
    assert_eq!(Service.field(&object, "spec.externalName"), None);
}
