//! The endpoint controllers: EndpointSlices and Endpoints of every Service, in one loop over one set of caches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::EndpointSlice;
use cluster::Cluster;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use runloop::LastRun;
use slices::{EndpointsInputs, EndpointsPlan, Inputs, SlicePlan, plan_endpoints, plan_slices};
use tokio::sync::watch;

use crate::feed::{self, KINDS};
use crate::world::{Key, World};
use crate::writes::{Done, Plan, carry_out};

/// What can be configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Endpoints per slice, 1 to 1000 (S-212).
    pub(crate) slice_len_max: usize,
}

/// Services that are written at once. Their writes share the store's group commits.
const AT_ONCE: usize = 64;
/// Inputs that are taken in before planning.
const BATCH: usize = 4096;
/// The pause after a failure, doubling up to a limit. A Service is never given up (S-216).
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// The same after a conflict: the cache shows the other write in a moment, most often our own of the Endpoints.
const CONFLICT: Duration = Duration::from_millis(1);

/// Something that a Service waited for is over.
enum Over {
    /// Its writes.
    Written(Key, Done),
    /// Its pause after a failure.
    Paused(Key),
}

/// Runs until the future is dropped. What is shown counts the writes of single Services.
pub(crate) async fn run(cluster: Cluster, settings: Settings, shown: watch::Sender<LastRun>) {
    let mut inputs = feed::follow(&cluster);
    let mut controller = Controller {
        cluster,
        settings,
        world: World::default(),
        paused: HashSet::new(),
        failures: HashMap::new(),
        shown,
        under_way: FuturesUnordered::new(),
    };
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { return },
            Some(over) = controller.under_way.next() => controller.over(over),
        }
        let listed = controller.world.lists >= KINDS;
        for input in batch.drain(..) {
            controller.world.apply(input);
        }
        if controller.world.lists >= KINDS {
            if !listed {
                controller.world.scan_for_orphans();
            }
            controller.work();
        }
    }
}

struct Controller {
    cluster: Cluster,
    settings: Settings,
    world: World,
    /// Services that wait out a failure.
    paused: HashSet<Key>,
    /// Failures in a row.
    failures: HashMap<Key, u32>,
    shown: watch::Sender<LastRun>,
    under_way: FuturesUnordered<BoxFuture<'static, Over>>,
}

impl Controller {
    /// Plans dirty Services and starts their writes, as many as may be under way.
    fn work(&mut self) {
        while self.world.busy.len() < AT_ONCE {
            let may = |key: &&Key| !self.world.busy.contains(*key) && !self.paused.contains(*key);
            let next = self.world.dirty.iter().find(may).cloned();
            let Some(key) = next else { return };
            self.world.dirty.remove(&key);
            let Some(plan) = self.plan(&key) else { continue };
            self.world.busy.insert(key.clone());
            let cluster = self.cluster.clone();
            self.under_way.push(Box::pin(async move {
                let done = carry_out(&cluster, &key.0, plan).await;
                Over::Written(key, done)
            }));
        }
    }

    /// What is to be written for a Service, or `None` if nothing is, or the cache is behind our own writes.
    fn plan(&mut self, key: &Key) -> Option<Plan> {
        let existing: Vec<&EndpointSlice> =
            self.world.slices.get(key).map(|slices| slices.values().map(Arc::as_ref).collect()).unwrap_or_default();
        let endpoints = self.world.endpoints.get(key).map(Arc::as_ref);
        let Some(service) = self.world.services.get(key) else {
            let orphaned = self.world.orphaned.remove(key);
            let orphan = endpoints.filter(|endpoints| orphaned && slices::is_orphan(endpoints, false));
            let orphan = orphan.map(|endpoints| endpoints.metadata.clone());
            let plan = Plan { slices: SlicePlan::default(), endpoints: EndpointsPlan::Keep, orphan };
            return (!plan.is_empty()).then_some(plan);
        };
        let pods = self.world.pods.candidates(service);
        let memory = self.world.memories.entry(key.clone()).or_default();
        if memory.expectations.stale(&existing).is_some() {
            self.world.waiting.insert(key.clone());
            return None;
        }
        let nodes = &self.world.nodes;
        let trigger = memory.triggers.observe(service, &pods);
        let slices = plan_slices(&Inputs {
            service,
            pods: &pods,
            nodes: &|name| nodes.get(name).map(Arc::as_ref),
            existing: &existing,
            trigger: trigger.as_deref(),
            slice_len_max: self.settings.slice_len_max,
        });
        if let Some(retry) = &slices.retry {
            // The missing Node, once it appears, touches the Service again.
            tracing::debug!(service = %format!("{}/{}", key.0, key.1), %retry, "endpoints are incomplete");
        }
        let endpoints =
            plan_endpoints(&EndpointsInputs { service, pods: &pods, existing: endpoints, trigger: trigger.as_deref() });
        let plan = Plan { slices, endpoints, orphan: None };
        (!plan.is_empty()).then_some(plan)
    }

    fn over(&mut self, over: Over) {
        match over {
            Over::Paused(key) => {
                self.paused.remove(&key);
                self.world.dirty.insert(key);
            }
            Over::Written(key, done) => {
                self.world.busy.remove(&key);
                self.remember(&key, &done);
                self.show(done.error.as_ref());
                match done.error {
                    None => drop(self.failures.remove(&key)),
                    Some(error) => self.pause(key, &error),
                }
            }
        }
    }

    /// A conflict is no failure: the cache is behind.
    fn show(&self, error: Option<&cluster::RequestError>) {
        let error = error.filter(|error| error.code() != Some(409));
        self.shown.send_modify(|last| {
            last.runs += 1;
            last.failures = if error.is_some() { last.failures + 1 } else { 0 };
            last.error = error.map(|error| runloop::chain(error));
        });
    }

    fn remember(&mut self, key: &Key, done: &Done) {
        let gone = std::mem::take(&mut self.world.gone_while_busy);
        let written = done.written.iter().filter(|slice| !gone.contains(&slice.metadata.uid));
        // What went of other busy Services is theirs to look at.
        let own = |uid: &String| done.written.iter().any(|slice| slice.metadata.uid == *uid);
        self.world.gone_while_busy = gone.iter().filter(|uid| !own(uid)).cloned().collect();
        if self.world.busy.is_empty() {
            self.world.gone_while_busy.clear();
        }
        if !self.world.services.contains_key(key) {
            return;
        }
        let memory = self.world.memories.entry(key.clone()).or_default();
        for slice in written {
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

    /// A conflict means that the cache is behind and will move; everything else is tried again after a pause.
    fn pause(&mut self, key: Key, error: &cluster::RequestError) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures += 1;
        let conflict = error.code() == Some(409);
        let first = if conflict { CONFLICT } else { RETRY.0 };
        let pause = (first * 2u32.saturating_pow((*failures - 1).min(16))).min(RETRY.1);
        let service = format!("{}/{}", key.0, key.1);
        if conflict {
            tracing::debug!(service, %error, "the slices were changed by somebody else; planning anew");
        } else {
            tracing::warn!(service, error = runloop::chain(error), "endpoints could not be written; trying again");
        }
        self.paused.insert(key.clone());
        self.under_way.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Over::Paused(key)
        }));
    }
}
