//! Gives nodes their Pod ranges, as [`lifecycle::pod_ranges`] plans it.
//!
//! This loop is the only writer of the field. A cache may be behind its own writes, and a range that was given a moment
//! ago must not be given again: so it is planned on a fresh list, read only when a node is without ranges.

use std::collections::HashSet;

use api::Node;
use cluster::{Cluster, Recorder, RequestError};
use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::pod_ranges::{Outcome, Pool, plan_pod_ranges};
use serde_json::Value;

use crate::cache::Cache;
use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{carry_out_all, tell};

/// The loop that gives ranges to nodes.
pub(crate) struct PodRanges {
    cluster: Cluster,
    recorder: Recorder,
    nodes: Cache<Node>,
    pools: Vec<Pool>,
    now: Clock,
    /// Nodes (by uid) that were told that nothing is left for them.
    told: HashSet<String>,
}

/// A node needs ranges, or one goes and leaves its own to others.
pub(crate) fn node_matters(before: Option<&Node>, after: Option<&Node>) -> bool {
    match (before, after) {
        (None, Some(node)) => needs(node),
        (Some(before), Some(after)) => needs(after) && before.metadata.uid != after.metadata.uid,
        (_, None) => true,
    }
}

fn needs(node: &Node) -> bool {
    node.spec.pod_cidrs.is_empty() && node.metadata.deletion_timestamp.is_none()
}

impl PodRanges {
    pub(crate) fn new(cluster: Cluster, nodes: Cache<Node>, pools: Vec<Pool>, now: Clock) -> PodRanges {
        let recorder = Recorder::new(&cluster, "maitred-pod-ranges");
        PodRanges { cluster, recorder, nodes, pools, now, told: HashSet::new() }
    }
}

impl Controller for PodRanges {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let Some(nodes) = self.nodes.objects() else { return Ok(None) };
        if self.pools.is_empty() || !nodes.iter().any(|node| needs(node)) {
            self.told.clear();
            return Ok(None);
        }
        let listed = self.cluster.list::<Node>(None).await;
        let (nodes, _) = listed.map_err(|source| Failure::Read { what: "the nodes", source })?;
        let nodes: Vec<&Node> = nodes.iter().collect();
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        let mut exhausted = HashSet::new();
        for outcome in plan_pod_ranges(&nodes, &self.pools) {
            match outcome {
                Outcome::Assign { node, patch, .. } => writes.push(Box::pin(assign(&self.cluster, node.name, patch))),
                Outcome::Exhausted { node, event, .. } => {
                    if !self.told.contains(&node.uid) {
                        tell(&self.recorder, &event).await;
                    }
                    exhausted.insert(node.uid);
                }
            }
        }
        self.told = exhausted;
        carry_out_all(writes, (self.now)()).await
    }
}

async fn assign(cluster: &Cluster, node: String, patch: Value) -> Result<(), RequestError> {
    cluster.patch::<Node>("", &node, &patch).await.map(drop)
}
