//! Writes of the status.

use super::*;

fn with_ingress(cluster: &Cluster, spec: Value, ingress: Value) -> Result<Admitted, Refusal> {
    let old = created(cluster, spec).object;
    let mut new = old.clone();
    new["status"]["loadBalancer"]["ingress"] = ingress;
    Service.update_status(new, &old, &cluster.context())
}

#[test]
fn s111_an_ingress_address_is_a_vip() {
    let admitted = with_ingress(&single(), json!({"type": "LoadBalancer"}), json!([{"ip": "192.0.2.1"}])).unwrap();
    assert_eq!(admitted.object["status"]["loadBalancer"]["ingress"], json!([{"ip": "192.0.2.1", "ipMode": "VIP"}]));
}

#[test]
fn s133_ingress() {
    let entry = "status.loadBalancer.ingress[0]";
    let balancer = json!({"type": "LoadBalancer"});
    #[rustfmt::skip]
    let cases = [
        ("s133_only_for_load_balancers", json!({}), json!([{"ip": "192.0.2.1"}]),
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\"".to_owned()),
        ("s133_not_an_address", balancer.clone(), json!([{"ip": "x"}]),
            format!("{entry}.ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")),
        ("s133_unknown_mode", balancer.clone(), json!([{"ip": "192.0.2.1", "ipMode": "NAT"}]),
            format!("{entry}.ipMode: Unsupported value: \"NAT\": supported values: \"Proxy\", \"VIP\"")),
        ("s133_mode_without_address", balancer.clone(), json!([{"hostname": "lb.example.com", "ipMode": "VIP"}]),
            format!("{entry}.ipMode: Forbidden: may not be specified when `ip` is not set")),
        ("s133_hostname_is_no_address", balancer, json!([{"hostname": "192.0.2.1"}]),
            format!("{entry}.hostname: Invalid value: \"192.0.2.1\": must be a DNS name, not an IP address")),
    ];
    for (id, spec, ingress, expected) in cases {
        println!("case {id}");
        assert_eq!(mistakes(with_ingress(&single(), spec, ingress)), [expected], "{id}");
    }
    let proxy =
        with_ingress(&single(), json!({"type": "LoadBalancer"}), json!([{"ip": "192.0.2.1", "ipMode": "Proxy"}]));
    assert!(proxy.is_ok(), "{proxy:?}");
}

#[test]
fn s107_a_status_write_ignores_the_spec_and_takes_metadata() {
    let mut old = created(&single(), json!({"type": "LoadBalancer"})).object;
    old["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    let mut new = old.clone();
    new["spec"]["selector"] = json!({"a": "b"});
    new["metadata"]["finalizers"] = json!([]);
    new["metadata"]["labels"] = json!({"a": "b"});
    let admitted = Service.update_status(new, &old, &single().context()).unwrap();
    assert_eq!(admitted.object["spec"], old["spec"]);
    assert_eq!(admitted.object["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!((admitted.claims, admitted.releases), (vec![], vec![]));
}

#[test]
fn s107_dropping_the_last_finalizer_of_a_deleted_service_ends_it() {
    let mut old = created(&single(), json!({"type": "LoadBalancer"})).object;
    old["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    let options = crate::deletion::DeleteOptions::default();
    let crate::deletion::Deletion::Mark(marked) = crate::deletion::deletion(&old, &options, &Service, NOW).unwrap()
    else {
        panic!("a finalizer holds it");
    };
    assert!(!crate::deletion::is_finished(&marked));
    let mut new = marked.clone();
    new["metadata"]["finalizers"] = json!([]);
    let admitted = Service.update_status(new, &marked, &single().context()).unwrap();
    assert!(crate::deletion::is_finished(&admitted.object));
}

#[test]
fn s106_a_service_holds_its_addresses_and_ports_until_it_is_gone() {
    let spec = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30099,
        "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"name": "a", "port": 53, "nodePort": 30053}, {"name": "b", "port": 53, "protocol": "UDP"}],
    });
    let object = created(&dual(), spec).object;
    assert_eq!(Service.holds(&object), [at("10.96.0.9"), at("fd00::9"), Claim::Port(30053), Claim::Port(30099)],);
    assert_eq!(Service.holds(&created(&dual(), json!({"clusterIP": "None"})).object), []);
    let name = json!({"type": "ExternalName", "externalName": "example.com"});
    assert_eq!(Service.holds(&created(&dual(), name).object), []);
}
