//! Says of silent nodes and their Pods that they are lost, as [`lifecycle::node_health`] plans it.
//!
//! Thousands of Leases are renewed all the time. None of that wakes the loop: [`Signs`] notes when each renewal came,
//! and the loop sleeps until the first grace period that could be over. Only the renewal of a lost node wakes it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use api::{Lease, Node, ObjectReference, Pod};
use cluster::{Change, Cluster, Recorder, RequestError, Selection, reflect};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lifecycle::node_health::{Heartbeats, NodeHealthPlan, plan_node};
use runloop::Wake;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::cache::Cache;
use crate::drive::{Controller, Failure};
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
    pub(crate) fn follow(tasks: &mut JoinSet<()>, cluster: &Cluster, wake: &Wake, now: Clock) -> Signs {
        let signs = Signs::default();
        let selection = Selection { namespace: LEASES.to_owned(), ..Selection::default() };
        let mut changes = reflect::<Lease>(cluster, selection);
        let (book, wake) = (signs.clone(), wake.clone());
        tasks.spawn(async move {
            while let Some(change) = changes.recv().await {
                if book.note(change, now()) {
                    wake.wake();
                }
            }
        });
        signs
    }

    /// Takes in a change; is it news to the loop?
    fn note(&self, change: Change<Lease>, now: Timestamp) -> bool {
        let mut seen = self.held();
        match change {
            Change::Set(lease) => {
                let name = lease.metadata.name.clone();
                let news = seen.lost.contains(&name);
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
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    signs: Signs,
    heartbeats: Heartbeats,
    grace: SignedDuration,
    now: Clock,
}

impl NodeHealth {
    pub(crate) fn new(
        cluster: Cluster,
        (nodes, pods): (Cache<Node>, Cache<Pod>),
        signs: Signs,
        grace: SignedDuration,
        now: Clock,
    ) -> NodeHealth {
        let recorder = Recorder::new(&cluster, "maitred-node-health");
        NodeHealth { cluster, recorder, nodes, pods, signs, heartbeats: Heartbeats::default(), grace, now }
    }

    /// When each of these nodes last gave a sign of life, and which of them are lost by now.
    fn observe(&mut self, nodes: &[Arc<Node>], now: Timestamp) -> (Vec<Timestamp>, HashSet<String>) {
        let mut seen = self.signs.held();
        let names: HashSet<&str> = nodes.iter().map(|node| node.metadata.name.as_str()).collect();
        self.heartbeats.retain(|name| names.contains(name));
        let mut last_seen = Vec::with_capacity(nodes.len());
        for node in nodes {
            let known = seen.by_node.get(&node.metadata.name);
            let (lease, at) = known.map_or((None, now), |(lease, at)| (Some(lease.as_ref()), *at));
            last_seen.push(self.heartbeats.observe(node, lease, at));
        }
        let silent = |last: &Timestamp| now.duration_since(*last) > self.grace;
        let lost = nodes.iter().zip(&last_seen).filter(|(_, last)| silent(last));
        let lost: HashSet<String> = lost.map(|(node, _)| node.metadata.name.clone()).collect();
        seen.lost.clone_from(&lost);
        (last_seen, lost)
    }
}

impl Controller for NodeHealth {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let (Some(nodes), Some(pods)) = (self.nodes.objects(), self.pods.objects()) else { return Ok(None) };
        if !self.signs.held().synced {
            return Ok(None);
        }
        let now = (self.now)();
        let (last_seen, lost) = self.observe(&nodes, now);
        let on_lost = by_node(&pods, &lost);
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        let mut wake = None;
        for (node, last_seen) in nodes.iter().zip(last_seen) {
            let pods = on_lost.get(node.metadata.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let plan = plan_node(node, pods, last_seen, self.grace, now);
            wake = earlier(wake, plan.wake);
            if plan.taints.is_some() || plan.status.is_some() || !plan.pods.is_empty() {
                writes.push(Box::pin(write(&self.cluster, &self.recorder, &node.metadata.name, plan)));
            }
        }
        Ok(earlier(wake, carry_out_all(writes, now).await?))
    }
}

/// The Pods of lost nodes, by node.
fn by_node<'a>(pods: &'a [Arc<Pod>], lost: &HashSet<String>) -> HashMap<&'a str, Vec<&'a Pod>> {
    let mut by_node: HashMap<&str, Vec<&Pod>> = HashMap::new();
    if lost.is_empty() {
        return by_node;
    }
    for pod in pods.iter().filter(|pod| lost.contains(&pod.spec.node_name)) {
        by_node.entry(&pod.spec.node_name).or_default().push(pod);
    }
    by_node
}

/// The Pods go first: that traffic leaves them is what matters most. The taints follow from a version of the node, so
/// they go before its status, which makes a new one.
async fn write(cluster: &Cluster, recorder: &Recorder, node: &str, plan: NodeHealthPlan) -> Result<(), RequestError> {
    let mut results = Vec::new();
    for (pod, status) in &plan.pods {
        results.push(not_ready(cluster, pod, status).await);
    }
    if let Some(taints) = &plan.taints {
        results.push(cluster.patch::<Node>("", node, taints).await.map(drop));
    }
    if let Some(status) = &plan.status {
        results.push(cluster.merge_status::<Node>("", node, status).await.map(drop));
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
