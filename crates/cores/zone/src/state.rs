//! The zone's state: facts by owner, and the shards that follow from them.
//!
//! [`ZoneState::apply`] takes one event and only notes whose names change; [`ZoneState::take_changed`] rebuilds the
//! shards concerned, so a burst of events costs one rebuild. Reverse names follow from the difference between a
//! Service's old and new shard. Whatever the order of events, equal objects make equal shards.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use crate::Config;
use crate::facts::{ServiceFacts, SliceFacts};
use crate::name::lower_labels;
use crate::owners::{Owner, Owners};
use crate::shard::{Keys, Pointer, Services, Shard};

/// A change of the objects that the zone is made of.
#[derive(Clone, Debug)]
pub enum Event {
    /// A Service came or changed.
    Service(Arc<api::Service>),
    /// A Service is gone.
    ServiceGone {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An EndpointSlice came or changed.
    Slice(Arc<api::EndpointSlice>),
    /// An EndpointSlice is gone.
    SliceGone {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A namespace came or changed.
    Namespace(String),
    /// A namespace is gone.
    NamespaceGone(String),
    /// A Pod came or changed; used in [`PodMode::Verified`](crate::PodMode) only.
    Pod(Arc<api::Pod>),
    /// A Pod is gone.
    PodGone {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// `namespace/name`, neither of which has a slash.
fn object_name(namespace: &str, name: &str) -> Arc<str> {
    format!("{namespace}/{name}").into()
}

/// Facts and shards of one zone.
pub struct ZoneState {
    config: Arc<Config>,
    shards: Vec<Arc<Shard>>,
    facts: Vec<ShardFacts>,
    /// The owner of each slice by `namespace/name`, since a slice may change its Service.
    slice_owners: FxHashMap<Arc<str>, Arc<[u8]>>,
    /// The keys of each Pod in the shards, by `namespace/name`.
    pods: FxHashMap<Arc<str>, Vec<Box<[u8]>>>,
    dirty: Dirty,
}

/// The facts of one shard. Keys are labels in lower case with length bytes.
#[derive(Default)]
struct ShardFacts {
    owners: Owners,
    namespaces: BTreeSet<Box<[u8]>>,
    /// How many Pods claim each key: two may briefly share an address.
    pods: BTreeMap<Box<[u8]>, u32>,
}

/// What has to be rebuilt.
#[derive(Default)]
struct Dirty {
    owners: BTreeSet<Arc<[u8]>>,
    namespaces: BTreeSet<usize>,
    pods: BTreeSet<usize>,
}

impl ZoneState {
    /// An empty zone.
    pub fn new(config: Arc<Config>) -> ZoneState {
        let count = config.shard_count();
        let empty = Arc::new(Shard::default());
        ZoneState {
            config,
            shards: vec![empty; count],
            facts: (0..count).map(|_| ShardFacts::default()).collect(),
            slice_owners: FxHashMap::default(),
            pods: FxHashMap::default(),
            dirty: Dirty::default(),
        }
    }

    /// The shards as they were when changes were last taken.
    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// Notes one change.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Service(service) => {
                let facts = ServiceFacts::parse(&service);
                self.service(&service.metadata.namespace, &service.metadata.name, facts);
            }
            Event::ServiceGone { namespace, name } => self.service(&namespace, &name, None),
            Event::Slice(slice) => self.slice(&slice),
            Event::SliceGone { namespace, name } => self.slice_gone(&object_name(&namespace, &name)),
            Event::Namespace(name) => self.namespace(&name, true),
            Event::NamespaceGone(name) => self.namespace(&name, false),
            Event::Pod(pod) => self.pod(&pod),
            Event::PodGone { namespace, name } => self.pod_keys(object_name(&namespace, &name), Vec::new()),
        }
    }

    /// Rebuilds what the noted changes concern and returns the shards that differ now, with their places.
    pub fn take_changed(&mut self) -> Vec<(usize, Arc<Shard>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut changed = BTreeSet::new();
        let pointers = self.rebuild_services(&dirty.owners, &mut changed);
        self.rebuild_addresses(pointers, &mut changed);
        for at in dirty.namespaces {
            let namespaces = Arc::new(Keys::new(self.facts[at].namespaces.iter()));
            self.replace(at, |shard| shard.namespaces = namespaces, &mut changed);
        }
        for at in dirty.pods {
            let pods = Arc::new(Keys::new(self.facts[at].pods.keys()));
            self.replace(at, |shard| shard.pods = pods, &mut changed);
        }
        changed.into_iter().map(|at| (at, self.shards[at].clone())).collect()
    }

    fn service(&mut self, namespace: &str, name: &str, facts: Option<ServiceFacts>) {
        let Some(key) = lower_labels([name, namespace]) else { return };
        self.owner(&key, |owner| owner.service = facts.map(|facts| facts.pack()));
    }

    fn slice(&mut self, slice: &api::EndpointSlice) {
        let metadata = &slice.metadata;
        let id = object_name(&metadata.namespace, &metadata.name);
        let key = slice.service_name().and_then(|service| lower_labels([service, &metadata.namespace]));
        if self.slice_owners.get(&id).map(|key| &**key) != key.as_deref() {
            self.slice_gone(&id);
        }
        let Some(key) = key else { return };
        let facts = SliceFacts::parse(slice, &self.config).pack();
        // One text for both places that name the slice.
        let id = self.slice_owners.get_key_value(&id).map_or(id, |(known, _)| known.clone());
        let key = self.owner(&key, |owner| owner.set_slice(id.clone(), facts));
        self.slice_owners.insert(id, key);
    }

    fn slice_gone(&mut self, id: &str) {
        if let Some(key) = self.slice_owners.remove(id) {
            self.owner(&key, |owner| owner.remove_slice(id));
        }
    }

    fn owner(&mut self, key: &[u8], change: impl FnOnce(&mut Owner)) -> Arc<[u8]> {
        let hash = hash_labels(key);
        let key = self.facts[self.config.shard_of(hash)].owners.change(hash, key, change);
        self.dirty.owners.insert(key.clone());
        key
    }

    fn namespace(&mut self, name: &str, exists: bool) {
        let Some(key) = lower_labels([name]) else { return };
        let at = self.config.shard_of(hash_labels(&key));
        let namespaces = &mut self.facts[at].namespaces;
        let is_change = if exists { namespaces.insert(key) } else { namespaces.remove(&key) };
        if is_change {
            self.dirty.namespaces.insert(at);
        }
    }

    /// A Pod counts while it runs and is not being deleted (S-411).
    fn pod(&mut self, pod: &api::Pod) {
        let metadata = &pod.metadata;
        let is_alive = metadata.deletion_timestamp.is_none()
            && !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed" | "Unknown");
        let single = std::iter::once(&pod.status.pod_ip).filter(|_| pod.status.pod_ips.is_empty());
        let texts = single.chain(pod.status.pod_ips.iter().map(|pod_ip| &pod_ip.ip)).filter(|_| is_alive);
        let addresses: BTreeSet<IpAddr> = texts.filter_map(|ip| ip.parse().ok()).collect();
        let namespace = lower_labels([metadata.namespace.as_str()]).unwrap_or_default();
        let keys = addresses.into_iter().map(|address| pod_key(&namespace, address).into_boxed()).collect();
        self.pod_keys(object_name(&metadata.namespace, &metadata.name), keys);
    }

    fn pod_keys(&mut self, id: Arc<str>, keys: Vec<Box<[u8]>>) {
        if self.config.pods != crate::PodMode::Verified {
            return;
        }
        let old = if keys.is_empty() { self.pods.remove(&id) } else { self.pods.insert(id, keys.clone()) };
        for key in keys {
            let at = self.config.shard_of(hash_labels(&key));
            *self.facts[at].pods.entry(key).or_default() += 1;
            self.dirty.pods.insert(at);
        }
        for key in old.unwrap_or_default() {
            let at = self.config.shard_of(hash_labels(&key));
            let pods = &mut self.facts[at].pods;
            match pods.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(pods.remove(&key)),
            }
            self.dirty.pods.insert(at);
        }
    }

