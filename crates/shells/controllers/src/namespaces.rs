//! Empties namespaces that are being deleted and lets them go, as [`lifecycle::namespaces`] plans it.
//!
//! What is in a namespace is listed from the server, all kinds, and only while one is being deleted. Nothing new can
//! appear in it then, so an empty list is the truth, which a cache could not promise.

use api::Namespace;
use cluster::{Cluster, Kind, PartialObject, RequestError, discover, list_metadata, path};
use futures::future::BoxFuture;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use lifecycle::namespaces::{Content, NamespacePlan, plan_namespace};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{carry_out_all, preconditions};

/// When to look again at a namespace whose content waits for somebody else: for its finalizers, or for its Pods to end.
/// It doubles up to the second figure.
const PAUSE: (SignedDuration, SignedDuration) = (SignedDuration::from_millis(250), SignedDuration::from_secs(5));
/// How often a namespace is looked at within a run while deletions empty it.
const ROUNDS: usize = 4;

/// The loop that ends namespaces.
pub(crate) struct Namespaces {
    cluster: Cluster,
    namespaces: Cache<Namespace>,
    now: Clock,
    /// Runs in a row that left something behind.
    waited: u32,
}

/// A namespace is being deleted, or somebody let go of one that is.
pub(crate) fn namespace_matters(before: Option<&Namespace>, after: Option<&Namespace>) -> bool {
    let ending = |namespace: &Namespace| namespace.metadata.deletion_timestamp.is_some();
    let Some(after) = after.filter(|after| ending(after)) else { return false };
    !before.is_some_and(ending) || before.is_some_and(|before| before.spec != after.spec)
}

impl Namespaces {
    pub(crate) fn new(cluster: Cluster, namespaces: Cache<Namespace>, now: Clock) -> Namespaces {
        Namespaces { cluster, namespaces, now, waited: 0 }
    }

    /// Takes a namespace as far as it goes; says whether something is left to wait for.
    async fn end(&self, kinds: &[Kind], name: &str) -> Result<bool, Failure> {
        for _ in 0..ROUNDS {
            let read = |source| Failure::Read { what: "a namespace and its contents", source };
            let Some(namespace) = self.namespace(name).await.map_err(read)? else { return Ok(false) };
            let found = self.contents(kinds, name).await.map_err(read)?;
            let contents: Vec<Content<'_>> =
                found.iter().map(|(resource, object)| Content { resource, metadata: &object.metadata }).collect();
            let plan = plan_namespace(&namespace, &contents, (self.now)());
            let finalizes = plan.finalize.is_some();
            let deletes = !plan.delete.is_empty();
            let overtaken = self.carry_out(kinds, &namespace, plan).await?;
            if !deletes {
                return Ok(!finalizes || overtaken);
            }
        }
        Ok(true)
    }

    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, RequestError> {
        match self.cluster.get::<Namespace>("", name).await {
            Ok(namespace) => Ok(Some(namespace).filter(|found| found.metadata.deletion_timestamp.is_some())),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn contents(&self, kinds: &[Kind], namespace: &str) -> Result<Vec<(String, PartialObject)>, RequestError> {
        let mut contents = Vec::new();
        for kind in kinds {
            let objects = list_metadata(&self.cluster, kind, namespace).await?;
            contents.extend(objects.into_iter().map(|object| (kind.resource(), object)));
        }
        Ok(contents)
    }

    /// Says whether a write met an object that had changed meanwhile.
    async fn carry_out(&self, kinds: &[Kind], namespace: &Namespace, plan: NamespacePlan) -> Result<bool, Failure> {
        let name = &namespace.metadata.name;
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        for (resource, metadata) in plan.delete {
            let kind = kinds.iter().find(|kind| kind.resource() == resource);
            let path = kind.expect("what is planned was listed").path(name, &metadata.name);
            let options = preconditions(&metadata.uid);
            let cluster = &self.cluster;
            writes.push(Box::pin(async move {
                cluster.send::<Value>(Method::DELETE, &path, "application/json", Some(&options)).await.map(drop)
            }));
        }
        writes.push(Box::pin(self.settle(namespace, plan.status, plan.finalize)));
        Ok(carry_out_all(writes, (self.now)()).await?.is_some())
    }

    /// The status, and then the end. The version makes sure that it is the end of this namespace, not of the next one
    /// of its name.
    async fn settle(
        &self,
        namespace: &Namespace,
        status: Option<Value>,
        finalize: Option<Vec<String>>,
    ) -> Result<(), RequestError> {
        let name = &namespace.metadata.name;
        let mut version = namespace.metadata.resource_version.clone();
        if let Some(status) = status {
            let written = self.cluster.merge_status::<Namespace>("", name, &status).await?;
            version = written.metadata.resource_version;
        }
        let Some(finalizers) = finalize else { return Ok(()) };
        let body = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "resourceVersion": version },
            "spec": { "finalizers": finalizers },
        });
        let path = format!("{}/finalize", path::<Namespace>("", name));
        self.cluster.send::<Value>(Method::PUT, &path, "application/json", Some(&body)).await.map(drop)
    }
}

/// Kinds whose objects live in namespaces, each once: Events of both groups are the same objects.
async fn namespaced_kinds(cluster: &Cluster) -> Result<Vec<Kind>, RequestError> {
    let mut kinds = discover(cluster).await?;
    kinds.retain(|kind| kind.namespaced && kind.group != "events.k8s.io");
    Ok(kinds)
}

impl Controller for Namespaces {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let Some(namespaces) = self.namespaces.objects() else { return Ok(None) };
        let ending: Vec<&str> = namespaces
            .iter()
            .filter(|namespace| {
                namespace.metadata.deletion_timestamp.is_some() && !namespace.spec.finalizers.is_empty()
            })
            .map(|namespace| namespace.metadata.name.as_str())
            .collect();
        if ending.is_empty() {
            self.waited = 0;
            return Ok(None);
        }
        let kinds = namespaced_kinds(&self.cluster).await;
        let kinds = kinds.map_err(|source| Failure::Read { what: "the kinds that are served", source })?;
        let (mut waits, mut failure) = (false, None);
        for name in ending {
            match self.end(&kinds, name).await {
                Ok(left) => waits |= left,
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.waited = if waits { self.waited.saturating_add(1) } else { 0 };
        let pause = PAUSE.0.saturating_mul(1 << self.waited.min(5)).min(PAUSE.1);
        let again = (self.now)().saturating_add(pause).expect("durations of signed seconds saturate");
        Ok(waits.then_some(again))
    }
}
