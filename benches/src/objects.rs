//! Many Services, as decoded objects. Pure.

use std::net::Ipv4Addr;
use std::sync::Arc;

use api::{EndpointSlice, Service};
use serde_json::{Value, from_value, json};

/// The port of every Service.
pub(crate) const PORT: u16 = 80;
/// The port of every endpoint.
pub(crate) const TARGET_PORT: u16 = 8080;

/// A Service and its endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) service: Arc<Service>,
    pub(crate) slice: Arc<EndpointSlice>,
}

/// Service number `number` with these endpoints.
pub(crate) fn pair(number: usize, endpoints: &[Ipv4Addr]) -> Pair {
    let service = from_value(service_json(number)).expect("a Service");
    Pair { service: Arc::new(service), slice: Arc::new(from_value(slice_json(number, endpoints)).expect("a slice")) }
}

/// So many Services with so many endpoints each, no address twice.
pub(crate) fn pairs(services: usize, endpoints: usize) -> Vec<Pair> {
    (0..services).map(|number| pair(number, &endpoint_addresses(number, endpoints))).collect()
}

/// The name of a Service.
pub(crate) fn name(number: usize) -> String {
    format!("s{number}")
}

/// The cluster IP of a Service: from 10.96.1.0 on.
pub(crate) fn cluster_ip(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 1, 0).to_bits() + number as u32)
}

/// The addresses of a Service's endpoints: from 10.128.0.0 on.
pub(crate) fn endpoint_addresses(number: usize, endpoints: usize) -> Vec<Ipv4Addr> {
    let first = Ipv4Addr::new(10, 128, 0, 0).to_bits() + (number * endpoints) as u32;
    (0..endpoints as u32).map(|at| Ipv4Addr::from_bits(first + at)).collect()
}

fn service_json(number: usize) -> Value {
    json!({
        "metadata": { "namespace": "default", "name": name(number), "uid": name(number), "resourceVersion": "1" },
        "spec": {
            "clusterIP": cluster_ip(number), "clusterIPs": [cluster_ip(number)],
            "ports": [{ "name": "http", "protocol": "TCP", "port": PORT, "targetPort": TARGET_PORT }],
        },
    })
}

/// The EndpointSlice of Service `number`, as the API takes it.
pub(crate) fn slice_json(number: usize, endpoints: &[Ipv4Addr]) -> Value {
    let endpoint = |address| json!({ "addresses": [address], "conditions": { "ready": true }, "nodeName": "node-0" });
    json!({
        "metadata": {
            "namespace": "default", "name": name(number),
            "labels": { "kubernetes.io/service-name": name(number) },
        },
        "addressType": "IPv4",
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{ "name": "http", "protocol": "TCP", "port": TARGET_PORT }],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_address_is_given_twice_and_services_lie_in_the_service_range() {
        let range: ipnet::Ipv4Net = "10.96.0.0/12".parse().expect("a range");
        let addresses: BTreeSet<Ipv4Addr> = (0..45_000).map(cluster_ip).collect();
        assert_eq!(addresses.len(), 45_000);
        assert!(addresses.iter().all(|address| range.contains(address)));
        let endpoints: BTreeSet<Ipv4Addr> = (0..10_000).flat_map(|number| endpoint_addresses(number, 10)).collect();
        assert_eq!(endpoints.len(), 100_000);
        assert!(endpoints.iter().all(|address| !range.contains(address)));
    }

    #[test]
    fn a_pair_belongs_together() {
        let pair = pair(7, &endpoint_addresses(7, 3));
        assert_eq!(pair.slice.service_name(), Some("s7"));
        assert_eq!((pair.slice.endpoints.len(), pair.service.spec.ports.len()), (3, 1));
    }
}
