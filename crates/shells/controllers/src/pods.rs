//! Pods as the endpoint controllers look for them: by name, by label, by node.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api::{Pod, Service};

use crate::labels::Labelled;
use crate::world::Key;

/// All Pods.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    objects: HashMap<Key, Arc<Pod>>,
    labelled: Labelled,
    on_node: HashMap<String, BTreeSet<Key>>,
}

fn key(pod: &Pod) -> Key {
    (pod.metadata.namespace.clone(), pod.metadata.name.clone())
}

impl Pods {
    /// Takes in a Pod as it is now; returns what it was.
    pub(crate) fn set(&mut self, pod: Arc<Pod>) -> Option<Arc<Pod>> {
        let before = self.remove(&pod);
        let key = key(&pod);
        self.labelled.set(&key.0, &key.1, &pod.metadata.labels);
        if !pod.spec.node_name.is_empty() {
            self.on_node.entry(pod.spec.node_name.clone()).or_default().insert(key.clone());
        }
        self.objects.insert(key, pod);
        before
    }

    /// Forgets the Pod of this name; returns what it was.
    pub(crate) fn remove(&mut self, pod: &Pod) -> Option<Arc<Pod>> {
        let key = key(pod);
        let before = self.objects.remove(&key)?;
        self.labelled.remove(&key.0, &key.1, &before.metadata.labels);
        if let Some(pods) = self.on_node.get_mut(&before.spec.node_name) {
            pods.remove(&key);
            if pods.is_empty() {
                self.on_node.remove(&before.spec.node_name);
            }
        }
        Some(before)
    }

    /// All Pods that are bound to a node.
    pub(crate) fn on_node(&self, node: &str) -> Vec<Arc<Pod>> {
        let keys = self.on_node.get(node).into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key)).cloned().collect()
    }

    /// All Pods that a Service may select, by name.
    pub(crate) fn candidates(&self, service: &Service) -> Vec<&Pod> {
        let namespace = &service.metadata.namespace;
        let names = self.labelled.candidates(namespace, &service.spec.selector);
        names.filter_map(|name| Some(self.objects.get(&(namespace.clone(), name.to_owned()))?.as_ref())).collect()
    }
}
