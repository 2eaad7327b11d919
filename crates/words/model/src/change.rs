//! The difference between two Models, as a value that can be applied.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Frontend, LocalPods, Model, Rule};

/// What is to become different. Its size is the size of the change, never that of the Model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Frontends to set (`Some`) or to remove (`None`).
    pub frontends: BTreeMap<Frontend, Option<Rule>>,
    /// The new node addresses, if they differ.
    pub node_addresses: Option<BTreeSet<IpAddr>>,
    /// The new Service ranges, if they differ.
    pub service_ranges: Option<BTreeSet<IpNet>>,
    /// The new local-traffic detector, if it differs.
    pub local_pods: Option<LocalPods>,
}

impl Change {
    /// Whether nothing is to become different.
    pub fn is_empty(&self) -> bool {
        *self == Change::default()
    }

    /// What turns `from` into `to`.
    pub fn between(from: &Model, to: &Model) -> Change {
        let local = LazyCell::new(|| [from.local_endpoints(), to.local_endpoints()]);
        let differs = |key: &Frontend, rule: &Rule| {
            from.frontends.get(key).is_none_or(|old| old != rule && !old.agrees(&local[0], rule, &local[1]))
        };
        let removed = from.frontends.keys().filter(|key| !to.frontends.contains_key(key)).map(|key| (*key, None));
        let set =
            to.frontends.iter().filter(|(key, rule)| differs(key, rule)).map(|(key, rule)| (*key, Some(rule.clone())));
        Change {
            frontends: removed.chain(set).collect(),
            node_addresses: (from.node_addresses != to.node_addresses).then(|| to.node_addresses.clone()),
            service_ranges: (from.service_ranges != to.service_ranges).then(|| to.service_ranges.clone()),
            local_pods: (from.local_pods != to.local_pods).then(|| to.local_pods.clone()),
        }
    }

    /// Adds a later change; where both speak of one element, the later one holds.
    pub fn merge(&mut self, later: Change) {
        self.frontends.extend(later.frontends);
        self.node_addresses = later.node_addresses.or(self.node_addresses.take());
        self.service_ranges = later.service_ranges.or(self.service_ranges.take());
        self.local_pods = later.local_pods.or(self.local_pods.take());
    }
}

impl Model {
    /// Carries out a change.
    pub fn apply(&mut self, change: Change) {
        for (frontend, rule) in change.frontends {
            match rule {
                Some(rule) => drop(self.frontends.insert(frontend, rule)),
                None => drop(self.frontends.remove(&frontend)),
            }
        }
        if let Some(addresses) = change.node_addresses {
            self.node_addresses = addresses;
        }
        if let Some(ranges) = change.service_ranges {
            self.service_ranges = ranges;
        }
        if let Some(local_pods) = change.local_pods {
            self.local_pods = local_pods;
        }
    }
}
