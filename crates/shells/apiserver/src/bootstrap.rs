//! What exists from the first start on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::registry::{self, Served};
use crate::status::Status;
use crate::table::Form;
use crate::verbs::{self, Call};
use crate::{ApiServer, Config, keys, object};

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// How often it is looked whether all of this is still there, as upstream does (S-148, S-149).
const EVERY: Duration = Duration::from_secs(10);

/// Creates again what somebody deletes, as long as the server lives.
pub(crate) fn keep(server: &ApiServer) {
    let server = Arc::downgrade(&server.inner);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(inner) = server.upgrade() else { return };
            if let Err(error) = bootstrap(&ApiServer { inner }).await {
                tracing::warn!(%error, "what must always exist could not be written");
            }
        }
    });
}

/// Creates what is missing; what is there is left as it is (S-148).
pub(crate) async fn bootstrap(server: &ApiServer) -> Result<(), Status> {
    for name in NAMESPACES {
        create(server, "namespaces", None, json!({ "metadata": { "name": name } })).await?;
    }
    let config = &server.inner.config;
    create(server, "servicecidrs", None, service_cidr(config)).await?;
    create(server, "services", Some("default"), kubernetes(config)).await?;
    publish(server).await
}

/// The default ServiceCIDR, from the configured ranges (S-143).
fn service_cidr(config: &Config) -> Value {
    let ranges: Vec<String> = config.service_ranges.iter().map(ToString::to_string).collect();
    json!({ "metadata": { "name": "kubernetes" }, "spec": { "cidrs": ranges } })
}

/// The Service by which Pods reach this server (S-148).
fn kubernetes(config: &Config) -> Value {
    let port = json!({ "name": "https", "protocol": "TCP", "port": 443, "targetPort": config.port });
    json!({
        "metadata": { "name": "kubernetes", "labels": { "component": "apiserver", "provider": "kubernetes" } },
        "spec": {
            "type": "ClusterIP", "clusterIP": first_address(&config.service_ranges[0]).to_string(),
            "clusterIPs": [first_address(&config.service_ranges[0]).to_string()],
            "ipFamilyPolicy": "SingleStack", "ports": [port],
        },
    })
}

/// The first address of a range that a Service can have.
pub fn first_address(range: &IpNet) -> IpAddr {
    match range {
        IpNet::V4(range) => IpAddr::V4((u32::from(range.network()) + 1).into()),
        IpNet::V6(range) => IpAddr::V6((u128::from(range.network()) + 1).into()),
    }
}

/// Writes this server's address into the Endpoints and the EndpointSlice of `default/kubernetes` (S-149). Pods cannot
/// reach a loopback address, so one that has no other publishes nothing, and `/readyz?verbose` says so.
async fn publish(server: &ApiServer) -> Result<(), Status> {
    let config = &server.inner.config;
    let v4 = config.service_ranges[0].addr().is_ipv4();
    let Some(address) = config.advertise.iter().find(|ip| !ip.is_loopback() && ip.is_ipv4() == v4) else {
        return Ok(());
    };
    let ports = json!([{ "name": "https", "protocol": "TCP", "port": config.port }]);
    let endpoints = json!({
        "metadata": { "name": "kubernetes", "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        "subsets": [{ "addresses": [{ "ip": address.to_string() }], "ports": ports }],
    });
    let slice = json!({
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": if v4 { "IPv4" } else { "IPv6" }, "ports": ports,
        "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
    });
    for (plural, object) in [("endpoints", endpoints), ("endpointslices", slice)] {
        if !create(server, plural, Some("default"), object.clone()).await? {
            let call = call(plural, Some("default"), Some("kubernetes"), &object);
            verbs::replace(server, &call).await?;
        }
    }
    Ok(())
}

/// Creates an object; says whether it was missing.
async fn create(server: &ApiServer, plural: &str, namespace: Option<&str>, object: Value) -> Result<bool, Status> {
    let key = keys::object(registry::plural(plural).facts(), namespace.unwrap_or_default(), object::name(&object));
    if server.inner.store().get(&key, None).await?.is_some() {
        return Ok(false);
    }
    match verbs::create(server, &call(plural, namespace, None, &object)).await {
        Ok(_) => Ok(true),
        Err(status) if status.reason == "AlreadyExists" => Ok(false),
        // Somebody else holds the first address: Kubernetes lets the other Service keep it, too.
        Err(status) if plural == "services" && status.code == 422 => Ok(false),
        Err(status) => Err(status),
    }
}

fn call(plural: &str, namespace: Option<&str>, name: Option<&str>, object: &Value) -> Call {
    let kind = registry::plural(plural);
    let served = Served { kind, view: None };
    let facts = kind.facts();
    Call {
        served,
        path: crate::path::Path {
            group: facts.group.to_owned(),
            version: facts.version.to_owned(),
            namespace: namespace.map(str::to_owned),
            plural: plural.to_owned(),
            name: name.map(str::to_owned),
            ..crate::path::Path::default()
        },
        query: crate::query::Query::default(),
        form: Form::Object,
        content_type: "application/json".to_owned(),
        body: object.to_string().into(),
        now: verbs::now(),
    }
}
