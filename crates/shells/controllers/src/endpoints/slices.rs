//! The EndpointSlices of a Service: planning, and what the server answers.

use std::collections::HashSet;
use std::sync::Arc;

use api::{EndpointSlice, List, SERVICE_NAME_LABEL};
use cluster::{Cluster, RequestError, path};
use http::Method;
use jiff::Timestamp;
use slices::{Inputs, Part, SlicePlan, Stale, plan_slices};
use tokio::time::Instant;

use super::{Controller, PATIENCE, name};
use crate::world::Key;
use crate::writes::{Done, is_behind, write_slices};

/// What a Service waited for is over.
#[derive(Debug)]
pub(super) enum Over {
    /// Its writes.
    Written(Written),
    /// The question which of its slices exist: their uids.
    Asked(Result<HashSet<String>, RequestError>),
}

#[derive(Debug)]
pub(super) struct Written {
    /// The uid of the Service that was planned.
    service: String,
    /// The time that the slices were to tell.
    trigger: Option<Timestamp>,
    done: Done,
}

impl Controller {
    /// Plans a Service and starts its writes, unless the cache is behind our own.
    pub(super) fn plan_slices(&mut self, key: Key) {
        let world = &mut self.world;
        let Some(service) = world.services.get(&key) else { return self.slices.forget(&key) };
        let existing: Vec<&EndpointSlice> =
            world.slices.get(&key).map(|slices| slices.values().map(Arc::as_ref).collect()).unwrap_or_default();
        let memory = world.memories.entry(key.clone()).or_default();
        if let Some(stale) = memory.expectations.stale(&existing) {
            return self.wait(key, &stale);
        }
        world.waiting.remove(&key);
        let pods = world.pods.candidates(service);
        memory.triggers.observe(service, &pods);
        let trigger = memory.triggers.take(Part::Slices);
        let nodes = &world.nodes;
        let plan = plan_slices(&Inputs {
            service,
            pods: &pods,
            nodes: &|name| nodes.get(name).map(Arc::as_ref),
            existing: &existing,
            trigger: trigger.map(|time| time.to_string()).as_deref(),
            slice_len_max: self.settings.slice_len_max,
        });
        if let Some(retry) = &plan.retry {
            // The missing Node, once it appears, touches the Service again.
            tracing::debug!(service = name(&key), %retry, "endpoints are incomplete");
        }
        if plan.is_empty() {
            return self.slices.settled(&key);
        }
        let service = service.metadata.uid.clone();
        self.write(key, service, trigger, plan);
    }

    fn write(&mut self, key: Key, service: String, trigger: Option<Timestamp>, plan: SlicePlan) {
        self.world.writing_slices.insert(key.clone(), HashSet::new());
        let (cluster, namespace) = (self.cluster.clone(), key.0.clone());
        self.slices.start(key, async move {
            let done = write_slices(&cluster, &namespace, plan).await;
            Over::Written(Written { service, trigger, done })
        });
    }

    /// The cache will show our writes (S-215). If it takes long, a slice that we created may have been deleted before any
    /// watch showed it: then it is never seen to go, and only the server can tell.
    fn wait(&mut self, key: Key, stale: &Stale) {
        let now = Instant::now();
        let since = *self.world.waiting.entry(key.clone()).or_insert(now);
        if !matches!(stale, Stale::Missing(_)) || now.duration_since(since) < PATIENCE {
            return;
        }
        self.world.waiting.insert(key.clone(), now);
        let (cluster, service) = (self.cluster.clone(), key.clone());
        self.slices.start(key, async move { Over::Asked(uids(&cluster, &service).await) });
    }

    pub(super) fn slices_over(&mut self, over: Option<(Key, Over)>) {
        match over {
            None => {}
            Some((key, Over::Written(written))) => self.slices_written(key, written),
            Some((key, Over::Asked(answer))) => self.asked(key, answer),
        }
    }

    fn slices_written(&mut self, key: Key, written: Written) {
        self.remember(&key, &written.done);
        let Some(error) = written.done.error else { return self.slices.done(&key) };
        let service = self.world.services.get(&key).filter(|service| service.metadata.uid == written.service);
        if let Some(memory) = self.world.memories.get_mut(&key).filter(|_| service.is_some()) {
            memory.triggers.put_back(Part::Slices, written.trigger);
        }
        if is_behind(&error) {
            tracing::debug!(service = name(&key), %error, "slices were changed by somebody else; planning anew");
            self.slices.behind(key);
        } else {
            let text = runloop::chain(&error);
            tracing::warn!(service = name(&key), error = text, "slices could not be written; trying again");
            self.slices.failed(key, &error);
        }
    }

    /// Notes what the cache has to show before the Service is planned again.
    fn remember(&mut self, key: &Key, done: &Done) {
        let gone = self.world.writing_slices.remove(key).unwrap_or_default();
        if !self.world.services.contains_key(key) {
            return;
        }
        let memory = self.world.memories.entry(key.clone()).or_default();
        for slice in done.written.iter().filter(|slice| !gone.contains(&slice.metadata.uid)) {
            memory.expectations.wrote(slice);
        }
        for uid in &done.deleted {
            // The cache may have seen it disappear before the answer came.
            let cached = self.world.slices.get(key);
            if cached.is_some_and(|slices| slices.values().any(|slice| slice.metadata.uid == *uid)) {
                memory.expectations.deleted(uid);
            }
        }
    }

    fn asked(&mut self, key: Key, answer: Result<HashSet<String>, RequestError>) {
        let exist = match answer {
            Ok(uids) => uids,
            Err(error) => {
                let text = runloop::chain(&error);
                tracing::warn!(service = name(&key), error = text, "slices could not be listed; trying again");
                return self.slices.failed(key, &error);
            }
        };
        let cached = self.world.slices.get(&key);
        let is_cached = |uid: &str| cached.is_some_and(|slices| slices.values().any(|slice| slice.metadata.uid == uid));
        if let Some(memory) = self.world.memories.get_mut(&key) {
            memory.expectations.forget_missing(|uid| exist.contains(uid) || is_cached(uid));
        }
        self.slices.done(&key);
        self.slices.mark(key);
    }
}

/// The uids of all slices of a Service that the server has.
async fn uids(cluster: &Cluster, (namespace, service): &Key) -> Result<HashSet<String>, RequestError> {
    // A Service's name, and the label's, need no encoding but that of the slash.
    let label = SERVICE_NAME_LABEL.replace('/', "%2F");
    let path = format!("{}?labelSelector={label}%3D{service}", path::<EndpointSlice>(namespace, ""));
    let list: List<EndpointSlice> = cluster.send(Method::GET, &path, "application/json", None).await?;
    Ok(list.items.into_iter().map(|slice| slice.metadata.uid).collect())
}
