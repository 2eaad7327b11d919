//! Carrying out plans.

use api::{EndpointSlice, Endpoints};
use cluster::{Cluster, Recorder, RequestError, Subject};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use lifecycle::Event;
use serde::Serialize;
use serde_json::{Value, json};
use slices::SlicePlan;

use crate::drive::Failure;
use crate::world::Key;

/// Writes under way at once.
const AT_ONCE: usize = 32;
/// How long a loop waits for its cache after the server said that it is behind.
const BEHIND: SignedDuration = SignedDuration::from_millis(200);

/// Waits for all writes, whatever becomes of each. Says when to run again, if one met an object that had changed
/// meanwhile; one that met an absent object is done.
pub(crate) async fn carry_out_all(
    writes: Vec<BoxFuture<'_, Result<(), RequestError>>>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    verdict(all(writes).await, now)
}

/// Waits for all writes, and says what became of each, in any order.
pub(crate) async fn all<T>(writes: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(writes).buffer_unordered(AT_ONCE).collect().await
}

/// What the results of writes mean for the loop.
pub(crate) fn verdict(results: Vec<Result<(), RequestError>>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let all = results.len();
    let (mut behind, mut failed, mut first) = (false, 0, None);
    for error in results.into_iter().filter_map(Result::err) {
        match error.code() {
            Some(404) => {}
            Some(409) => behind = true,
            _ => {
                failed += 1;
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(source) => Err(Failure::Write { failed, all, source }),
        None => Ok(behind.then(|| now.saturating_add(BEHIND).expect("durations of signed seconds saturate"))),
    }
}

/// The earlier of two times.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    [a, b].into_iter().flatten().min()
}

/// Writes the Event that a plan asks for.
pub(crate) async fn tell(recorder: &Recorder, event: &Event) {
    let about = &event.regarding;
    let kind = match about.kind.as_str() {
        "Pod" => "Pod",
        "Node" => "Node",
        "Service" => "Service",
        "IPAddress" => "IPAddress",
        "ServiceCIDR" => "ServiceCIDR",
        other => unreachable!("no plan speaks of a {other}"),
    };
    let subject =
        Subject { kind, namespace: about.namespace.clone(), name: about.name.clone(), uid: about.uid.clone() };
    recorder.record(&subject, event.severity.as_str(), event.reason, &event.message).await;
}

/// Whether a write failed only because the object changed or went meanwhile, as the cache will show.
pub(crate) fn is_behind(error: &RequestError) -> bool {
    matches!(error.code(), Some(404 | 409))
}

/// What the server answered to the writes of slices.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) written: Vec<EndpointSlice>,
    /// Uids of deleted slices.
    pub(crate) deleted: Vec<String>,
    /// Why the rest was not done.
    pub(crate) error: Option<RequestError>,
}

/// Writes in the plan's order: create, update, delete (S-214). Stops at the first failure; what was done is told.
pub(crate) async fn write_slices(cluster: &Cluster, namespace: &str, plan: SlicePlan) -> Done {
    let mut done = Done::default();
    if let Err(error) = steps(cluster, namespace, plan, &mut done).await {
        done.error = Some(error);
    }
    done
}

async fn steps(cluster: &Cluster, namespace: &str, plan: SlicePlan, done: &mut Done) -> Result<(), RequestError> {
    for slice in plan.create {
        if let Some(written) = unless_terminating(cluster.create(namespace, body(&slice)).await)? {
            done.written.push(written);
        }
    }
    for slice in plan.update {
        done.written.push(cluster.replace(namespace, &slice.metadata.name, body(&slice)).await?);
    }
    for metadata in plan.delete {
        cluster.delete::<EndpointSlice>(namespace, &metadata.name, Some(&preconditions(&metadata.uid))).await?;
        done.deleted.push(metadata.uid);
    }
    Ok(())
}

/// Creates Endpoints, or replaces them; what the server has now, if the namespace is not on its way out.
pub(crate) async fn write_endpoints(
    cluster: &Cluster,
    is_new: bool,
    endpoints: Endpoints,
) -> Result<Option<Endpoints>, RequestError> {
    let (namespace, name) = (&endpoints.metadata.namespace, &endpoints.metadata.name);
    if is_new {
        return unless_terminating(cluster.create(namespace, body(&endpoints)).await);
    }
    cluster.replace(namespace, name, body(&endpoints)).await.map(Some)
}

/// Deletes the Endpoints with this uid, and no later ones of their name.
pub(crate) async fn delete_endpoints(cluster: &Cluster, key: &Key, uid: &str) -> Result<(), RequestError> {
    cluster.delete::<Endpoints>(&key.0, &key.1, Some(&preconditions(uid))).await
}

/// A namespace that is being deleted takes nothing new, and needs nothing (S-214).
fn unless_terminating<T>(result: Result<T, RequestError>) -> Result<Option<T>, RequestError> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if has_cause(&error, "NamespaceTerminating") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the server named this as a cause; the code alone, 403 here, has many.
fn has_cause(error: &RequestError, reason: &str) -> bool {
    let kube::Error::Api(status) = error.source.as_ref() else { return false };
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
}

pub(crate) fn body(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("slim types are plain data")
}

/// Delete options by which only this very object is deleted.
pub(crate) fn preconditions(uid: &str) -> Value {
    json!({ "preconditions": { "uid": uid } })
}
