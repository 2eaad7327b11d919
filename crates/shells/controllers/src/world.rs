//! What the endpoint controllers know: their caches, and which Services a change touches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::{EndpointSlice, Endpoints, Node, Pod, Service};
use cluster::Change;
use slices::{Expectations, TriggerTimes, is_written_by_us};
use tokio::time::Instant;

use crate::feed::Input;
use crate::labels::Selectors;
use crate::pods::Pods;

/// Namespace and name of a Service.
pub(crate) type Key = (String, String);

/// What is remembered of a Service beyond the objects.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) expectations: Expectations,
    pub(crate) triggers: TriggerTimes,
    /// Our last write of its Endpoints, until the cache moves.
    pub(crate) own_write: Option<OwnWrite>,
}

/// A write of Endpoints that the cache may not show yet. Versions are compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnWrite {
    pub(crate) uid: String,
    /// The version that it replaced; none if it created the object.
    pub(crate) replaced: Option<String>,
    /// The version that it made.
    pub(crate) made: String,
    /// Whether something is left to plan once the cache shows it.
    pub(crate) held: bool,
}

impl OwnWrite {
    /// Whether the cache still shows what was replaced. That it shows nothing says nothing: what we created may have been
    /// deleted by now.
    pub(crate) fn is_hidden(&self, cached: Option<&Endpoints>) -> bool {
        cached.is_some_and(|cached| {
            cached.metadata.uid == self.uid && Some(&cached.metadata.resource_version) == self.replaced.as_ref()
        })
    }

    fn is(&self, cached: &Endpoints) -> bool {
        cached.metadata.uid == self.uid && cached.metadata.resource_version == self.made
    }
}

/// Services to plan.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) slices: BTreeSet<Key>,
    pub(crate) endpoints: BTreeSet<Key>,
    /// Services that went: what went wrong with them counts no more.
    pub(crate) gone: BTreeSet<Key>,
}

impl Dirty {
    fn add(&mut self, key: Key) {
        self.slices.insert(key.clone());
        self.endpoints.insert(key);
    }
}

/// All caches, with one owner.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) services: HashMap<Key, Arc<Service>>,
    selectors: Selectors,
    pub(crate) pods: Pods,
    pub(crate) nodes: HashMap<String, Arc<Node>>,
    /// By the Service that the slice names, then by the slice's name.
    pub(crate) slices: HashMap<Key, BTreeMap<String, Arc<EndpointSlice>>>,
    pub(crate) endpoints: HashMap<Key, Arc<Endpoints>>,
    pub(crate) memories: HashMap<Key, Memory>,
    /// Which Service each slice is kept under, by the slice's namespace and name.
    slice_owners: HashMap<Key, Key>,
    /// Services whose slices are being written, with the uids of those that went meanwhile: an answer that tells of
    /// their writing comes too late.
    pub(crate) writing_slices: HashMap<Key, HashSet<String>>,
    /// Services whose Endpoints are being written, and whether the cache moved meanwhile.
    pub(crate) writing_endpoints: HashMap<Key, bool>,
    /// Endpoints, by their uid, of Services that went, or were gone when this process started: they are to go, too
    /// (S-229). Endpoints that never had a Service are somebody's preparation and stay.
    pub(crate) orphaned: HashMap<Key, String>,
    /// Services for which we asked to create Endpoints and got no answer that says whether they exist. If they appear
    /// when the Service is no more, they are orphans that nobody else would notice.
    perhaps_made: HashSet<Key>,
    /// Services to plan.
    pub(crate) dirty: Dirty,
    /// Services whose slices wait for the cache to show our own writes (S-215), and since when.
    pub(crate) waiting: BTreeMap<Key, Instant>,
    /// Kinds that have been listed.
    pub(crate) lists: usize,
}

fn key(metadata: &api::Metadata) -> Key {
    (metadata.namespace.clone(), metadata.name.clone())
}

impl World {
    /// The scan at the start: Endpoints that an earlier process left behind (S-229).
    pub(crate) fn scan_for_orphans(&mut self) {
        for (key, endpoints) in self.endpoints.iter().filter(|(key, _)| !self.services.contains_key(*key)) {
            self.orphaned.insert(key.clone(), endpoints.metadata.uid.clone());
            self.dirty.endpoints.insert(key.clone());
        }
    }

