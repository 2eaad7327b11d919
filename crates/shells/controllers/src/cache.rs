//! A kind's state, shared by the loops that read it, and what of its changes wakes which of them.
//!
//! One task writes a cache; everybody else takes snapshots, or asks for single objects and groups. A cache can be behind
//! the server, and behind our own writes: a loop that cannot bear that remembers its writes or reads anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use api::Resource;
use cluster::{Change, Cluster, Selection, reflect};
use runloop::Wake;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::marks::Marks;

/// A loop, and whether a change (before, after) matters to it.
pub(crate) struct Interest<T> {
    wake: Wake,
    matters: fn(Option<&T>, Option<&T>) -> bool,
    /// Where the loop reads what was touched, and what that is called of an object.
    marks: Option<(Marks, Named<T>)>,
}

/// What an object counts under.
pub(crate) type Named<T> = fn(&T) -> &str;

impl<T> Interest<T> {
    pub(crate) fn new(wake: &Wake, matters: fn(Option<&T>, Option<&T>) -> bool) -> Interest<T> {
        Interest { wake: wake.clone(), matters, marks: None }
    }

    /// Also marks what the change touched.
    pub(crate) fn marking(self, marks: &Marks, name: Named<T>) -> Interest<T> {
        Interest { marks: Some((marks.clone(), name)), ..self }
    }

    fn mark(&self, objects: [Option<&T>; 2]) {
        let Some((marks, name)) = &self.marks else { return };
        objects.into_iter().flatten().for_each(|object| marks.add(name(object)));
    }
}

/// All objects of a kind by `namespace/name`. A plain lock: held for single changes and for copying out references.
pub(crate) struct Cache<T> {
    held: Arc<RwLock<Held<T>>>,
}

struct Held<T> {
    objects: BTreeMap<String, Arc<T>>,
    /// The objects by what they count under, if that was asked for.
    groups: HashMap<String, BTreeMap<String, Arc<T>>>,
    grouped_by: Option<Named<T>>,
    synced: bool,
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Cache<T> {
        Cache { held: self.held.clone() }
    }
}

const UNPOISONED: &str = "no holder of this lock panics";

impl<T: Resource> Cache<T> {
    /// An empty cache; `grouped_by` is what [`Cache::group`] finds objects by.
    pub(crate) fn new(grouped_by: Option<Named<T>>) -> Cache<T> {
        let held = Held { objects: BTreeMap::new(), groups: HashMap::new(), grouped_by, synced: false };
        Cache { held: Arc::new(RwLock::new(held)) }
    }

    /// Follows a kind in a task of its own.
    pub(crate) fn follow(tasks: &mut JoinSet<()>, cluster: &Cluster, interests: Vec<Interest<T>>) -> Cache<T> {
        Cache::new(None).filled(tasks, cluster, Selection::default(), interests)
    }

    /// Fills the cache with some of the objects, in a task of its own.
    pub(crate) fn filled(
        self,
        tasks: &mut JoinSet<()>,
        cluster: &Cluster,
        selection: Selection,
        interests: Vec<Interest<T>>,
    ) -> Cache<T> {
        tasks.spawn(self.clone().fill(reflect(cluster, selection), interests));
        self
    }

    /// All objects, or `None` before the first list is complete.
    pub(crate) fn objects(&self) -> Option<Vec<Arc<T>>> {
        let held = self.held.read().expect(UNPOISONED);
        held.synced.then(|| held.objects.values().cloned().collect())
    }

    /// Whether the first list is complete.
    pub(crate) fn synced(&self) -> bool {
        self.held.read().expect(UNPOISONED).synced
    }

    /// The object with this key.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<T>> {
        self.held.read().expect(UNPOISONED).objects.get(key).cloned()
    }

    /// The objects that count under these names, all as of one moment: no change comes between the choice of the names,
    /// such as marks that changes leave, and the look at the objects.
    pub(crate) fn groups(&self, names: impl FnOnce() -> BTreeSet<String>) -> BTreeMap<String, Vec<Arc<T>>> {
        let held = self.held.read().expect(UNPOISONED);
        let group = |name: &String| held.groups.get(name).into_iter().flat_map(BTreeMap::values).cloned().collect();
        names().into_iter().map(|name| (name.clone(), group(&name))).collect()
    }

    /// The objects that count under this name; the empty one is a name, too.
    pub(crate) fn group(&self, name: &str) -> Vec<Arc<T>> {
        let held = self.held.read().expect(UNPOISONED);
        held.groups.get(name).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    async fn fill(self, mut changes: mpsc::Receiver<Change<T>>, interests: Vec<Interest<T>>) {
        while let Some(change) = changes.recv().await {
            for interest in self.apply(change, &interests) {
                interest.wake.wake();
            }
        }
    }

    /// Takes in a change; whom is there to wake?
    pub(crate) fn apply<'a>(&self, change: Change<T>, interests: &'a [Interest<T>]) -> Vec<&'a Interest<T>> {
        let mut held = self.held.write().expect(UNPOISONED);
        let (before, after) = match change {
            Change::Set(object) => (held.set(object.clone()), Some(object)),
            Change::Gone(object) => (held.remove(&object.metadata().key()), None),
            Change::Synced => {
                held.synced = true;
                return interests.iter().collect();
            }
        };
        let (before, after) = (before.as_deref(), after.as_deref());
        let touched: Vec<&Interest<T>> = interests.iter().filter(|one| (one.matters)(before, after)).collect();
        touched.iter().for_each(|interest| interest.mark([before, after]));
        if held.synced { touched } else { Vec::new() }
    }
}

impl<T: Resource> Held<T> {
    fn set(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        let key = object.metadata().key();
        let before = self.remove(&key);
        if let Some(name) = self.grouped_by.map(|name| name(&object)) {
            self.groups.entry(name.to_owned()).or_default().insert(key.clone(), object.clone());
        }
        self.objects.insert(key, object);
        before
    }

    fn remove(&mut self, key: &str) -> Option<Arc<T>> {
        let before = self.objects.remove(key)?;
        let name = self.grouped_by.map(|name| name(&before)).unwrap_or_default();
        if let Some(group) = self.groups.get_mut(name) {
            group.remove(key);
            if group.is_empty() {
                self.groups.remove(name);
            }
        }
        Some(before)
    }
}

/// The objects behind the references, as plans want them.
pub(crate) fn plain<T>(objects: &[Arc<T>]) -> Vec<&T> {
    objects.iter().map(Arc::as_ref).collect()
}
