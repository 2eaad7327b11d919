//! The Service pipeline by S-number. Expected values are those of docs/semantics.md and of the Kubernetes documentation.

mod addresses;
mod columns;
mod create;
mod ports;
mod properties;
mod status;
mod update;
mod validate;

use super::*;
use crate::tests::{Cluster, NOW, mistakes};

/// A Service of this spec; `ports` is there unless the spec says otherwise.
fn service(spec: Value) -> Value {
    let mut whole = json!({"ports": [{"port": 80}]});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "creationTimestamp": NOW, "generation": 1},
        "spec": whole,
    })
}

fn single() -> Cluster {
    Cluster::with(&["10.96.0.0/24"])
}

fn dual() -> Cluster {
    Cluster::with(&["10.96.0.0/24", "fd00::/112"])
}

/// Creates a Service that is accepted.
fn created(cluster: &Cluster, spec: Value) -> Admitted {
    Service.create(service(spec), &cluster.context()).unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
}

/// Stores a Service and changes some of its fields as a patch would; `null` removes a field.
fn patched(cluster: &Cluster, spec: Value, patch: Value) -> Result<Admitted, Refusal> {
    let old = created(cluster, spec).object;
    let mut new = old.clone();
    for (field, value) in patch.as_object().unwrap() {
        new["spec"][field] = value.clone();
    }
    Service.update(new, &old, &holding(cluster, &old).context())
}

/// Stores a Service and replaces it by another manifest, as `kubectl replace` does.
fn replaced(cluster: &Cluster, spec: Value, other: Value) -> Result<Admitted, Refusal> {
    let old = created(cluster, spec).object;
    Service.update(service(other), &old, &holding(cluster, &old).context())
}

/// The cluster once `object` holds what it holds.
fn holding(cluster: &Cluster, object: &Value) -> Cluster {
    let mut cluster = cluster.clone();
    for claim in Service.holds(object) {
        match claim {
            Claim::Address(address) => _ = cluster.addresses.insert(address),
            Claim::Port(port) => _ = cluster.ports.insert(port),
        }
    }
    cluster
}

/// An address claim.
fn at(address: &str) -> Claim {
    Claim::Address(address.parse().unwrap())
}

/// Compares some fields of a spec with what they should be; `null` means that the field isn't there.
fn expect(id: &str, object: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(object["spec"][field], *value, "{id}: {field} of {object:#}");
    }
}
