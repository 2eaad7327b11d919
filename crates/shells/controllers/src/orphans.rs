//! Deletes Pods whose node no longer exists, as [`lifecycle::orphans`] plans it.

use std::collections::BTreeSet;

use api::{Node, Pod};
use cluster::{Cluster, RequestError};
use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::orphans::{Away, Orphan, plan_orphans};
use serde_json::json;

use crate::cache::{Cache, plain};
use crate::drive::{Controller, Failure};
use crate::marks::Marks;
use crate::start::Clock;
use crate::writes::{carry_out_all, earlier};

/// The loop that deletes them. It looks at nodes that came, went or got a Pod, and at no others.
pub(crate) struct Orphans {
    cluster: Cluster,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    marks: Marks,
    away: Away,
    now: Clock,
}

/// A node came or went.
pub(crate) fn node_matters(before: Option<&Node>, after: Option<&Node>) -> bool {
    before.is_some() != after.is_some()
}

/// A Pod was bound.
pub(crate) fn pod_matters(before: Option<&Pod>, after: Option<&Pod>) -> bool {
    let node = |pod: &Pod| pod.spec.node_name.clone();
    after.is_some_and(|pod| !pod.spec.node_name.is_empty()) && before.map(node) != after.map(node)
}

impl Orphans {
    pub(crate) fn new(cluster: Cluster, (nodes, pods): (Cache<Node>, Cache<Pod>), marks: Marks, now: Clock) -> Orphans {
        Orphans { cluster, nodes, pods, marks, away: Away::default(), now }
    }

    /// Sorts what was touched into nodes that are there and those that are away but have Pods.
    fn look(&mut self, touched: BTreeSet<String>, now: Timestamp) {
        for node in touched {
            if self.nodes.get(&node).is_none() && !self.pods.group(&node).is_empty() {
                self.away.note(&node, now);
            } else {
                self.away.forget(&node);
            }
        }
    }

    /// Whether the server says so, too: the cache may be behind, and nothing brings back a Pod that was deleted.
    async fn is_gone(&self, node: &str) -> Result<bool, Failure> {
        match self.cluster.get::<Node>("", node).await {
            Ok(_) => Ok(false),
            Err(error) if error.code() == Some(404) => Ok(true),
            Err(source) => Err(Failure::Read { what: "a node", source }),
        }
    }
}

impl Controller for Orphans {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        if !(self.nodes.synced() && self.pods.synced()) {
            return Ok(None);
        }
        let now = (self.now)();
        let touched = self.marks.take();
        self.look(touched, now);
        let (due, wake) = self.away.due(now);
        let mut orphans = Vec::new();
        for node in &due {
            if self.is_gone(node).await? {
                orphans.extend(plan_orphans(&plain(&self.pods.group(node)), now));
            }
        }
        let writes = orphans.into_iter().map(|orphan| Box::pin(end(&self.cluster, orphan)) as BoxFuture<'_, _>);
        let behind = carry_out_all(writes.collect(), now).await?;
        // What failed above is due again at the next run; what is done is looked at again when a Pod is bound there.
        if behind.is_none() {
            due.iter().for_each(|node| self.away.forget(node));
        }
        Ok(earlier(wake, behind))
    }
}

/// Says that the Pod failed, and deletes it without waiting for anybody.
async fn end(cluster: &Cluster, orphan: Orphan) -> Result<(), RequestError> {
    let pod = &orphan.pod;
    if let Some(status) = &orphan.status {
        cluster.merge_status::<Pod>(&pod.namespace, &pod.name, status).await?;
    }
    let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": pod.uid } });
    cluster.delete::<Pod>(&pod.namespace, &pod.name, Some(&options)).await
}
