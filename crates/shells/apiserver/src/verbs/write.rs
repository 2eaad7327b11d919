//! What all writing verbs share: the context of a decision, and the one transaction that carries it out.

use kinds::{Admitted, Claim, Context, ServiceRange};
use serde_json::Value;
use store::{Expect, KeyValue, Range, Revision, Transaction, Write};

use super::Call;
use crate::status::Status;
use crate::{Inner, claims, keys, object, registry};

/// How often a write is decided anew because somebody else was faster. Each attempt loses to a write that succeeded, so
/// the whole server makes progress.
pub(super) const ATTEMPTS: usize = 64;

/// What a transaction did.
pub(crate) enum Outcome {
    /// It is durable, at this revision.
    Done(Revision),
    /// Somebody else changed a key that it depends on, named here.
    Overtaken(String),
}

/// Facts of the cluster that a decision may depend on.
pub(super) struct Facts {
    ranges: Vec<ServiceRange>,
}

impl Facts {
    pub(super) async fn read(inner: &Inner) -> Result<Facts, Status> {
        let prefix = keys::prefix(registry::plural("servicecidrs").facts(), None);
        let stored = inner.store().range(&Range::prefix(prefix), None).await?.items;
        let configured = inner.config.service_ranges.iter().map(|range| ServiceRange { cidr: *range, usable: true });
        let added = stored.iter().flat_map(|item| ranges(&object::decode(item)));
        let mut all: Vec<ServiceRange> = Vec::new();
        for range in configured.chain(added) {
            match all.iter_mut().find(|known| known.cidr == range.cidr) {
                Some(known) => known.usable = known.usable && range.usable,
                None => all.push(range),
            }
        }
        Ok(Facts { ranges: all })
    }

    pub(super) fn context<'a>(&'a self, inner: &'a Inner, call: &'a Call) -> Context<'a> {
        Context {
            now: &call.now,
            seed: uuid::Uuid::new_v4().as_u64_pair().0,
            service_ranges: &self.ranges,
            pod_ranges: &inner.config.pod_ranges,
            node_ports: inner.config.node_ports.clone(),
            taken: inner.claims.as_ref(),
            dry_run: call.query.dry_run,
        }
    }
}

/// The ranges of a ServiceCIDR; one that is being deleted or not ready allocates nothing (S-141, S-144).
fn ranges(service_cidr: &Value) -> Vec<ServiceRange> {
    let deleting = service_cidr["metadata"]["deletionTimestamp"].is_string();
    let conditions = service_cidr["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let unready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "False");
    let cidrs = service_cidr["spec"]["cidrs"].as_array().map(Vec::as_slice).unwrap_or_default();
    cidrs
        .iter()
        .filter_map(|cidr| cidr.as_str()?.parse().ok())
        .map(|cidr| ServiceRange { cidr, usable: !deleting && !unready })
        .collect()
}

/// Stores an admitted object in place of `old`, with its claims, in one transaction.
pub(super) async fn store(
    inner: &Inner,
    call: &Call,
    key: &str,
    old: Option<&KeyValue>,
    admitted: &Admitted,
) -> Result<Outcome, Status> {
    let mut transaction = Transaction::default();
    transaction.expect.push(match old {
        Some(old) => Expect::Modified(old.key.clone(), old.modified),
        None => Expect::Absent(key.into()),
    });
    if old.is_none() && call.served.facts().namespaced {
        transaction.expect.push(live_namespace(inner, call, object::name(&admitted.object)).await?);
    }
    transaction.writes.push(Write::Put(key.into(), object::encode(admitted.object.clone())));
    claims::claim_all(&mut transaction, &admitted.object, &admitted.claims, &call.now);
    let released: Vec<Claim> =
        admitted.releases.iter().filter(|claim| !admitted.claims.contains(claim)).copied().collect();
    claims::release_all(&mut transaction, inner.store(), &admitted.object, &released).await?;
    commit(inner, transaction).await
}

/// Carries out a transaction, and lets the index of claims learn from it. Once it is under way it is carried to its end,
/// even if the client hangs up meanwhile: else the index would not learn of what the store has done.
pub(crate) async fn commit(inner: &Inner, transaction: Transaction) -> Result<Outcome, Status> {
    let (store, claims) = (inner.store.clone(), inner.claims.clone());
    let carried = tokio::spawn(async move {
        let writes = transaction.writes.clone();
        match store.commit(transaction).await {
            Ok(revision) => {
                claims.committed(&writes, revision);
                Ok(Outcome::Done(revision))
            }
            Err(store::Error::Conflict { key, current }) => {
                if let Some(current) = current {
                    claims.note(&key, current.modified, true);
                }
                Ok(Outcome::Overtaken(key.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    });
    carried.await.unwrap_or_else(|error| Err(Status::internal(error.to_string())))
}

/// That the namespace exists and is not being deleted: nothing new can appear in it behind the back of its deletion.
async fn live_namespace(inner: &Inner, call: &Call, name: &str) -> Result<Expect, Status> {
    let facts = registry::plural("namespaces").facts();
    let key = keys::object(facts, "", call.namespace());
    let stored = inner.store().get(&key, None).await?;
    let stored = stored.ok_or_else(|| Status::not_found(facts, call.namespace()))?;
    let namespace = object::decode(&stored);
    if namespace["metadata"]["deletionTimestamp"].is_string() {
        let why =
            format!("unable to create new content in namespace {} because it is being terminated", call.namespace());
        let mut status = Status::forbidden(call.served.facts(), name, &why);
        let cause = serde_json::json!({
            "reason": "NamespaceTerminating",
            "message": format!("namespace {} is being terminated", call.namespace()),
            "field": "metadata.namespace",
        });
        status.details.get_or_insert_default()["causes"] = serde_json::json!([cause]);
        return Err(status);
    }
    Ok(Expect::Modified(stored.key, stored.modified))
}

/// The error of a write that lost to others too often.
pub(super) fn contended(call: &Call, name: &str) -> Status {
    Status::conflict(call.served.facts(), name, "too many writers change it at once; try again")
}

/// An object with the resource version that its write got.
pub(super) fn written(mut object: Value, revision: Revision) -> Value {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
    object
}
