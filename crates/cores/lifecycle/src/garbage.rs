//! Garbage collection by `ownerReferences`.
//!
//! ```text
//!   an object's owners          what happens to it
//!   some exist                  references to those that are gone are removed
//!   all are gone                it is deleted
//!   all gone or in foreground   it is deleted, in foreground if it has dependents of its own
//! ```
//!
//! Foreground deletion (finalizer `foregroundDeletion`) lets an owner go after the dependents that block it; `orphan`
//! lets it go after its dependents forgot it. An owner of a kind that is not watched is taken to exist: nothing is
//! deleted out of ignorance.
//!
//! See <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>.

use std::collections::{BTreeMap, BTreeSet};

use api::{Metadata, OwnerReference};

/// Holds an owner until its blocking dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Holds an owner until its dependents no longer name it.
pub const ORPHAN: &str = "orphan";

/// Any object, as far as garbage collection looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// `v1` or `group/version`.
    pub api_version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// Name, owners, finalizers and deletion.
    pub metadata: &'a Metadata,
}

/// A write on one object, to be made only if its uid and resource version are still these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `v1` or `group/version`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid.
    pub uid: String,
    /// The version that the decision follows from.
    pub resource_version: String,
    /// What to do.
    pub action: Action,
}

/// What to do with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Delete it.
    Delete(Propagation),
    /// Replace its owner references by these.
    SetOwners(Vec<OwnerReference>),
    /// Replace its finalizers by these.
    SetFinalizers(Vec<String>),
}

/// What a deletion does to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They follow later.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    /// As in `DeleteOptions.propagationPolicy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

/// Says what garbage there is among all objects. `watched` tells whether `objects` holds everything of an `apiVersion`
/// and kind.
pub fn plan_garbage(objects: &[Object<'_>], watched: &dyn Fn(&str, &str) -> bool) -> Vec<Write> {
    let graph = Graph::of(objects, watched);
    let mut writes: Vec<Write> = objects.iter().flat_map(|object| graph.decide(object)).collect();
    let key =
        |write: &Write| (write.api_version.clone(), write.kind.clone(), write.namespace.clone(), write.name.clone());
    writes.sort_by_key(key);
    writes.dedup();
    writes
}

/// Who owns whom.
struct Graph<'a> {
    by_uid: BTreeMap<&'a str, Object<'a>>,
    dependents: BTreeMap<&'a str, Vec<Object<'a>>>,
    watched: &'a dyn Fn(&str, &str) -> bool,
}

/// What an owner reference leads to.
#[derive(PartialEq, Eq)]
enum Owner {
    /// An object that stays, or that we cannot know of.
    Solid,
    /// An object that waits for its dependents to go first.
    Waiting,
    /// Nothing.
    Gone,
}

impl<'a> Graph<'a> {
    fn of(objects: &[Object<'a>], watched: &'a dyn Fn(&str, &str) -> bool) -> Graph<'a> {
        let by_uid = objects.iter().map(|object| (object.metadata.uid.as_str(), *object)).collect();
        let mut dependents: BTreeMap<&str, Vec<Object<'a>>> = BTreeMap::new();
        for object in objects {
            let owners: BTreeSet<&str> =
                object.metadata.owner_references.iter().map(|owner| owner.uid.as_str()).collect();
            owners.into_iter().for_each(|uid| dependents.entry(uid).or_default().push(*object));
        }
        Graph { by_uid, dependents, watched }
    }

    fn dependents(&self, object: &Object<'_>) -> &[Object<'a>] {
        self.dependents.get(object.metadata.uid.as_str()).map_or(&[], Vec::as_slice)
    }

    fn decide(&self, object: &Object<'_>) -> Vec<Write> {
        if has_finalizer(object, ORPHAN) && is_deleting(object) {
            return self.orphan(object);
        }
        if is_waiting(object) {
            return self.release(object);
        }
        if is_deleting(object) || object.metadata.owner_references.is_empty() {
            return Vec::new();
        }
        self.collect(object)
    }

