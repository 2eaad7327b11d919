//! The objects by which a cluster's own API is reached: Service, Endpoints and EndpointSlice `default/kubernetes`
//! (S-148, S-149).
//!
//! They are made here and kept up by a controller: the Service is created if it is missing and never changed again; the
//! addresses are those of the API servers that have renewed their leases.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipam::AddressRange;
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::ip;

/// The name of all three.
pub const NAME: &str = "kubernetes";
/// The namespace of all three.
pub const NAMESPACE: &str = "default";

/// The Service on the first address of the primary range; nothing if the range has no address to give.
pub fn service(primary: IpNet, api_port: u16) -> Option<Value> {
    let address = AddressRange::new(primary).ok()?.first()?;
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address.to_string(),
            "clusterIPs": [address.to_string()],
            "ipFamilies": [ip::family(address)],
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": api_port}],
        },
    }))
}

/// The Endpoints of the live API servers. The mirroring controller leaves them alone, since there is a slice already.
pub fn endpoints(servers: &BTreeSet<IpAddr>, api_port: u16) -> Value {
    let addresses: Vec<Value> = servers.iter().map(|address| json!({"ip": address.to_string()})).collect();
    let port = json!({"name": "https", "protocol": "TCP", "port": api_port});
    let subsets = if servers.is_empty() { json!([]) } else { json!([{"addresses": addresses, "ports": [port]}]) };
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": subsets,
    })
}

/// The EndpointSlice of the live API servers of one family, that of the Service.
pub fn endpoint_slice(servers: &BTreeSet<IpAddr>, v4: bool, api_port: u16) -> Value {
    let endpoints: Vec<Value> = servers
        .iter()
        .filter(|address| address.is_ipv4() == v4)
        .map(|address| json!({"addresses": [address.to_string()], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": NAME},
        },
        "addressType": if v4 { "IPv4" } else { "IPv6" },
        "endpoints": endpoints,
        "ports": [{"name": "https", "protocol": "TCP", "port": api_port}],
    })
}

#[cfg(test)]
mod tests;