    /// Marks Services that have waited for so long that something may be wrong with what they wait for.
    pub(crate) fn doubt(&mut self, now: Instant, patience: Duration) {
        let long = self.waiting.iter().filter(|(_, since)| now.duration_since(**since) >= patience);
        self.dirty.slices.extend(long.map(|(key, _)| key.clone()));
    }

    /// Takes in a change and marks the Services that it touches.
    pub(crate) fn apply(&mut self, input: Input) {
        match input {
            Input::Service(change) => self.service(change),
            Input::Pod(change) => self.pod(change),
            Input::Node(change) => self.node(change),
            Input::Slice(change) => self.slice(change),
            Input::Endpoints(change) => self.endpoints(change),
        }
    }

    fn service(&mut self, change: Change<Service>) {
        match change {
            Change::Set(service) => {
                let key = key(&service.metadata);
                self.dirty.add(key.clone());
                self.orphaned.remove(&key);
                self.perhaps_made.remove(&key);
                self.selectors.set(&key.0, &key.1, &service.spec.selector);
                self.services.insert(key, service);
            }
            Change::Gone(service) => {
                let key = key(&service.metadata);
                self.selectors.remove(&key.0, &key.1);
                self.services.remove(&key);
                self.waiting.remove(&key);
                self.endpoints_orphaned(&key);
                self.dirty.gone.insert(key.clone());
                self.dirty.endpoints.insert(key);
            }
            Change::Synced => self.lists += 1,
        }
    }

    /// Forgets a Service, and notes the Endpoints that it leaves: those that we wrote last, shown by the cache or not yet.
    fn endpoints_orphaned(&mut self, key: &Key) {
        let written = self.memories.remove(key).and_then(|memory| memory.own_write).map(|own| own.uid);
        let cached = self.endpoints.get(key).map(|endpoints| endpoints.metadata.uid.clone());
        if let Some(uid) = written.or(cached) {
            self.orphaned.insert(key.clone(), uid);
        }
    }

    fn pod(&mut self, change: Change<Pod>) {
        let (pod, present) = match change {
            Change::Set(pod) => (pod, true),
            Change::Gone(pod) => (pod, false),
            Change::Synced => return self.lists += 1,
        };
        let before = if present { self.pods.set(pod.clone()) } else { self.pods.remove(&pod) };
        // The labels may have changed: both the Services that selected the Pod and those that do now.
        self.touch_selecting(&pod);
        if let Some(before) = before.filter(|before| before.metadata.labels != pod.metadata.labels) {
            self.touch_selecting(&before);
        }
    }

    fn touch_selecting(&mut self, pod: &Pod) {
        let (namespace, labels) = (&pod.metadata.namespace, &pod.metadata.labels);
        let selects =
            |service: &Service| service.spec.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let candidates = self.selectors.candidates(namespace, labels).map(|name| (namespace.clone(), name.to_owned()));
        let touched = candidates.filter(|key| self.services.get(key).is_some_and(|service| selects(service)));
        touched.for_each(|key| self.dirty.add(key));
    }

    /// Endpoints name their node's zone, and Pods of a missing node are left out (S-204, S-206).
    fn node(&mut self, change: Change<Node>) {
        let (name, node) = match change {
            Change::Set(node) => (node.metadata.name.clone(), Some(node)),
            Change::Gone(node) => (node.metadata.name.clone(), None),
            Change::Synced => return self.lists += 1,
        };
        let zone = |node: Option<&Arc<Node>>| node.map(|node| node.zone().map(str::to_owned));
        let same = zone(self.nodes.get(&name)) == zone(node.as_ref());
        match node {
            Some(node) => drop(self.nodes.insert(name.clone(), node)),
            None => drop(self.nodes.remove(&name)),
        }
        if same {
            return;
        }
        for pod in self.pods.on_node(&name) {
            self.touch_selecting(&pod);
        }
    }

