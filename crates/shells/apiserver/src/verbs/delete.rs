//! delete and deletecollection.

use axum_core::body::Body;
use http::{Response, StatusCode};
use kinds::deletion::{self, DeleteOptions, Deletion};
use serde_json::{Value, json};
use store::{Expect, KeyValue, Transaction, Write};

use super::write::{ATTEMPTS, Outcome, commit, contended};
use super::{Call, show};
use crate::listing;
use crate::status::{Status, json_response};
use crate::{ApiServer, Inner, claims, keys, object, registry};

pub(crate) async fn delete(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let wanted = wanted(call)?;
    match delete_key(&server.inner, call, &call.key(), &wanted).await? {
        Deleted::Marked(object) => Ok(show(call, StatusCode::OK, &object, &[])),
        Deleted::Gone(object) => Ok(json_response(StatusCode::OK, success(call, &object).to_string())),
    }
}

pub(super) async fn delete_collection(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let wanted = wanted(call)?;
    let listed = listing::list(&server.inner, call).await?;
    for item in &listed.items {
        match delete_key(&server.inner, call, &item.key, &wanted).await {
            Ok(_) => {}
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(json_response(StatusCode::OK, listing::render(&call.served, &listed)))
}

/// Namespaces that Kubernetes lets nobody delete.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What a client wants of a deletion.
struct Wanted {
    options: DeleteOptions,
    /// Decide, but store nothing.
    dry_run: bool,
}

enum Deleted {
    /// It stays until its grace period is over or its finalizers are gone.
    Marked(Value),
    /// It is no longer there.
    Gone(Value),
}

/// `DeleteOptions` come as the body or as parameters; the body holds.
fn wanted(call: &Call) -> Result<Wanted, Status> {
    let mut body: Value = if call.body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(&call.body)
            .map_err(|error| Status::bad_request(format!("the delete options are not valid JSON: {error}")))?
    };
    if !body.is_object() {
        return Err(Status::bad_request("the delete options are not a JSON object"));
    }
    if let Some(grace) = call.query.grace_period_s.filter(|_| body["gracePeriodSeconds"].is_null()) {
        body["gracePeriodSeconds"] = grace.into();
    }
    if !call.query.propagation_policy.is_empty() && body["propagationPolicy"].is_null() {
        body["propagationPolicy"] = call.query.propagation_policy.as_str().into();
    }
    // kubectl says it here, not in the query.
    let dry_run = match body["dryRun"].as_array().map(Vec::as_slice).unwrap_or_default() {
        [] => call.query.dry_run,
        values if values.iter().all(|value| value == "All") => true,
        values => {
            let values = Value::from(values);
            let message = format!("Invalid value: {values}: dryRun: Unsupported value: supported values: \"All\"");
            return Err(Status::bad_request(message));
        }
    };
    let refused = |refusal| Status::refused(call.served.facts(), call.name(), refusal);
    Ok(Wanted { options: DeleteOptions::parse(&body).map_err(refused)?, dry_run })
}

async fn delete_key(inner: &Inner, call: &Call, key: &str, wanted: &Wanted) -> Result<Deleted, Status> {
    let facts = call.served.facts();
    let name = key.rsplit('/').next().unwrap_or_default();
    if facts.kind == "Namespace" && IMMORTAL.contains(&name) {
        return Err(Status::forbidden(facts, name, "this namespace may not be deleted"));
    }
    for _ in 0..ATTEMPTS {
        let stored = inner.store().get(key, None).await?;
        let stored = stored.ok_or_else(|| Status::not_found(facts, name))?;
        let old = object::decode(&stored);
        let decided = deletion::deletion(&old, &wanted.options, call.served.kind, &call.now);
        match decided.map_err(|refusal| Status::refused(facts, name, refusal))? {
            Deletion::Unchanged => return Ok(Deleted::Marked(old)),
            Deletion::Remove if wanted.dry_run => return Ok(Deleted::Gone(old)),
            Deletion::Remove => {
                if remove(inner, call, &stored, &old).await? {
                    return Ok(Deleted::Gone(old));
                }
            }
            Deletion::Mark(marked) if wanted.dry_run => return Ok(Deleted::Marked(marked)),
            Deletion::Mark(marked) => {
                let value = object::encode(marked.clone());
                let transaction = Transaction {
                    expect: vec![Expect::Modified(stored.key.clone(), stored.modified)],
                    writes: vec![Write::Put(stored.key.clone(), value)],
                };
                if let Outcome::Done(revision) = commit(inner, transaction).await? {
                    return Ok(Deleted::Marked(super::write::written(marked, revision)));
                }
            }
        }
    }
    Err(contended(call, name))
}

/// Removes an object with all that it held when it was read. Says whether it was still the one that was read.
pub(super) async fn remove(inner: &Inner, call: &Call, stored: &KeyValue, last: &Value) -> Result<bool, Status> {
    let mut transaction = Transaction {
        expect: vec![Expect::Modified(stored.key.clone(), stored.modified)],
        writes: vec![Write::Delete(stored.key.clone())],
    };
    claims::release_all(&mut transaction, inner.store(), last, &call.served.kind.holds(last)).await?;
    if call.served.facts().kind == "Service" {
        // The Endpoints of a Service go with it (S-106).
        let endpoints = registry::plural("endpoints").facts();
        let namespace = last["metadata"]["namespace"].as_str().unwrap_or_default();
        let key = keys::object(endpoints, namespace, object::name(last));
        transaction.writes.push(Write::Delete(key.into()));
    }
    Ok(matches!(commit(inner, transaction).await?, Outcome::Done(_)))
}

fn success(call: &Call, object: &Value) -> Value {
    let facts = call.served.facts();
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {
            "name": object::name(object), "group": facts.group, "kind": facts.plural, "uid": object["metadata"]["uid"],
        },
    })
}
