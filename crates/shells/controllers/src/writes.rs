//! Carrying out the plan of one Service.

use api::{EndpointSlice, Endpoints, Metadata, Resource};
use cluster::{Cluster, RequestError};
use serde::Serialize;
use serde_json::{Value, json};
use slices::{EndpointsPlan, SlicePlan};

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

fn body(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("slim types are plain data")
}

fn preconditions(metadata: &Metadata) -> Value {
    json!({ "preconditions": { "uid": metadata.uid } })
}
