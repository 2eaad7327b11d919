//! A kind's state, shared by the loops that read it, and what of its changes wakes which of them.
//!
//! One task writes a cache; everybody else takes snapshots. A cache can be behind the server, and behind our own writes:
//! a loop that cannot bear that remembers its writes or reads anew.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use api::Resource;
use cluster::{Change, Cluster, Selection, reflect};
use runloop::Wake;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A loop, and whether a change (before, after) matters to it.
pub(crate) struct Interest<T> {
    wake: Wake,
    matters: fn(Option<&T>, Option<&T>) -> bool,
}

impl<T> Interest<T> {
    pub(crate) fn new(wake: &Wake, matters: fn(Option<&T>, Option<&T>) -> bool) -> Interest<T> {
        Interest { wake: wake.clone(), matters }
    }
}

/// All objects of a kind by `namespace/name`. A plain lock: held for single changes and for copying out references.
pub(crate) struct Cache<T> {
    held: Arc<RwLock<Held<T>>>,
}

struct Held<T> {
    objects: BTreeMap<String, Arc<T>>,
    synced: bool,
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Cache<T> {
        Cache { held: self.held.clone() }
    }
}

const UNPOISONED: &str = "no holder of this lock panics";

impl<T: Resource> Cache<T> {
    /// Follows a kind in a task of its own.
    pub(crate) fn follow(tasks: &mut JoinSet<()>, cluster: &Cluster, interests: Vec<Interest<T>>) -> Cache<T> {
        let cache = Cache { held: Arc::new(RwLock::new(Held { objects: BTreeMap::new(), synced: false })) };
        tasks.spawn(cache.clone().fill(reflect(cluster, Selection::default()), interests));
        cache
    }

    /// All objects, or `None` before the first list is complete.
    pub(crate) fn objects(&self) -> Option<Vec<Arc<T>>> {
        let held = self.held.read().expect(UNPOISONED);
        held.synced.then(|| held.objects.values().cloned().collect())
    }

    async fn fill(self, mut changes: mpsc::Receiver<Change<T>>, interests: Vec<Interest<T>>) {
        while let Some(change) = changes.recv().await {
            for interest in self.apply(change, &interests) {
                interest.wake.wake();
            }
        }
    }

    /// Takes in a change; whom does it matter to?
    fn apply<'a>(&self, change: Change<T>, interests: &'a [Interest<T>]) -> Vec<&'a Interest<T>> {
        let mut held = self.held.write().expect(UNPOISONED);
        let (before, after) = match change {
            Change::Set(object) => (held.objects.insert(object.metadata().key(), object.clone()), Some(object)),
            Change::Gone(object) => (held.objects.remove(&object.metadata().key()), None),
            Change::Synced => {
                held.synced = true;
                return interests.iter().collect();
            }
        };
        let matters = |interest: &&Interest<T>| held.synced && (interest.matters)(before.as_deref(), after.as_deref());
        interests.iter().filter(matters).collect()
    }
}

/// The objects behind the references, as plans want them.
pub(crate) fn plain<T>(objects: &[Arc<T>]) -> Vec<&T> {
    objects.iter().map(Arc::as_ref).collect()
}
