//! Says of silent nodes and their Pods that they are lost, as [`lifecycle::node_health`] plans it.
//!
//! Thousands of Leases are renewed all the time. None of that wakes the loop: [`Signs`] notes when each renewal came,
//! and the loop sleeps until the first grace period that could be over. Only the renewal of a lost node wakes it. A run
//! looks at the nodes that changed and at those whose grace period could be over, and at no others.

mod ledger;
mod signs;

use api::{Node, ObjectReference, Pod};
use cluster::{Cluster, Recorder, RequestError};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lifecycle::node_health::NodeHealthPlan;
use serde_json::Value;

use crate::drive::{Controller, Failure};
use crate::marks::Marks;
use crate::start::Clock;
use crate::writes::{carry_out_all, earlier, tell};
pub(crate) use ledger::Caches;
use ledger::Ledger;
pub(crate) use signs::Signs;

/// A node came or went, or what it or somebody else says of its health changed.
pub(crate) fn node_matters(before: Option<&Node>, after: Option<&Node>) -> bool {
    let says = |node: &Node| {
        let conditions: Vec<(String, String)> =
            node.status.conditions.iter().map(|said| (said.r#type.clone(), said.status.clone())).collect();
        (node.metadata.uid.clone(), conditions, node.spec.taints.clone())
    };
    before.map(says) != after.map(says)
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