    fn slice(&mut self, change: Change<EndpointSlice>) {
        let (slice, present) = match change {
            Change::Set(slice) => (slice, true),
            Change::Gone(slice) => (slice, false),
            Change::Synced => return self.lists += 1,
        };
        let id = key(&slice.metadata);
        let now = slice.service_name().filter(|_| present).map(|service| (id.0.clone(), service.to_owned()));
        // A slice may be given to another Service by its label: the one it leaves has to be planned, too.
        if let Some(before) = self.slice_owners.remove(&id).filter(|before| Some(before) != now.as_ref()) {
            self.slice_left(&before, &slice);
        }
        if let Some(key) = now {
            self.slice_set(key, slice);
        }
    }

    fn slice_set(&mut self, service: Key, slice: Arc<EndpointSlice>) {
        // Only a Service has a memory: what is labelled with the name of none would leave one for ever.
        let memory = self.memories.get(&service);
        let expected = memory.is_some_and(|memory| !memory.expectations.is_unexpected(&slice));
        self.slice_owners.insert(key(&slice.metadata), service.clone());
        self.slices.entry(service.clone()).or_default().insert(slice.metadata.name.clone(), slice);
        if self.waiting.remove(&service).is_some() || !expected {
            self.dirty.slices.insert(service);
        }
    }

    fn slice_left(&mut self, service: &Key, slice: &EndpointSlice) {
        if let Some(known) = self.slices.get_mut(service) {
            known.remove(&slice.metadata.name);
            if known.is_empty() {
                self.slices.remove(service);
            }
        }
        let memory = self.memories.get_mut(service);
        let expected = memory.is_some_and(|memory| memory.expectations.disappeared(&slice.metadata.uid));
        if let Some(gone) = self.writing_slices.get_mut(service) {
            gone.insert(slice.metadata.uid.clone());
        }
        if self.waiting.remove(service).is_some() || !expected {
            self.dirty.slices.insert(service.clone());
        }
    }

    fn endpoints(&mut self, change: Change<Endpoints>) {
        match change {
            Change::Set(endpoints) => {
                let key = key(&endpoints.metadata);
                let own = self.own_write(&key).filter(|own| own.is(&endpoints) && !own.held);
                self.appeared(&key, &endpoints);
                self.endpoints.insert(key.clone(), endpoints);
                if own.is_none() {
                    self.endpoints_moved(key);
                }
            }
            Change::Gone(endpoints) => {
                let key = key(&endpoints.metadata);
                self.own_write(&key);
                self.endpoints.remove(&key);
                if self.orphaned.get(&key) == Some(&endpoints.metadata.uid) {
                    self.orphaned.remove(&key);
                }
                self.endpoints_moved(key);
            }
            Change::Synced => self.lists += 1,
        }
    }

    /// The creation of a Service's Endpoints may have happened: no answer says that it didn't.
    pub(crate) fn perhaps_made(&mut self, key: &Key) {
        self.perhaps_made.insert(key.clone());
        // They may be here already.
        if let Some(endpoints) = self.endpoints.get(key).cloned() {
            self.appeared(key, &endpoints);
        }
    }

    /// Endpoints are there. Ours of a Service that went before we knew of them are orphans (S-229).
    fn appeared(&mut self, key: &Key, endpoints: &Endpoints) {
        let unknown = self.perhaps_made.remove(key) && !self.services.contains_key(key);
        if unknown && is_written_by_us(endpoints) {
            self.orphaned.insert(key.clone(), endpoints.metadata.uid.clone());
            self.dirty.endpoints.insert(key.clone());
        }
    }

    /// Our last write of these Endpoints, which is nothing to wait for any more: the cache moves.
    fn own_write(&mut self, key: &Key) -> Option<OwnWrite> {
        self.memories.get_mut(key).and_then(|memory| memory.own_write.take())
    }

    /// What is being written may be what the cache shows now: the answer will tell.
    fn endpoints_moved(&mut self, key: Key) {
        match self.writing_endpoints.get_mut(&key) {
            Some(moved) => *moved = true,
            None => drop(self.dirty.endpoints.insert(key)),
        }
    }
}

#[cfg(test)]
mod tests;
