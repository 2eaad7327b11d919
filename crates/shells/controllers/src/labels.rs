//! Which Services select a Pod, and which Pods a Service, without walking all of either.
//!
//! A selector is a conjunction: whatever it selects has each of its pairs. So it is enough to look at the objects that
//! share one pair with the other side, and the rarest pair is the best.

use std::collections::{BTreeSet, HashMap};

use api::Labels;

/// A label's key and value in a namespace.
type Pair = (String, String, String);

/// Names by the pairs that they have.
#[derive(Debug, Default)]
struct Pairs {
    names: HashMap<Pair, BTreeSet<String>>,
}

fn pair(namespace: &str, key: &str, value: &str) -> Pair {
    (namespace.to_owned(), key.to_owned(), value.to_owned())
}

impl Pairs {
    fn insert(&mut self, pair: Pair, name: &str) {
        self.names.entry(pair).or_default().insert(name.to_owned());
    }

    fn remove(&mut self, pair: &Pair, name: &str) {
        if let Some(names) = self.names.get_mut(pair) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(pair);
            }
        }
    }

    fn len(&self, pair: &Pair) -> usize {
        self.names.get(pair).map_or(0, BTreeSet::len)
    }
}

/// Services, each under the one pair of its selector that the fewest others were under when it came.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    pairs: Pairs,
    /// By namespace and name of the Service.
    chosen: HashMap<(String, String), Pair>,
}

impl Selectors {
    /// Notes a Service's selector; an empty one selects nothing (S-201).
    pub(crate) fn set(&mut self, namespace: &str, name: &str, selector: &Labels) {
        self.remove(namespace, name);
        let pairs = selector.iter().map(|(key, value)| pair(namespace, key, value));
        let Some(rarest) = pairs.min_by_key(|pair| self.pairs.len(pair)) else { return };
        self.pairs.insert(rarest.clone(), name);
        self.chosen.insert((namespace.to_owned(), name.to_owned()), rarest);
    }

    pub(crate) fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(pair) = self.chosen.remove(&(namespace.to_owned(), name.to_owned())) {
            self.pairs.remove(&pair, name);
        }
    }

    /// Names of all Services that may select something with these labels.
    pub(crate) fn candidates<'a>(&'a self, namespace: &'a str, labels: &'a Labels) -> impl Iterator<Item = &'a str> {
        let of = move |(key, value): (&String, &String)| self.pairs.names.get(&pair(namespace, key, value));
        labels.iter().filter_map(of).flatten().map(String::as_str)
    }
}

/// Pods, each under all its labels.
#[derive(Debug, Default)]
pub(crate) struct Labelled {
    pairs: Pairs,
}

impl Labelled {
    pub(crate) fn set(&mut self, namespace: &str, name: &str, labels: &Labels) {
        labels.iter().for_each(|(key, value)| self.pairs.insert(pair(namespace, key, value), name));
    }

    pub(crate) fn remove(&mut self, namespace: &str, name: &str, labels: &Labels) {
        labels.iter().for_each(|(key, value)| self.pairs.remove(&pair(namespace, key, value), name));
    }

    /// Names of all Pods that a selector may select, in order.
    pub(crate) fn candidates(&self, namespace: &str, selector: &Labels) -> impl Iterator<Item = &str> {
        let pairs = selector.iter().map(|(key, value)| pair(namespace, key, value));
        let rarest = pairs.min_by_key(|pair| self.pairs.len(pair));
        rarest.and_then(|pair| self.pairs.names.get(&pair)).into_iter().flatten().map(String::as_str)
    }
}
