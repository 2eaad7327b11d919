//! The Services that every cluster has: `default/kubernetes` (S-148) and `kube-system/kube-dns` (S-428).
//!
//! Both have fixed addresses, since they stand in certificates and in Pods' resolv.conf. A user's Service that holds one
//! keeps it: taking an address away from somebody breaks more than it mends.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::create;
use crate::status::Status;
use crate::{ApiServer, Config, verbs};

/// The first address of a range that a Service can have: that of `default/kubernetes`.
pub fn first_address(range: &IpNet) -> IpAddr {
    nth_address(range, 1)
}

/// The tenth: by convention that of `kube-system/kube-dns`.
pub fn dns_address(range: &IpNet) -> IpAddr {
    nth_address(range, 10)
}

fn nth_address(range: &IpNet, n: u8) -> IpAddr {
    match range {
        IpNet::V4(range) => IpAddr::V4(u32::from(range.network()).saturating_add(n.into()).into()),
        IpNet::V6(range) => IpAddr::V6(u128::from(range.network()).saturating_add(n.into()).into()),
    }
}

/// The Service by which Pods reach this server (S-148).
pub(super) async fn kubernetes(server: &ApiServer) -> Result<(), Status> {
    let config = &server.inner.config;
    let address = first_address(&config.service_ranges[0]).to_string();
    let port = json!({ "name": "https", "protocol": "TCP", "port": 443, "targetPort": config.port });
    let service = json!({
        "metadata": { "name": "kubernetes", "labels": { "component": "apiserver", "provider": "kubernetes" } },
        "spec": {
            "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ipFamilyPolicy": "SingleStack", "ports": [port],
        },
    });
    ensure(server, "default", service).await
}

/// The Service by which Pods reach DNS (S-428). It has no selector: each node's agent keeps EndpointSlices of its own.
pub(super) async fn kube_dns(server: &ApiServer) -> Result<(), Status> {
    ensure(server, "kube-system", dns_service(&server.inner.config)).await
}

fn dns_service(config: &Config) -> Value {
    let addresses: Vec<String> = config.service_ranges.iter().map(|range| dns_address(range).to_string()).collect();
    let families: Vec<&str> =
        config.service_ranges.iter().map(|range| if range.addr().is_ipv4() { "IPv4" } else { "IPv6" }).collect();
    let port = |name: &str, protocol: &str| json!({ "name": name, "protocol": protocol, "port": 53, "targetPort": 53 });
    json!({
        "metadata": { "name": "kube-dns", "labels": { "k8s-app": "kube-dns" } },
        "spec": {
            "type": "ClusterIP", "clusterIP": addresses[0], "clusterIPs": addresses,
            "ipFamilies": families, "ipFamilyPolicy": "PreferDualStack",
            "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
        },
    })
}

/// Creates a Service unless it is there. If its address cannot be had, a log line and an Event say so, and the rest
/// goes on without it; it comes once the address is free.
async fn ensure(server: &ApiServer, namespace: &str, service: Value) -> Result<(), Status> {
    match create(server, "services", Some(namespace), service.clone()).await {
        Err(status) if status.code == 422 => tell(server, namespace, &service, &status).await,
        other => other.map(drop),
    }
}

/// The Event has one name, so that it is told once, and again only when it has been forgotten.
async fn tell(server: &ApiServer, namespace: &str, service: &Value, refused: &Status) -> Result<(), Status> {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let addresses = &service["spec"]["clusterIPs"];
    let message = format!(
        "Service {namespace}/{name} needs the cluster IPs {addresses}, which it cannot have: {refused}. Free them, by \
         deleting the Service that holds them, and it is created within ten seconds",
    );
    let now = verbs::now();
    let event = json!({
        "metadata": { "name": format!("{name}.no-address") },
        "involvedObject": { "apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": name },
        "type": "Warning", "reason": "ClusterIPNotAllocated", "message": message, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": { "component": "maitred-server" }, "reportingComponent": "maitred-server",
    });
    if create(server, "events", Some(namespace), event).await? {
        tracing::warn!("{message}");
    }
    Ok(())
}
