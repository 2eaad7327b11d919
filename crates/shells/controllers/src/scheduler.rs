//! Binds Pods to nodes, as [`lifecycle::schedule`] plans it.
//!
//! A run looks at the Pods that wait, and counts anew only those of nodes where a Pod came, ended or went.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use api::{Node, ObjectReference, Pod};
use cluster::{Cluster, Recorder, RequestError, path};
use futures::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use lifecycle::schedule::{Inputs, News, Outcome, burdens, plan_bindings};
use serde_json::{Value, json};

use crate::cache::{Cache, plain};
use crate::drive::{Controller, Failure};
use crate::marks::Marks;
use crate::start::Clock;
use crate::writes::{all, tell, verdict};

/// The scheduler.
pub(crate) struct Scheduler {
    cluster: Cluster,
    recorder: Recorder,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    /// Nodes whose Pods are to be counted anew.
    recount: Marks,
    /// How many Pods burden each node.
    load: BTreeMap<String, usize>,
    now: Clock,
    /// Pods (by uid) that we bound and that the cache still shows without a node: they count as bound.
    bound: HashMap<String, String>,
}

/// The name that Pods without a node count under.
const NO_NODE: &str = "";

/// A node has a Pod more or less to bear.
pub(crate) fn load_matters(before: Option<&Pod>, after: Option<&Pod>) -> bool {
    let node = |pod: Option<&Pod>| pod.filter(|pod| burdens(pod)).map(|pod| pod.spec.node_name.clone());
    node(before) != node(after)
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
    /// `recount` is marked with the nodes of Pods whose change [`load_matters`].
    pub(crate) fn new(
        cluster: Cluster,
        (pods, nodes): (Cache<Pod>, Cache<Node>),
        recount: Marks,
        now: Clock,
    ) -> Scheduler {
        let recorder = Recorder::new(&cluster, "maitred-scheduler");
        Scheduler { cluster, recorder, pods, nodes, recount, load: BTreeMap::new(), now, bound: HashMap::new() }
    }

    /// The Pods that wait for a node. Counts what changed, with the Pods that we bound, and forgets those that the cache
    /// shows so by now.
    fn observe(&mut self) -> (Vec<Arc<Pod>>, BTreeMap<String, usize>) {
        let mut groups = self.pods.groups(|| {
            let mut names = self.recount.take();
            names.insert(NO_NODE.to_owned());
            names
        });
        let mut waiting = groups.remove(NO_NODE).unwrap_or_default();
        for (node, pods) in groups {
            match pods.iter().filter(|pod| burdens(pod)).count() {
                0 => drop(self.load.remove(&node)),
                count => drop(self.load.insert(node, count)),
            }
        }
        waiting.retain(|pod| waits(pod));
        let uids: HashSet<&str> = waiting.iter().map(|pod| pod.metadata.uid.as_str()).collect();
        self.bound.retain(|uid, _| uids.contains(uid.as_str()));
        waiting.retain(|pod| !self.bound.contains_key(&pod.metadata.uid));
        let mut load = self.load.clone();
        for node in self.bound.values() {
            *load.entry(node.clone()).or_default() += 1;
        }
        (waiting, load)
    }
}

/// What became of a write, and the uid of the Pod if the write was to bind it.
type Written = (Option<String>, Result<(), RequestError>);

impl Controller for Scheduler {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let Some(nodes) = self.nodes.objects().filter(|_| self.pods.synced()) else { return Ok(None) };
        let (waiting, load) = self.observe();
        if waiting.is_empty() {
            return Ok(None);
        }
        let now = (self.now)();
        let (waiting, nodes) = (plain(&waiting), plain(&nodes));
        let mut writes: Vec<BoxFuture<'_, Written>> = Vec::new();
        for outcome in plan_bindings(&Inputs { waiting: &waiting, load: &load, nodes: &nodes, now }) {
            match outcome {
                Outcome::Bind { pod, node } => {
                    self.bound.insert(pod.uid.clone(), node.clone());
                    let cluster = &self.cluster;
                    writes.push(Box::pin(async move { (Some(pod.uid.clone()), bind(cluster, pod, node).await) }));
                }
                Outcome::Wait { pod, news: Some(news), .. } => {
                    let (cluster, recorder) = (&self.cluster, &self.recorder);
                    writes.push(Box::pin(async move { (None, publish(cluster, recorder, pod, news).await) }));
                }
                Outcome::Wait { news: None, .. } => {}
            }
        }
        let mut results = Vec::new();
        for (uid, result) in all(writes).await {
            // Whatever the server says against it, this Pod was not bound by us: it counts again as the cache shows it.
            if let (Some(uid), Err(_)) = (uid, &result) {
                self.bound.remove(&uid);
            }
            results.push(result);
        }
        verdict(results, now)
    }
}

/// A refusal, 409, can mean that the Pod was bound or deleted meanwhile, which the cache will show, or that others wrote
/// it all the time: then it waits still.
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
