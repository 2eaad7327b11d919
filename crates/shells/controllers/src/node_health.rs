//! Says of silent nodes and their Pods that they are lost, as [`lifecycle::node_health`] plans it.
//!
//! Thousands of Leases are renewed all the time. None of that wakes the loop: [`Signs`] notes when each renewal came,
//! and the loop sleeps until the first grace period that could be over. Only the renewal of a lost node wakes it. A run
//! looks at the nodes that changed and at those whose grace period could be over, and at no others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use api::{Lease, Node, ObjectReference, Pod};
use cluster::{Change, Cluster, Recorder, RequestError, Selection, reflect};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lifecycle::node_health::{Heartbeats, NodeHealthPlan, plan_node};
use runloop::Wake;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::cache::{Cache, plain};
use crate::drive::{Controller, Failure};
use crate::marks::Marks;
use crate::start::Clock;
use crate::writes::{carry_out_all, earlier, tell};

/// Where nodes' Leases live.
const LEASES: &str = "kube-node-lease";

/// The Leases of nodes, and when each was seen. A plain lock: held for single look-ups.
#[derive(Clone, Default)]
pub(crate) struct Signs {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    by_node: HashMap<String, (Arc<Lease>, Timestamp)>,
    /// Nodes whose renewal is news.
    lost: HashSet<String>,
    synced: bool,
}

impl Signs {
    /// Follows the Leases in a task of its own.
    pub(crate) fn follow(
        tasks: &mut JoinSet<()>,
        cluster: &Cluster,
        (wake, marks): (&Wake, &Marks),
        now: Clock,
    ) -> Signs {
        let signs = Signs::default();
        let selection = Selection { namespace: LEASES.to_owned(), ..Selection::default() };
        let mut changes = reflect::<Lease>(cluster, selection);
        let (book, wake, marks) = (signs.clone(), wake.clone(), marks.clone());
        tasks.spawn(async move {
            while let Some(change) = changes.recv().await {
                if book.note(change, now(), &marks) {
                    wake.wake();
                }
            }
        });
        signs
    }

    /// Takes in a change; is it news to the loop?
    fn note(&self, change: Change<Lease>, now: Timestamp, marks: &Marks) -> bool {
        let mut seen = self.held();
        match change {
            Change::Set(lease) => {
                let name = lease.metadata.name.clone();
                let news = seen.lost.contains(&name);
                if news {
                    marks.add(&name);
                }
                seen.by_node.insert(name, (lease, now));
                news && seen.synced
            }
            Change::Gone(lease) => {
                seen.by_node.remove(&lease.metadata.name);
                false
            }
            Change::Synced => {
                seen.synced = true;
                true
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of this lock panics")
    }
}

/// A node came, or what it or somebody else says of its health changed.
pub(crate) fn node_matters(before: Option<&Node>, after: Option<&Node>) -> bool {
    let says = |node: &Node| {
        let conditions: Vec<(String, String)> =
            node.status.conditions.iter().map(|said| (said.r#type.clone(), said.status.clone())).collect();
        (node.metadata.uid.clone(), conditions, node.spec.taints.clone())
    };
    after.is_some() && before.map(says) != after.map(says)
}

/// A Pod on a node became ready, which it cannot be if the node is lost.
pub(crate) fn pod_matters(before: Option<&Pod>, after: Option<&Pod>) -> bool {
    after.is_some_and(is_ready) && !before.is_some_and(is_ready)
}

fn is_ready(pod: &Pod) -> bool {
    pod.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
}

/// The loop that judges nodes.
pub(crate) struct NodeHealth {
    cluster: Cluster,
    recorder: Recorder,
    caches: Caches,
    ledger: Ledger,
    now: Clock,
}

/// What is judged: Nodes, and Pods by the node that they are bound to.
pub(crate) struct Caches {
    pub(crate) nodes: Cache<Node>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) signs: Signs,
}

impl Caches {
    fn synced(&self) -> bool {
        self.nodes.synced() && self.pods.synced() && self.signs.held().synced
    }
}

/// When each node gave its last sign of life, when it has to be looked at again, and what has been touched since.
struct Ledger {
    marks: Marks,
    /// Nodes to look at. They stay until their writes are done.
    pending: BTreeSet<String>,
    heartbeats: Heartbeats,
    /// Ends of grace periods, the earliest first.
    ends: BTreeSet<(Timestamp, String)>,
    end_of: HashMap<String, Timestamp>,
    grace: SignedDuration,
}

impl Ledger {
    fn new(marks: Marks, grace: SignedDuration) -> Ledger {
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
    fn judge(&mut self, caches: &Caches, now: Timestamp) -> Vec<(String, NodeHealthPlan)> {
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
        // Only a lost node's Pods are of interest.
        let pods = if lost { caches.pods.group(&name) } else { Vec::new() };
        let plan = plan_node(&node, &plain(&pods), last_seen, self.grace, now);
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

impl NodeHealth {
    pub(crate) fn new(cluster: Cluster, caches: Caches, marks: Marks, grace: SignedDuration, now: Clock) -> NodeHealth {
        let recorder = Recorder::new(&cluster, "maitred-node-health");
        NodeHealth { cluster, recorder, caches, ledger: Ledger::new(marks, grace), now }
    }
}

impl Controller for NodeHealth {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        if !self.caches.synced() {
            return Ok(None);
        }
        let now = (self.now)();
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        for (node, plan) in self.ledger.judge(&self.caches, now) {
            if plan.taints.is_some() || plan.status.is_some() || !plan.pods.is_empty() {
                writes.push(Box::pin(write(&self.cluster, &self.recorder, node, plan)));
            }
        }
        let behind = carry_out_all(writes, now).await?;
        if behind.is_none() {
            self.ledger.pending.clear();
        }
        Ok(earlier(self.ledger.ends.first().map(|(end, _)| *end), behind))
    }
}

/// The Pods go first: that traffic leaves them is what matters most. The taints follow from a version of the node, so
/// they go before its status, which makes a new one.
async fn write(cluster: &Cluster, recorder: &Recorder, node: String, plan: NodeHealthPlan) -> Result<(), RequestError> {
    let mut results = Vec::new();
    for (pod, status) in &plan.pods {
        results.push(not_ready(cluster, pod, status).await);
    }
    if let Some(taints) = &plan.taints {
        results.push(cluster.patch::<Node>("", &node, taints).await.map(drop));
    }
    if let Some(status) = &plan.status {
        results.push(cluster.merge_status::<Node>("", &node, status).await.map(drop));
    }
    for event in &plan.events {
        tell(recorder, event).await;
    }
    results.into_iter().collect()
}

/// A Pod that is gone needs nothing more.
async fn not_ready(cluster: &Cluster, pod: &ObjectReference, status: &Value) -> Result<(), RequestError> {
    match cluster.merge_status::<Pod>(&pod.namespace, &pod.name, status).await {
        Err(error) if error.code() != Some(404) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
