//! Deletes objects whose owners are gone, as [`lifecycle::garbage`] plans it.
//!
//! All kinds but Events are reflected, metadata only. A change that touches ownership marks an object; what is planned
//! is the family of marked objects: who owns them, whom they own, and so on. So a deletion costs its own family, not
//! the cluster. The caches of two kinds move independently: before an object is deleted for an owner that is in no
//! cache, the owner is asked for at the server.

mod family;

use std::collections::{HashMap, HashSet};

use api::{Metadata, OwnerReference};
use cluster::{Change, Cluster, Kind, PartialObject, RequestError, discover, reflect_metadata};
use futures::future::BoxFuture;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use lifecycle::garbage::{Action, Object, Write, plan_garbage};
use runloop::Wake;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::family::Family;
use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{carry_out_all, earlier};

/// Changes wait here; the reflectors wait when it is full.
const QUEUE: usize = 4096;
/// How long an object waits that the caches judge otherwise than the server.
const BEHIND: SignedDuration = SignedDuration::from_millis(200);
/// How often everything is looked at, marked or not.
const FULL: SignedDuration = SignedDuration::from_mins(10);

/// A change of one of the kinds.
struct Input {
    kind: usize,
    change: Change<PartialObject>,
}

/// The garbage collector.
pub(crate) struct Collector {
    cluster: Cluster,
    wake: Wake,
    now: Clock,
    /// What is served; learned at the first run.
    following: Option<Following>,
}

/// The kinds, and what is known of their objects.
struct Following {
    kinds: Vec<Kind>,
    /// `apiVersion` and kind of each, as owner references name them.
    types: Vec<(String, String)>,
    inputs: mpsc::Receiver<Input>,
    /// Kinds that are not listed yet.
    unlisted: usize,
    family: Family,
    looked_at_all: Timestamp,
    /// Feeds `inputs`, until this is dropped.
    _feeders: JoinSet<()>,
}

impl Collector {
    pub(crate) fn new(cluster: Cluster, wake: Wake, now: Clock) -> Collector {
        Collector { cluster, wake, now, following: None }
    }

    /// Finds out what is served and follows it.
    async fn follow(&self) -> Result<Following, RequestError> {
        let mut kinds = discover(&self.cluster).await?;
        // Events own nothing, are owned by nothing and are many.
        kinds.retain(|kind| kind.kind != "Event");
        let (out, inputs) = mpsc::channel(QUEUE);
        let mut feeders = JoinSet::new();
        for (kind, facts) in kinds.iter().enumerate() {
            let mut changes = reflect_metadata(&self.cluster, facts);
            let (out, wake) = (out.clone(), self.wake.clone());
            feeders.spawn(async move {
                while let Some(change) = changes.recv().await {
                    if out.send(Input { kind, change }).await.is_err() {
                        return;
                    }
                    wake.wake();
                }
            });
        }
        Ok(Following {
            types: kinds.iter().map(|kind| (kind.api_version(), kind.kind.clone())).collect(),
            unlisted: kinds.len(),
            kinds,
            inputs,
            family: Family::default(),
            looked_at_all: (self.now)(),
            _feeders: feeders,
        })
    }
}

impl Controller for Collector {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let mut following = match self.following.take() {
            Some(following) => following,
            None => {
                let found = self.follow().await;
                found.map_err(|source| Failure::Read { what: "the kinds that are served", source })?
            }
        };
        let done = following.collect(&self.cluster, (self.now)()).await;
        self.following = Some(following);
        done
    }
}

impl Following {
    async fn collect(&mut self, cluster: &Cluster, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        while let Ok(Input { kind, change }) = self.inputs.try_recv() {
            match change {
                Change::Set(object) => self.family.set(kind, object),
                Change::Gone(object) => self.family.gone(&object.metadata),
                Change::Synced => self.unlisted -= 1,
            }
        }
        if self.unlisted > 0 {
            return Ok(None);
        }
        if now.duration_since(self.looked_at_all) > FULL {
            self.looked_at_all = now;
            self.family.mark_all();
        }
        let marked = self.family.take_marked();
        if marked.is_empty() {
            return Ok(None);
        }
        let writes = self.plan(&marked);
        let (writes, behind) = match self.confirm(cluster, writes).await {
            Ok(confirmed) => confirmed,
            Err(source) => {
                self.family.mark(&marked);
                return Err(Failure::Read { what: "an owner", source });
            }
        };
        let written = self.write(cluster, writes, now).await;
        if !matches!(written, Ok(None)) {
            self.family.mark(&marked);
        } else {
            self.family.mark(&behind);
        }
        let again = (!behind.is_empty()).then(|| now.saturating_add(BEHIND).expect("seconds saturate"));
        Ok(earlier(written?, again))
    }

