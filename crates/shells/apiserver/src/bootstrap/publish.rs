//! This server's address in the Endpoints and the EndpointSlice of `default/kubernetes` (S-149).

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{call, create, exists};
use crate::status::Status;
use crate::{ApiServer, Config, verbs};

/// Writes the address. Pods cannot reach a loopback address, so a server that has no other takes away what an earlier start
/// has published, and `/readyz?verbose` says so.
pub(super) async fn publish(server: &ApiServer) -> Result<(), Status> {
    write(server, address(&server.inner.config)).await
}

/// Takes the address away again.
pub(super) async fn withdraw(server: &ApiServer) -> Result<(), Status> {
    match address(&server.inner.config) {
        Some(_) => write(server, None).await,
        None => Ok(()),
    }
}

/// What Pods can reach of what is advertised, in the primary family.
pub(crate) fn address(config: &Config) -> Option<IpAddr> {
    config.advertise.iter().find(|ip| !ip.is_loopback() && ip.is_ipv4() == primary_is_v4(config)).copied()
}

fn primary_is_v4(config: &Config) -> bool {
    config.service_ranges[0].addr().is_ipv4()
}

async fn write(server: &ApiServer, address: Option<IpAddr>) -> Result<(), Status> {
    let config = &server.inner.config;
    let ports = json!([{ "name": "https", "protocol": "TCP", "port": config.port }]);
    let subset = |ip: IpAddr| json!({ "addresses": [{ "ip": ip.to_string() }], "ports": ports });
    let endpoint = |ip: IpAddr| json!({ "addresses": [ip.to_string()], "conditions": { "ready": true } });
    let endpoints = json!({
        "metadata": { "name": "kubernetes", "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        "subsets": address.map(subset).into_iter().collect::<Vec<Value>>(),
    });
    let slice = json!({
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": if primary_is_v4(config) { "IPv4" } else { "IPv6" }, "ports": ports,
        "endpoints": address.map(endpoint).into_iter().collect::<Vec<Value>>(),
    });
    for (plural, object) in [("endpoints", endpoints), ("endpointslices", slice)] {
        let settled = match address {
            Some(_) => create(server, plural, Some("default"), object.clone()).await?,
            // What is not there says nothing already.
            None => !exists(server, plural, Some("default"), &object).await?,
        };
        if !settled {
            let call = call(plural, Some("default"), Some("kubernetes"), &object);
            verbs::replace(server, &call).await?;
        }
    }
    Ok(())
}
