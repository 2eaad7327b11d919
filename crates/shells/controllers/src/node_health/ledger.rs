//! Which nodes a run looks at, and what becomes of them.

use std::collections::{BTreeSet, HashMap};

use api::{EndpointSlice, Node, Pod};
use jiff::{SignedDuration, Timestamp};
use lifecycle::node_health::{Heartbeats, NodeHealthPlan, OnNode, plan_node};

use super::Signs;
use crate::cache::{Cache, plain};
use crate::marks::Marks;

/// What is judged: Nodes, Pods by the node that they are bound to, and agents' slices by the node that they speak of.
pub(crate) struct Caches {
    pub(crate) nodes: Cache<Node>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) slices: Cache<EndpointSlice>,
    pub(crate) signs: Signs,
}

impl Caches {
    pub(super) fn synced(&self) -> bool {
        self.nodes.synced() && self.pods.synced() && self.slices.synced() && self.signs.held().synced
    }
}

/// When each node gave its last sign of life, when it has to be looked at again, and what has been touched since.
pub(super) struct Ledger {
    marks: Marks,
    /// Nodes to look at. They stay until their writes are done.
    pub(super) pending: BTreeSet<String>,
    heartbeats: Heartbeats,
    /// Ends of grace periods, the earliest first.
    pub(super) ends: BTreeSet<(Timestamp, String)>,
    end_of: HashMap<String, Timestamp>,
    grace: SignedDuration,
}

impl Ledger {
    pub(super) fn new(marks: Marks, grace: SignedDuration) -> Ledger {
        Ledger {
            marks,
            pending: BTreeSet::new(),
            heartbeats: Heartbeats::default(),
            ends: BTreeSet::new(),
            end_of: HashMap::new(),
            grace,
        }
    }

    /// Plans for the nodes that were touched, and for those whose grace period could be over; for no others.
    pub(super) fn judge(&mut self, caches: &Caches, now: Timestamp) -> Vec<(String, NodeHealthPlan)> {
        self.pending.append(&mut self.marks.take());
        while let Some((_, node)) = self.ends.first().filter(|(end, _)| *end <= now).cloned() {
            self.end(&node, None);
            self.pending.insert(node);
        }
        let names: Vec<String> = self.pending.iter().cloned().collect();
        names.into_iter().map(|name| self.judge_one(caches, name, now)).collect()
    }

    fn judge_one(&mut self, caches: &Caches, name: String, now: Timestamp) -> (String, NodeHealthPlan) {
        let mut seen = caches.signs.held();
        let Some(node) = caches.nodes.get(&name) else {
            self.heartbeats.forget(&name);
            seen.lost.remove(&name);
            self.end(&name, None);
            return (name, NodeHealthPlan::default());
        };
        let known = seen.by_node.get(&name);
        let (lease, at) = known.map_or((None, now), |(lease, at)| (Some(lease.as_ref()), *at));
        let last_seen = self.heartbeats.observe(&node, lease, at);
        let lost = now.duration_since(last_seen) > self.grace;
        if lost {
            seen.lost.insert(name.clone());
        } else {
            seen.lost.remove(&name);
        }
        drop(seen);
        // Only what leads to a lost node is of interest.
        let (pods, slices) =
            if lost { (caches.pods.group(&name), caches.slices.group(&name)) } else { Default::default() };
        let on_node = OnNode { pods: &plain(&pods), slices: &plain(&slices) };
        let plan = plan_node(&node, on_node, last_seen, self.grace, now);
        self.end(&name, plan.wake);
        (name, plan)
    }

    /// Notes when a node's grace period ends, if one runs.
    fn end(&mut self, node: &str, end: Option<Timestamp>) {
        if let Some(before) = self.end_of.remove(node) {
            self.ends.remove(&(before, node.to_owned()));
        }
        if let Some(end) = end {
            self.ends.insert((end, node.to_owned()));
            self.end_of.insert(node.to_owned(), end);
        }
    }
}
