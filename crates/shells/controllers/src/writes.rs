//! Carrying out plans.

use api::{EndpointSlice, Endpoints, Metadata, Resource};
use cluster::{Cluster, Recorder, RequestError, Subject};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use lifecycle::Event;
use serde::Serialize;
use serde_json::{Value, json};
use slices::{EndpointsPlan, SlicePlan};

use crate::drive::Failure;

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
    let all = writes.len();
    let results: Vec<Result<(), RequestError>> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
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

/// What is to be written for one Service.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) slices: SlicePlan,
    pub(crate) endpoints: EndpointsPlan,
    /// Delete the Endpoints object: no Service has its name (S-229).
    pub(crate) orphan: Option<Metadata>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.endpoints == EndpointsPlan::Keep && self.orphan.is_none()
    }
}

/// What the server answered.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) written: Vec<EndpointSlice>,
    /// Uids of deleted slices.
    pub(crate) deleted: Vec<String>,
    /// Why the rest was not done.
    pub(crate) error: Option<RequestError>,
}

/// Writes in the plan's order: create, update, delete (S-214). Stops at the first failure; what was done is told.
pub(crate) async fn carry_out(cluster: &Cluster, namespace: &str, plan: Plan) -> Done {
    let mut done = Done::default();
    if let Err(error) = steps(cluster, namespace, plan, &mut done).await {
        done.error = Some(error);
    }
    done
}

async fn steps(cluster: &Cluster, namespace: &str, plan: Plan, done: &mut Done) -> Result<(), RequestError> {
    for slice in plan.slices.create {
        if let Some(written) = tolerate(cluster.create(namespace, body(&slice)).await)? {
            done.written.push(written);
        }
    }
    for slice in plan.slices.update {
        done.written.push(cluster.replace(namespace, &slice.metadata.name, body(&slice)).await?);
    }
    for metadata in plan.slices.delete {
        cluster.delete::<EndpointSlice>(namespace, &metadata.name, Some(&preconditions(&metadata))).await?;
        done.deleted.push(metadata.uid);
    }
    match plan.endpoints {
        EndpointsPlan::Keep => {}
        EndpointsPlan::Create(endpoints) => drop(tolerate(create(cluster, namespace, &endpoints).await)?),
        EndpointsPlan::Update(endpoints) => {
            let _: Endpoints = cluster.replace(namespace, &endpoints.metadata.name, body(&endpoints)).await?;
        }
    }
    if let Some(metadata) = plan.orphan {
        cluster.delete::<Endpoints>(namespace, &metadata.name, Some(&preconditions(&metadata))).await?;
    }
    Ok(())
}

async fn create<T: Resource + Serialize>(cluster: &Cluster, namespace: &str, object: &T) -> Result<T, RequestError> {
    cluster.create(namespace, body(object)).await
}

/// A namespace that is being deleted takes nothing new, and needs nothing (S-214).
fn tolerate<T>(result: Result<T, RequestError>) -> Result<Option<T>, RequestError> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code() == Some(403) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn body(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("slim types are plain data")
}

/// Delete options by which only this very object is deleted.
pub(crate) fn preconditions(metadata: &Metadata) -> Value {
    json!({ "preconditions": { "uid": metadata.uid } })
}
