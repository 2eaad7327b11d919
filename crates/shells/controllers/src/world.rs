//! What the endpoint controllers know: their caches, and which Services a change touches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use api::{EndpointSlice, Endpoints, Node, Pod, Service};
use cluster::Change;
use slices::{Expectations, TriggerTimes};

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
    /// Services whose writes are under way; they are not planned meanwhile.
    pub(crate) busy: HashSet<Key>,
    /// Uids of slices that went while their Service was busy: an answer that tells of their writing comes too late.
    pub(crate) gone_while_busy: HashSet<String>,
    /// Services that went, or were gone when this process started: their Endpoints are to go, too (S-229). Endpoints
    /// that never had a Service are somebody's preparation and stay.
    pub(crate) orphaned: HashSet<Key>,
    /// Services to plan.
    pub(crate) dirty: BTreeSet<Key>,
    /// Services whose last plan waits for the cache of slices to show our own writes (S-215).
    pub(crate) waiting: BTreeSet<Key>,
    /// Kinds that have been listed.
    pub(crate) lists: usize,
}

fn key(metadata: &api::Metadata) -> Key {
    (metadata.namespace.clone(), metadata.name.clone())
}

impl World {
    /// The scan at the start: Endpoints that an earlier process left behind (S-229).
    pub(crate) fn scan_for_orphans(&mut self) {
        let without = self.endpoints.keys().filter(|key| !self.services.contains_key(*key));
        self.orphaned.extend(without.cloned());
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
                self.dirty.insert(key.clone());
                self.orphaned.remove(&key);
                self.selectors.set(&key.0, &key.1, &service.spec.selector);
                self.services.insert(key, service);
            }
            Change::Gone(service) => {
                let key = key(&service.metadata);
                self.orphaned.insert(key.clone());
                self.selectors.remove(&key.0, &key.1);
                self.services.remove(&key);
                self.memories.remove(&key);
                self.waiting.remove(&key);
                self.dirty.insert(key);
            }
            Change::Synced => self.lists += 1,
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
        self.dirty.extend(touched);
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
        let memory = self.memories.entry(service.clone()).or_default();
        let expected = !memory.expectations.is_unexpected(&slice);
        self.slice_owners.insert(key(&slice.metadata), service.clone());
        self.slices.entry(service.clone()).or_default().insert(slice.metadata.name.clone(), slice);
        if !expected || self.waiting.remove(&service) {
            self.dirty.insert(service);
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
        if self.busy.contains(service) {
            self.gone_while_busy.insert(slice.metadata.uid.clone());
        }
        if !expected || self.waiting.remove(service) {
            self.dirty.insert(service.clone());
        }
    }

    fn endpoints(&mut self, change: Change<Endpoints>) {
        match change {
            Change::Set(endpoints) => {
                let key = key(&endpoints.metadata);
                self.dirty.insert(key.clone());
                self.endpoints.insert(key, endpoints);
            }
            Change::Gone(endpoints) => {
                let key = key(&endpoints.metadata);
                self.endpoints.remove(&key);
                self.dirty.insert(key);
            }
            Change::Synced => self.lists += 1,
        }
    }
}

#[cfg(test)]
mod tests;
