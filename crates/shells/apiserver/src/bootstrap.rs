//! What exists from the first start on.

mod publish;
mod services;

use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::registry::{self, Served};
use crate::status::Status;
use crate::table::Form;
use crate::verbs::{self, Call};
use crate::{ApiServer, Config, keys, object};

pub(crate) use publish::address as published;
pub use services::{dns_address, first_address};

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// How often it is looked whether all of this is still there, as upstream does (S-148, S-149).
const EVERY: Duration = Duration::from_secs(10);

/// Creates again what somebody deletes, as long as the server lives.
pub(crate) fn keep(server: &ApiServer) {
    let server = std::sync::Arc::downgrade(&server.inner);
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
    // While this is held nobody else publishes, and the server that says goodbye does not come back.
    let leaving = server.inner.leaving.lock().await;
    if *leaving {
        return Ok(());
    }
    for name in NAMESPACES {
        create(server, "namespaces", None, json!({ "metadata": { "name": name } })).await?;
    }
    let config = &server.inner.config;
    create(server, "servicecidrs", None, service_cidr(config)).await?;
    services::kubernetes(server).await?;
    services::kube_dns(server).await?;
    publish::publish(server).await
}

/// Takes this server's address out of `default/kubernetes`, for good (S-149).
pub(crate) async fn leave(server: &ApiServer) -> Result<(), Status> {
    *server.inner.leaving.lock().await = true;
    publish::withdraw(server).await
}

/// Says at a start that the stored default ServiceCIDR is not the configured one. A second family is added by a controller;
/// any other change needs somebody to decide what becomes of the addresses in use.
pub(crate) async fn compare_ranges(server: &ApiServer) -> Result<(), Status> {
    let configured = &server.inner.config.service_ranges;
    let key = keys::object(registry::plural("servicecidrs").facts(), "", "kubernetes");
    let Some(stored) = server.inner.store().get(&key, None).await? else { return Ok(()) };
    let found: Vec<IpNet> =
        kinds::ServiceCidr::ranges(&object::decode(&stored)).iter().map(|range| range.cidr).collect();
    if !configured.starts_with(&found) {
        let list = |ranges: &[IpNet]| ranges.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",");
        tracing::warn!(
            "the Services of this data directory have addresses of {}, but --service-cluster-ip-range is {}: start with \
             the old ranges again, or delete all Services, kubernetes and kube-dns too, and then the ServiceCIDR \
             kubernetes; the three are made anew in the new ranges",
            list(&found),
            list(configured)
        );
    }
    Ok(())
}

/// The default ServiceCIDR, from the configured ranges (S-143).
fn service_cidr(config: &Config) -> Value {
    let ranges: Vec<String> = config.service_ranges.iter().map(ToString::to_string).collect();
    json!({ "metadata": { "name": "kubernetes" }, "spec": { "cidrs": ranges } })
}

/// Creates an object; says whether it was missing.
async fn create(server: &ApiServer, plural: &str, namespace: Option<&str>, object: Value) -> Result<bool, Status> {
    if exists(server, plural, namespace, &object).await? {
        return Ok(false);
    }
    match verbs::create(server, &call(plural, namespace, None, &object)).await {
        Ok(_) => Ok(true),
        Err(status) if status.reason == "AlreadyExists" => Ok(false),
        Err(status) => Err(status),
    }
}

/// Whether there is an object of this name.
async fn exists(server: &ApiServer, plural: &str, namespace: Option<&str>, object: &Value) -> Result<bool, Status> {
    let key = keys::object(registry::plural(plural).facts(), namespace.unwrap_or_default(), object::name(object));
    Ok(server.inner.store().get(&key, None).await?.is_some())
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
