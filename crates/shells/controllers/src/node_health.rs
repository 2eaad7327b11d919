//! Says of silent nodes, their Pods and their agents' endpoints that they are lost, as [`lifecycle::node_health`] plans it.
//!
//! Thousands of Leases are renewed all the time. None of that wakes the loop: [`Signs`] notes when each renewal came,
//! and the loop sleeps until the first grace period that could be over. Only the renewal of a lost node wakes it. A run
//! looks at the nodes that changed and at those whose grace period could be over, and at no others.

mod ledger;
mod signs;

use api::{EndpointSlice, Node, Pod};
use cluster::{Cluster, Recorder, RequestError, Selection};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lifecycle::node_health::{NodeHealthPlan, agents_slices, node_of};
use runloop::Wake;
use tokio::task::JoinSet;

use crate::cache::{Cache, Interest};
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

/// An agent's endpoint became ready, which it cannot be if the node is lost.
fn slice_matters(before: Option<&EndpointSlice>, after: Option<&EndpointSlice>) -> bool {
    let leads_on = |slice: &EndpointSlice| slice.endpoints.iter().any(|one| one.conditions.ready != Some(false));
    after.is_some_and(leads_on) && !before.is_some_and(leads_on)
}

/// Follows the slices that agents write, by the nodes that they speak of, and no others.
pub(crate) fn follow_slices(
    tasks: &mut JoinSet<()>,
    cluster: &Cluster,
    (wake, marks): (&Wake, &Marks),
) -> Cache<EndpointSlice> {
    let selection = Selection { labels: agents_slices(), ..Selection::default() };
    let interest = Interest::new(wake, slice_matters).marking(marks, node_of);
    Cache::new(Some(node_of)).filled(tasks, cluster, selection, vec![interest])
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
            if !plan.is_empty() {
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

/// What leads traffic to the node goes first, for that is what matters most: its agent's endpoints, of which there are one
/// or two, and then its Pods. The taints follow from a version of the node, so they go before its status, which makes a new
/// one.
async fn write(cluster: &Cluster, recorder: &Recorder, node: String, plan: NodeHealthPlan) -> Result<(), RequestError> {
    let mut results = Vec::new();
    for (slice, patch) in &plan.slices {
        results.push(unless_gone(cluster.patch::<EndpointSlice>(&slice.namespace, &slice.name, patch).await));
    }
    for (pod, status) in &plan.pods {
        results.push(unless_gone(cluster.merge_status::<Pod>(&pod.namespace, &pod.name, status).await));
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

/// What is gone needs nothing more.
fn unless_gone<T>(result: Result<T, RequestError>) -> Result<(), RequestError> {
    match result {
        Err(error) if error.code() != Some(404) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
