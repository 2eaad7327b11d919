//! Binds Pods to nodes, as [`lifecycle::schedule`] plans it.

use std::collections::HashMap;
use std::sync::Arc;

use api::{Node, ObjectReference, Pod};
use cluster::{Cluster, Recorder, RequestError, path};
use futures::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use lifecycle::schedule::{News, Outcome, plan_bindings};
use serde_json::{Value, json};

use crate::cache::{Cache, plain};
use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{carry_out_all, tell};

/// The scheduler.
pub(crate) struct Scheduler {
    cluster: Cluster,
    recorder: Recorder,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    now: Clock,
    /// Pods (by uid) that we bound and that the cache still shows without a node: they count as bound.
    bound: HashMap<String, String>,
}

/// A Pod came to wait for a node.
pub(crate) fn pod_matters(before: Option<&Pod>, after: Option<&Pod>) -> bool {
    let Some(after) = after.filter(|pod| waits(pod)) else { return false };
    before.is_none_or(|before| {
        before.metadata.uid != after.metadata.uid
            || before.metadata.labels != after.metadata.labels
            || before.spec != after.spec
    })
}

/// A node came, or what Pods ask of it changed.
pub(crate) fn node_matters(before: Option<&Node>, after: Option<&Node>) -> bool {
    let asked = |node: &Node| {
        let ready = |node: &Node| {
            node.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
        };
        let deleting = node.metadata.deletion_timestamp.is_some();
        (node.metadata.labels.clone(), node.spec.taints.clone(), node.spec.unschedulable, ready(node), deleting)
    };
    before.map(asked) != after.map(asked)
}

fn waits(pod: &Pod) -> bool {
    pod.spec.node_name.is_empty() && pod.metadata.deletion_timestamp.is_none()
}

impl Scheduler {
    pub(crate) fn new(cluster: Cluster, pods: Cache<Pod>, nodes: Cache<Node>, now: Clock) -> Scheduler {
        let recorder = Recorder::new(&cluster, "maitred-scheduler");
        Scheduler { cluster, recorder, pods, nodes, now, bound: HashMap::new() }
    }

    /// Shows the Pods that we bound as bound, and forgets those that the cache shows so by now.
    fn overlay(&mut self, pods: &mut [Arc<Pod>]) {
        let mut bound = HashMap::new();
        for pod in pods.iter_mut().filter(|pod| waits(pod)) {
            if let Some((uid, node)) = self.bound.remove_entry(&pod.metadata.uid) {
                Arc::make_mut(pod).spec.node_name.clone_from(&node);
                bound.insert(uid, node);
            }
        }
        self.bound = bound;
    }
}

impl Controller for Scheduler {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let (Some(mut pods), Some(nodes)) = (self.pods.objects(), self.nodes.objects()) else { return Ok(None) };
        self.overlay(&mut pods);
        if !pods.iter().any(|pod| waits(pod)) {
            return Ok(None);
        }
        let now = (self.now)();
        let outcomes = plan_bindings(&plain(&pods), &plain(&nodes), now);
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Bind { pod, node } => {
                    self.bound.insert(pod.uid.clone(), node.clone());
                    writes.push(Box::pin(bind(&self.cluster, pod, node)));
                }
                Outcome::Wait { pod, news: Some(news), .. } => {
                    writes.push(Box::pin(publish(&self.cluster, &self.recorder, pod, news)));
                }
                Outcome::Wait { news: None, .. } => {}
            }
        }
        let done = carry_out_all(writes, now).await;
        if done.is_err() {
            // What failed must not count as bound; what did not will be refused as bound already.
            self.bound.clear();
        }
        done.map(|_| None)
    }
}

/// A refusal means that the Pod was bound or deleted meanwhile: the cache will show it.
async fn bind(cluster: &Cluster, pod: ObjectReference, node: String) -> Result<(), RequestError> {
    let path = format!("{}/binding", path::<Pod>(&pod.namespace, &pod.name));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": pod.name, "namespace": pod.namespace, "uid": pod.uid },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let _: Value = cluster.send(Method::POST, &path, "application/json", Some(&binding)).await?;
    Ok(())
}

async fn publish(cluster: &Cluster, recorder: &Recorder, pod: ObjectReference, news: News) -> Result<(), RequestError> {
    cluster.merge_status::<Pod>(&pod.namespace, &pod.name, &news.status).await?;
    if let Some(event) = &news.event {
        tell(recorder, event).await;
    }
    Ok(())
}