    /// Rebuilds the shards of some owners; returns by shard which reverse names go and which come.
    fn rebuild_services(&mut self, owners: &BTreeSet<Arc<[u8]>>, changed: &mut BTreeSet<usize>) -> PointerChanges {
        let mut by_shard: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
        for key in owners {
            by_shard.entry(self.config.shard_of(hash_labels(key))).or_default().push(key);
        }
        let mut pointers = PointerChanges::new();
        for (at, keys) in by_shard {
            let old = self.shards[at].services.clone();
            let new = Arc::new(Services::build(self.facts[at].owners.iter(), self.config.ignore_empty_services));
            for key in keys {
                self.compare_pointers(&old, &new, key, &mut pointers);
            }
            self.replace(at, |shard| shard.services = new, changed);
        }
        pointers
    }

    fn compare_pointers(&self, old: &Services, new: &Services, key: &[u8], changes: &mut PointerChanges) {
        let hash = hash_labels(key);
        let pointers = |services: &Services| -> BTreeSet<Pointer> {
            let Some(service) = services.find(key, hash) else { return BTreeSet::new() };
            let is_served = |address: &IpAddr| self.config.reverse.iter().any(|range| range.contains(address));
            let addresses = service.reverse_addresses().filter(is_served);
            addresses.map(|address| Pointer { address, service: hash }).collect()
        };
        let (old, new) = (pointers(old), pointers(new));
        for pointer in old.difference(&new) {
            let at = self.config.shard_of(hash_address(pointer.address));
            changes.entry(at).or_default().0.push(*pointer);
        }
        for pointer in new.difference(&old) {
            let at = self.config.shard_of(hash_address(pointer.address));
            changes.entry(at).or_default().1.push(*pointer);
        }
    }