    fn plan(&self, marked: &HashSet<String>) -> Vec<Write> {
        let members = self.family.members(marked);
        let objects: Vec<Object<'_>> = members
            .iter()
            .map(|(kind, object)| {
                let (api_version, kind) = &self.types[*kind];
                Object { api_version, kind, metadata: &object.metadata }
            })
            .collect();
        let watched = |version: &str, kind: &str| self.kind(version, kind).is_some();
        plan_garbage(&objects, &watched)
    }

    fn kind(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let found = self.types.iter().position(|(version, name)| version == api_version && name == kind);
        found.map(|index| &self.kinds[index])
    }

    /// Leaves out writes for owners that exist at the server though no cache shows them; the second result says which
    /// objects those were.
    async fn confirm(
        &self,
        cluster: &Cluster,
        writes: Vec<Write>,
    ) -> Result<(Vec<Write>, HashSet<String>), RequestError> {
        let (mut confirmed, mut behind) = (Vec::new(), HashSet::new());
        let mut answers: HashMap<String, bool> = HashMap::new();
        for write in writes {
            let mut lives = false;
            for owner in self.missing_owners(&write) {
                let known = answers.get(&owner.uid).copied();
                let exists = match known {
                    Some(exists) => exists,
                    None => self.exists(cluster, &write.namespace, &owner).await?,
                };
                answers.insert(owner.uid.clone(), exists);
                lives |= exists;
            }
            if lives {
                behind.insert(write.uid);
            } else {
                confirmed.push(write);
            }
        }
        Ok((confirmed, behind))
    }

    /// The owners for whose absence the write would be made.
    fn missing_owners(&self, write: &Write) -> Vec<OwnerReference> {
        if matches!(write.action, Action::SetFinalizers(_)) {
            return Vec::new();
        }
        let owners = self.family.owners(&write.uid).iter();
        owners.filter(|owner| !self.family.knows(&owner.uid)).cloned().collect()
    }

    async fn exists(&self, cluster: &Cluster, namespace: &str, owner: &OwnerReference) -> Result<bool, RequestError> {
        // An owner of a kind that is not served is never missed.
        let Some(kind) = self.kind(&owner.api_version, &owner.kind) else { return Ok(true) };
        if kind.namespaced && namespace.is_empty() {
            return Ok(true);
        }
        let path = kind.path(namespace, &owner.name);
        match cluster.send::<PartialObject>(Method::GET, &path, "application/json", None).await {
            Ok(found) => Ok(found.metadata.uid == owner.uid),
            Err(error) if error.code() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, cluster: &Cluster, writes: Vec<Write>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        let mut requests: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        for write in writes {
            let kind = self.kind(&write.api_version, &write.kind).expect("only watched objects are planned");
            let path = kind.path(&write.namespace, &write.name);
            let (method, media, body) = request(&write);
            requests.push(Box::pin(
                async move { cluster.send::<Value>(method, &path, media, Some(&body)).await.map(drop) },
            ));
        }
        carry_out_all(requests, now).await
    }
}

/// The request of a write, on condition that uid and version are as they were.
fn request(write: &Write) -> (Method, &'static str, Value) {
    let Write { uid, resource_version, .. } = write;
    let patch = |field: &str, value: Value| {
        let metadata = json!({ "uid": uid, "resourceVersion": resource_version, field: value });
        (Method::PATCH, "application/merge-patch+json", json!({ "metadata": metadata }))
    };
    match &write.action {
        Action::Delete(propagation) => {
            let preconditions = json!({ "uid": uid, "resourceVersion": resource_version });
            let options = json!({ "propagationPolicy": propagation.as_str(), "preconditions": preconditions });
            (Method::DELETE, "application/json", options)
        }
        Action::SetOwners(owners) => patch("ownerReferences", json!(owners)),
        Action::SetFinalizers(finalizers) => patch("finalizers", json!(finalizers)),
    }
}

/// Whether a change touches what garbage collection looks at.
fn touches_ownership(before: Option<&Metadata>, after: &Metadata) -> bool {
    let looked_at = |metadata: &Metadata| {
        let deleting = metadata.deletion_timestamp.is_some();
        (metadata.uid.clone(), metadata.owner_references.clone(), metadata.finalizers.clone(), deleting)
    };
    match before {
        Some(before) => looked_at(before) != looked_at(after),
        None => !after.owner_references.is_empty() || after.deletion_timestamp.is_some(),
    }
}
