use super::*;
use crate::tests::Cluster;
use crate::{EndpointSlice, Endpoints, Kind, Service};

fn servers(list: &[&str]) -> BTreeSet<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn s148_the_service_of_the_api() {
    let cluster = Cluster::with(&["10.96.0.0/12", "fd00::/112"]);
    let made = service(cluster.ranges[0].cidr, 6443).unwrap();
    let object = Service.create(made, &cluster.context()).unwrap().object;
    assert_eq!(object["metadata"]["labels"], json!({"component": "apiserver", "provider": "kubernetes"}));
    let spec = &object["spec"];
    assert_eq!(spec["clusterIPs"], json!(["10.96.0.1"]));
    assert_eq!(spec["ipFamilyPolicy"], "SingleStack");
    assert_eq!(spec.get("selector"), None);
    assert_eq!(spec["ports"], json!([{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}]));
    assert_eq!(service("10.96.0.0/32".parse().unwrap(), 6443), None);
}

#[test]
fn s149_its_endpoints_and_slice() {
    let live = servers(&["192.0.2.2", "192.0.2.1", "2001:db8::1"]);
    let cluster = Cluster::default();
    let object = Endpoints.create(endpoints(&live, 6443), &cluster.context()).unwrap().object;
    assert_eq!(object["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"], "true");
    let addresses = json!([{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}, {"ip": "2001:db8::1"}]);
    assert_eq!(object["subsets"][0]["addresses"], addresses);

    let object = EndpointSlice.create(endpoint_slice(&live, true, 6443), &cluster.context()).unwrap().object;
    assert_eq!(object["metadata"]["labels"], json!({"kubernetes.io/service-name": "kubernetes"}));
    let ready = |address| json!({"addresses": [address], "conditions": {"ready": true}});
    assert_eq!(object["endpoints"], json!([ready("192.0.2.1"), ready("192.0.2.2")]));
    assert_eq!(object["ports"], json!([{"name": "https", "protocol": "TCP", "port": 6443}]));
    Endpoints.create(endpoints(&servers(&[]), 6443), &cluster.context()).unwrap();
}