    fn rebuild_addresses(&mut self, pointers: PointerChanges, changed: &mut BTreeSet<usize>) {
        for (at, (removed, added)) in pointers {
            let addresses = Arc::new(self.shards[at].addresses.changed(&removed, &added));
            self.replace(at, |shard| shard.addresses = addresses, changed);
        }
    }

    fn replace(&mut self, at: usize, change: impl FnOnce(&mut Shard), changed: &mut BTreeSet<usize>) {
        let mut shard = Shard::clone(&self.shards[at]);
        change(&mut shard);
        if shard != *self.shards[at] {
            self.shards[at] = Arc::new(shard);
            changed.insert(at);
        }
    }
}

/// By shard, the reverse names that go and those that come.
type PointerChanges = BTreeMap<usize, (Vec<Pointer>, Vec<Pointer>)>;

/// Which shard a row of labels is in.
pub(crate) fn hash_labels(labels: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(labels);
    hasher.finish()
}

/// Which shard an address is in.
pub(crate) fn hash_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(ip) => hash_labels(&ip.octets()),
        IpAddr::V6(ip) => hash_labels(&ip.octets()),
    }
}

/// Key of a Pod's address: the namespace's label, then the octets.
pub(crate) struct PodKey {
    bytes: [u8; 80],
    length: usize,
}

/// `namespace` is one label with its length byte, at most 64 bytes.
pub(crate) fn pod_key(namespace: &[u8], address: IpAddr) -> PodKey {
    let mut key = PodKey { bytes: [0; 80], length: 0 };
    let octets = match address {
        IpAddr::V4(ip) => &ip.octets()[..],
        IpAddr::V6(ip) => &ip.octets()[..],
    };
    for (to, from) in key.bytes.iter_mut().zip(namespace.iter().chain(octets)) {
        *to = *from;
        key.length += 1;
    }
    key
}

impl PodKey {
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn into_boxed(self) -> Box<[u8]> {
        self.as_bytes().into()
    }
}
