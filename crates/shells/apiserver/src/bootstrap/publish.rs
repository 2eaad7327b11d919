//! This server's address in the Endpoints and the EndpointSlice of `default/kubernetes` (S-149).
//!
//! A server that publishes owns both objects: it is the only one of its store, and writes them whole. What has been
//! published is recorded in a key of its own, so that a later start of the same data directory that publishes nothing takes
//! away exactly that, and nothing that somebody else wrote into the two objects.

use std::net::IpAddr;

use serde_json::{Value, json};
use store::{Transaction, Write};

use super::{call, create};
use crate::status::Status;
use crate::{ApiServer, Config, keys, object, registry, verbs};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";

/// Writes the address. Pods cannot reach a loopback address, so a server that has no other takes away what an earlier start
/// has published, and `/readyz?verbose` says so.
pub(super) async fn publish(server: &ApiServer) -> Result<(), Status> {
    let Some(address) = address(&server.inner.config) else { return withdraw(server).await };
    if recorded(server).await? != Some(address) {
        let record = Write::Put(keys::PUBLISHED.into(), address.to_string().into_bytes().into());
        verbs::commit(&server.inner, Transaction { expect: Vec::new(), writes: vec![record] }).await?;
    }
    let config = &server.inner.config;
    for (plural, object) in [("endpoints", endpoints(config, address)), ("endpointslices", slice(config, address))] {
        match write(server, plural, &object).await {
            // Somebody's finalizer or the like: a reason to say so, but none to serve nobody.
            Err(status) if status.code == 422 => tracing::warn!(
                error = %status,
                "default/kubernetes does not lead to this server: delete its {plural} and they are made anew"
            ),
            other => other?,
        }
    }
    Ok(())
}

/// Takes away the address that this or an earlier start has published, if there is one.
pub(super) async fn withdraw(server: &ApiServer) -> Result<(), Status> {
    let Some(address) = recorded(server).await? else { return Ok(()) };
    for plural in ["endpoints", "endpointslices"] {
        let Some(mut object) = stored(server, plural).await? else { continue };
        if forget(&mut object, &address.to_string()) {
            verbs::replace(server, &call(plural, Some(NAMESPACE), Some(NAME), &object)).await?;
        }
    }
    let record = Write::Delete(keys::PUBLISHED.into());
    verbs::commit(&server.inner, Transaction { expect: Vec::new(), writes: vec![record] }).await?;
    Ok(())
}

/// What Pods can reach of what is advertised, in the primary family.
pub(crate) fn address(config: &Config) -> Option<IpAddr> {
    config.advertise.iter().find(|ip| !ip.is_loopback() && ip.is_ipv4() == primary_is_v4(config)).copied()
}

fn primary_is_v4(config: &Config) -> bool {
    config.service_ranges[0].addr().is_ipv4()
}

/// The address of the last publication that has not been taken back.
async fn recorded(server: &ApiServer) -> Result<Option<IpAddr>, Status> {
    let record = server.inner.store().get(keys::PUBLISHED, None).await?;
    Ok(record.and_then(|record| std::str::from_utf8(&record.value).ok()?.parse().ok()))
}

async fn stored(server: &ApiServer, plural: &str) -> Result<Option<Value>, Status> {
    let key = keys::object(registry::plural(plural).facts(), NAMESPACE, NAME);
    Ok(server.inner.store().get(&key, None).await?.map(|stored| object::decode(&stored)))
}

async fn write(server: &ApiServer, plural: &str, object: &Value) -> Result<(), Status> {
    // The type of addresses never changes; a data directory may have been started with the other family first.
    if let Some(found) = stored(server, plural).await?
        && found["addressType"] != object["addressType"]
    {
        verbs::delete(server, &call(plural, Some(NAMESPACE), Some(NAME), &json!({}))).await?;
    }
    if !create(server, plural, Some(NAMESPACE), object.clone()).await? {
        verbs::replace(server, &call(plural, Some(NAMESPACE), Some(NAME), object)).await?;
    }
    Ok(())
}

fn endpoints(config: &Config, address: IpAddr) -> Value {
    json!({
        "metadata": { "name": NAME, "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        "subsets": [{ "addresses": [{ "ip": address.to_string() }], "ports": ports(config) }],
    })
}

fn slice(config: &Config, address: IpAddr) -> Value {
    json!({
        "metadata": { "name": NAME, "labels": { "kubernetes.io/service-name": NAME } },
        "addressType": if primary_is_v4(config) { "IPv4" } else { "IPv6" }, "ports": ports(config),
        "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
    })
}

fn ports(config: &Config) -> Value {
    json!([{ "name": "https", "protocol": "TCP", "port": config.port }])
}

/// Removes an address from Endpoints or an EndpointSlice; says whether it was there.
fn forget(object: &mut Value, address: &str) -> bool {
    let mut found = false;
    let mut retain = |list: Option<&mut Vec<Value>>, is: fn(&Value, &str) -> bool| {
        let list = list?;
        list.retain(|item| {
            !is(item, address) || {
                found = true;
                false
            }
        });
        Some(list.is_empty())
    };
    retain(object.get_mut("endpoints").and_then(Value::as_array_mut), |endpoint, address| {
        endpoint["addresses"][0] == address
    });
    if let Some(subsets) = object.get_mut("subsets").and_then(Value::as_array_mut) {
        subsets.retain_mut(|subset| {
            let empty = retain(subset.get_mut("addresses").and_then(Value::as_array_mut), |item, address| {
                item["ip"] == address
            });
            empty != Some(true) || subset["notReadyAddresses"].is_array()
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s149_only_the_own_address_is_forgotten() {
        let slice = |addresses: &[&str]| {
            let endpoints: Vec<Value> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
            json!({ "addressType": "IPv4", "endpoints": endpoints })
        };
        let mut object = slice(&["192.0.2.7", "192.0.2.8"]);
        assert!(forget(&mut object, "192.0.2.7"));
        assert_eq!(object, slice(&["192.0.2.8"]));
        assert!(!forget(&mut object, "192.0.2.7"));
        let subset = |address: &str| json!({ "addresses": [{ "ip": address }], "ports": [] });
        let mut object = json!({ "subsets": [subset("192.0.2.7"), subset("192.0.2.8")] });
        assert!(forget(&mut object, "192.0.2.7"));
        assert_eq!(object, json!({ "subsets": [subset("192.0.2.8")] }));
    }
}