    /// The dependents forget a deleted owner, then it may go.
    fn orphan(&self, owner: &Object<'_>) -> Vec<Write> {
        let dependents = self.dependents(owner);
        if dependents.is_empty() {
            return vec![without_finalizer(owner, ORPHAN)];
        }
        let forget = |dependent: &Object<'_>| {
            let owners = &dependent.metadata.owner_references;
            let kept = owners.iter().filter(|reference| reference.uid != owner.metadata.uid).cloned().collect();
            write(dependent, Action::SetOwners(kept))
        };
        dependents.iter().map(forget).collect()
    }

    /// An owner in foreground deletion may go once nothing blocks it but what waits for it in turn: in a circle
    /// somebody has to be first.
    fn release(&self, owner: &Object<'_>) -> Vec<Write> {
        let blocked = self.blocking(&owner.metadata.uid).any(|dependent| !self.waits_for(dependent, owner));
        if blocked { Vec::new() } else { vec![without_finalizer(owner, FOREGROUND)] }
    }

    /// The dependents that block the deletion of the object with this uid.
    fn blocking(&self, uid: &str) -> impl Iterator<Item = &Object<'a>> {
        let blocks = move |dependent: &&Object<'_>| {
            let mut owners = dependent.metadata.owner_references.iter();
            owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        self.dependents.get(uid).into_iter().flatten().filter(blocks)
    }

    /// Whether an object in foreground deletion waits for another, directly or by way of others.
    fn waits_for(&self, waiting: &Object<'_>, other: &Object<'_>) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![waiting.metadata.uid.as_str()];
        while let Some(uid) = next.pop() {
            let waits = self.by_uid.get(uid).is_some_and(is_waiting);
            if !waits || !seen.insert(uid) {
                continue;
            }
            next.extend(self.blocking(uid).map(|dependent| dependent.metadata.uid.as_str()));
            if next.contains(&other.metadata.uid.as_str()) {
                return true;
            }
        }
        false
    }

    /// An object with owners goes when none of them is solid.
    fn collect(&self, object: &Object<'_>) -> Vec<Write> {
        let owners = &object.metadata.owner_references;
        let solid: Vec<OwnerReference> =
            owners.iter().filter(|owner| self.find(object, owner) == Owner::Solid).cloned().collect();
        if solid.len() == owners.len() {
            return Vec::new();
        }
        if !solid.is_empty() {
            return vec![write(object, Action::SetOwners(solid))];
        }
        let dependents = self.dependents(object);
        let waited_for = owners.iter().any(|owner| self.find(object, owner) == Owner::Waiting);
        if waited_for && !dependents.is_empty() {
            return self.collect_in_foreground(object, dependents);
        }
        let propagation = match object {
            _ if has_finalizer(object, ORPHAN) => Propagation::Orphan,
            _ if has_finalizer(object, FOREGROUND) => Propagation::Foreground,
            _ => Propagation::Background,
        };
        vec![write(object, Action::Delete(propagation))]
    }

    /// Deletes an object after its own dependents. A circle, where a dependent waits for this object in turn, is cut by
    /// no longer blocking any owner.
    fn collect_in_foreground(&self, object: &Object<'_>, dependents: &[Object<'_>]) -> Vec<Write> {
        let owners = &object.metadata.owner_references;
        let blocks = owners.iter().any(|owner| owner.block_owner_deletion == Some(true));
        if blocks && dependents.iter().any(is_waiting) {
            let cut = |owner: &OwnerReference| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() };
            return vec![write(object, Action::SetOwners(owners.iter().map(cut).collect()))];
        }
        vec![write(object, Action::Delete(Propagation::Foreground))]
    }

    /// Looks an owner up by uid. It counts only in the object's own namespace or in none: a reference across namespaces
    /// leads nowhere. A cluster-scoped object is never collected for an owner in a namespace.
    fn find(&self, object: &Object<'_>, owner: &OwnerReference) -> Owner {
        let namespace = object.metadata.namespace.as_str();
        match self.by_uid.get(owner.uid.as_str()) {
            Some(found) if found.metadata.namespace.is_empty() || found.metadata.namespace == namespace => {
                if is_waiting(found) { Owner::Waiting } else { Owner::Solid }
            }
            Some(_) if namespace.is_empty() => Owner::Solid,
            Some(_) => Owner::Gone,
            None if owner.uid.is_empty() || !(self.watched)(&owner.api_version, &owner.kind) => Owner::Solid,
            None => Owner::Gone,
        }
    }
}

fn is_deleting(object: &Object<'_>) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// Whether the object waits for its dependents to go.
fn is_waiting(object: &Object<'_>) -> bool {
    is_deleting(object) && has_finalizer(object, FOREGROUND)
}

fn has_finalizer(object: &Object<'_>, finalizer: &str) -> bool {
    object.metadata.finalizers.iter().any(|present| present == finalizer)
}

fn without_finalizer(object: &Object<'_>, finalizer: &str) -> Write {
    let kept = object.metadata.finalizers.iter().filter(|present| *present != finalizer).cloned().collect();
    write(object, Action::SetFinalizers(kept))
}

fn write(object: &Object<'_>, action: Action) -> Write {
    let metadata = object.metadata;
    Write {
        api_version: object.api_version.to_owned(),
        kind: object.kind.to_owned(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        action,
    }
}

#[cfg(test)]
mod tests;
