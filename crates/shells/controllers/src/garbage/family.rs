//! Who owns whom, kept up to date change by change, and which objects are to be looked at.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api::{Metadata, OwnerReference};
use cluster::PartialObject;

use super::touches_ownership;

/// All objects by uid, and the edges between them in both directions.
#[derive(Default)]
pub(crate) struct Family {
    /// The index of the kind, and the object.
    objects: HashMap<String, (usize, Arc<PartialObject>)>,
    /// Uids of dependents by the uid of the owner, whether that exists or not.
    dependents: HashMap<String, HashSet<String>>,
    /// Uids to look at, of objects that exist or did.
    marked: HashSet<String>,
}

impl Family {
    /// Takes in a new state of an object.
    pub(crate) fn set(&mut self, kind: usize, object: Arc<PartialObject>) {
        let metadata = &object.metadata;
        let uid = metadata.uid.clone();
        let before = self.objects.get(&uid).map(|(_, before)| before.clone());
        if touches_ownership(before.as_ref().map(|before| &before.metadata), metadata) {
            self.marked.insert(uid.clone());
            before.iter().for_each(|before| self.mark_waiting_owners(&before.metadata));
        }
        if let Some(before) = before {
            self.unlink(&before.metadata);
        }
        for owner in &metadata.owner_references {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        self.objects.insert(uid, (kind, object));
    }

    /// Takes in that an object is gone. Its dependents, and the owners that waited for it, are looked at.
    pub(crate) fn gone(&mut self, metadata: &Metadata) {
        let Some((_, object)) = self.objects.remove(&metadata.uid) else { return };
        self.unlink(&object.metadata);
        if let Some(dependents) = self.dependents.get(&metadata.uid) {
            self.marked.extend(dependents.iter().cloned());
        }
        self.mark_waiting_owners(&object.metadata);
    }

    /// An owner that is being deleted may wait for this dependent.
    fn mark_waiting_owners(&mut self, dependent: &Metadata) {
        let waits = |uid: &&String| {
            self.objects.get(*uid).is_some_and(|(_, owner)| owner.metadata.deletion_timestamp.is_some())
        };
        let owners = dependent.owner_references.iter().map(|owner| &owner.uid);
        self.marked.extend(owners.filter(waits).cloned());
    }

    fn unlink(&mut self, metadata: &Metadata) {
        for owner in &metadata.owner_references {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&metadata.uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    /// Whether an object with this uid exists.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.objects.contains_key(uid)
    }

    /// The owner references of an object.
    pub(crate) fn owners(&self, uid: &str) -> &[OwnerReference] {
        self.objects.get(uid).map_or(&[], |(_, object)| &object.metadata.owner_references)
    }

    /// Has these looked at again.
    pub(crate) fn mark(&mut self, uids: &HashSet<String>) {
        self.marked.extend(uids.iter().cloned());
    }

    /// Has everything looked at.
    pub(crate) fn mark_all(&mut self) {
        self.marked.extend(self.objects.keys().cloned());
    }

    /// What is to be looked at, once.
    pub(crate) fn take_marked(&mut self) -> HashSet<String> {
        std::mem::take(&mut self.marked)
    }

    /// The objects with these uids and everything that is tied to them by ownership, however far.
    pub(crate) fn members(&self, uids: &HashSet<String>) -> Vec<(usize, &PartialObject)> {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut next: Vec<&str> = uids.iter().map(String::as_str).collect();
        let mut members = Vec::new();
        while let Some(uid) = next.pop() {
            if !seen.insert(uid) {
                continue;
            }
            if let Some((kind, object)) = self.objects.get(uid) {
                members.push((*kind, object.as_ref()));
                next.extend(object.metadata.owner_references.iter().map(|owner| owner.uid.as_str()));
            }
            next.extend(self.dependents.get(uid).into_iter().flatten().map(String::as_str));
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, owners: &[&str]) -> Arc<PartialObject> {
        let owners: Vec<_> =
            owners.iter().map(|owner| json!({"apiVersion": "v1", "kind": "T", "name": owner, "uid": owner})).collect();
        let value = json!({"metadata": {"name": name, "uid": name, "ownerReferences": owners}});
        Arc::new(serde_json::from_value(value).expect("it has the shape"))
    }

    fn family(objects: &[(&str, &[&str])]) -> Family {
        let mut family = Family::default();
        objects.iter().for_each(|(name, owners)| family.set(0, object(name, owners)));
        family
    }

    fn names<'a>(uids: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut names: Vec<&str> = uids.into_iter().collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_familys_members_are_tied_by_ownership_however_far() {
        let family =
            family(&[("a", &[]), ("b", &["a"]), ("c", &["b", "x"]), ("d", &["x"]), ("other", &[]), ("e", &["other"])]);
        let members = family.members(&HashSet::from(["a".to_owned()]));
        assert_eq!(names(members.iter().map(|(_, object)| object.metadata.name.as_str())), ["a", "b", "c", "d"]);
    }

    #[test]
    fn only_changes_of_ownership_mark_an_object() {
        let mut family = family(&[("a", &[]), ("b", &["a"])]);
        assert_eq!(family.take_marked(), HashSet::from(["b".to_owned()]), "a new object with an owner");
        let mut labelled = (*object("b", &["a"])).clone();
        labelled.metadata.labels.insert("k".to_owned(), "v".to_owned());
        family.set(0, Arc::new(labelled));
        assert_eq!(family.take_marked(), HashSet::new(), "a label");
        family.set(0, object("b", &[]));
        assert_eq!(family.take_marked(), HashSet::from(["b".to_owned()]), "an owner less");
        family.gone(&object("a", &[]).metadata);
        assert_eq!(family.take_marked(), HashSet::new(), "nobody depended on it any more");
    }

    #[test]
    fn what_depended_on_a_gone_object_is_looked_at() {
        let mut family = family(&[("a", &[]), ("b", &["a"]), ("c", &["a"])]);
        family.take_marked();
        family.gone(&object("a", &[]).metadata);
        assert_eq!(family.take_marked(), HashSet::from(["b".to_owned(), "c".to_owned()]));
        assert_eq!(family.members(&HashSet::from(["b".to_owned()])).len(), 2, "siblings are tied by their owner's uid");
    }
}
