//! `pods/NAME/binding`: the scheduler's decision, written once.

use axum_core::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use store::{Expect, Transaction, Write};

use super::Call;
use super::write::{ATTEMPTS, Outcome, commit, contended};
use crate::status::{Status, json_response};
use crate::{ApiServer, object};

pub(super) async fn bind(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let facts = call.served.facts();
    let binding: Value = serde_json::from_slice(&call.body)
        .map_err(|error| Status::bad_request(format!("the binding is not valid JSON: {error}")))?;
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request("target.name: Required value: the node that the Pod is to run on"));
    }
    for _ in 0..ATTEMPTS {
        let stored = server.inner.store().get(&call.key(), None).await?;
        let stored = stored.ok_or_else(|| Status::not_found(facts, call.name()))?;
        let mut pod = object::decode(&stored);
        expect_same(call, &binding, &pod)?;
        if let Some(bound) = pod["spec"]["nodeName"].as_str().filter(|bound| !bound.is_empty()) {
            let why = format!("pod {} is already assigned to node \"{bound}\"", call.name());
            return Err(Status::conflict(facts, call.name(), &why));
        }
        if pod["metadata"]["deletionTimestamp"].is_string() {
            let why = format!("pod {} is being deleted, cannot be assigned to a host", call.name());
            return Err(Status::conflict(facts, call.name(), &why));
        }
        pod["spec"]["nodeName"] = node.into();
        set_scheduled(&mut pod, &call.now);
        let transaction = Transaction {
            expect: vec![Expect::Modified(stored.key.clone(), stored.modified)],
            writes: vec![Write::Put(stored.key.clone(), object::encode(pod))],
        };
        if call.query.dry_run || matches!(commit(&server.inner, transaction).await?, Outcome::Done(_)) {
            let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
            return Ok(json_response(StatusCode::CREATED, body.to_string()));
        }
    }
    Err(contended(call, call.name()))
}

/// A scheduler that names a uid or a version means that Pod and no later one of its name.
fn expect_same(call: &Call, binding: &Value, pod: &Value) -> Result<(), Status> {
    for field in ["uid", "resourceVersion"] {
        let (given, found) = (&binding["metadata"][field], &pod["metadata"][field]);
        if given.as_str().is_some_and(|given| !given.is_empty()) && given != found {
            let why = format!("Precondition failed: {field} in precondition: {given}, {field} in object meta: {found}");
            return Err(Status::conflict(call.served.facts(), call.name(), &why));
        }
    }
    Ok(())
}

/// Sets the condition `PodScheduled`, in place of one that says why the Pod had no node.
fn set_scheduled(pod: &mut Value, now: &str) {
    let scheduled = json!({ "type": "PodScheduled", "status": "True", "lastTransitionTime": now });
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(list) => {
            list.retain(|condition| condition["type"] != "PodScheduled");
            list.push(scheduled);
        }
        None => *conditions = json!([scheduled]),
    }
}
