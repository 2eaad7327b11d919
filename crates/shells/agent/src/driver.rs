//! The agent's main loop: from changes of Pods and Nodes to one task per Pod, and to routes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use api::{Node, Resource};
use cluster::{Change, Cluster, Recorder, Selection, Subject, reflect};
use kernel::netns::{Namespace, NamespaceError};
use pods::{Means, Place};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::pod::{self, Message, PodObject};
use crate::ranges::Ranges;
use crate::{Config, network, node, routes};

/// Messages that wait for a Pod's task.
const QUEUE: usize = 256;

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A directory of its own.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The node's network.
    #[error("cannot use the node's network")]
    Network(#[source] NamespaceError),
}

/// What all tasks of an agent share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) cluster: Cluster,
    pub(crate) recorder: Recorder,
    pub(crate) ranges: Ranges,
    /// The node's network.
    pub(crate) network: Namespace,
    pub(crate) means: Means,
    pub(crate) place: Place,
}

/// Starts the agent in the caller's network namespace and tokio runtime. It ends when `stop` is set or dropped; Pods go on
/// without it.
pub fn start(config: Config, cluster: &Cluster, stop: watch::Receiver<bool>) -> Result<JoinHandle<()>, AgentError> {
    for path in [&config.run_dir, &config.log_dir] {
        // Nobody but the agent may speak to the Pods' parents.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| AgentError::Directory { path: path.clone(), source })?;
    }
    let shared = Arc::new(Shared {
        cluster: cluster.clone(),
        recorder: Recorder::new(cluster, "maitred-agent"),
        ranges: Ranges::default(),
        network: Namespace::current().map_err(AgentError::Network)?,
        means: config.means(),
        place: Place { host_ips: config.node_addresses.clone() },
        config,
    });
    pod::keep_addresses(&shared);
    let driver =
        Driver { shared, tasks: HashMap::new(), current: HashMap::new(), nodes: BTreeMap::new(), routes: None };
    Ok(tokio::spawn(async move {
        tokio::select! {
            () = driver.run() => {}
            () = stopped(stop) => {}
        }
    }))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

struct Driver {
    shared: Arc<Shared>,
    /// The Pods' tasks, by uid.
    tasks: HashMap<String, mpsc::Sender<Message>>,
    /// The uid that a namespace and name stand for.
    current: HashMap<String, String>,
    nodes: BTreeMap<String, Arc<Node>>,
    /// The routes as last applied.
    routes: Option<routes::Plan>,
}

impl Driver {
    async fn run(mut self) {
        let fields = format!("spec.nodeName={}", self.shared.config.node_name);
        let mut pods = reflect::<PodObject>(&self.shared.cluster, Selection { fields, ..Selection::default() });
        let mut nodes = reflect::<Node>(&self.shared.cluster, Selection::default());
        // Dropped with this future, and all tasks with it.
        let mut running: JoinSet<Option<String>> = JoinSet::new();
        let (own_node, seen) = watch::channel(None);
        running.spawn({
            let shared = self.shared.clone();
            async move {
                node::keep(shared, seen).await;
                None
            }
        });
        loop {
            tokio::select! {
                Some(change) = pods.recv() => self.pod(change, &mut running).await,
                Some(change) = nodes.recv() => {
                    self.node(change, &own_node);
                    self.route().await;
                }
                Some(Ok(Some(uid))) = running.join_next() => {
                    self.tasks.remove(&uid);
                    self.current.retain(|_, current| *current != uid);
                }
                else => return,
            }
        }
    }

    async fn pod(&mut self, change: Change<PodObject>, running: &mut JoinSet<Option<String>>) {
        match change {
            Change::Set(object) => {
                let uid = object.metadata.uid.clone();
                let before = self.current.insert(object.metadata.key(), uid.clone());
                if let Some(before) = before.filter(|before| *before != uid) {
                    self.tell(&before, Message::Gone).await;
                }
                if !self.tasks.contains_key(&uid) {
                    let (inbox, messages) = mpsc::channel(QUEUE);
                    self.tasks.insert(uid.clone(), inbox.clone());
                    let (shared, object) = (self.shared.clone(), object.clone());
                    running.spawn(async move {
                        pod::run(shared, object, inbox, messages).await;
                        Some(uid)
                    });
                } else {
                    self.tell(&uid, Message::Object(object)).await;
                }
            }
            Change::Gone(object) => self.tell(&object.metadata.uid, Message::Gone).await,
            Change::Synced => {
                let known = self.tasks.keys().cloned().collect();
                pod::end_strangers(&self.shared, &known).await;
            }
        }
    }

    async fn tell(&self, uid: &str, message: Message) {
        if let Some(task) = self.tasks.get(uid) {
            // Fails only if the task has just ended.
            let _ = task.send(message).await;
        }
    }

    fn node(&mut self, change: Change<Node>, own_node: &watch::Sender<Option<Arc<Node>>>) {
        let own = &self.shared.config.node_name;
        match change {
            Change::Set(node) => {
                if node.metadata().name == *own {
                    self.shared.ranges.set(&node.spec.pod_cidrs);
                    if let Err(error) = network::forward(&self.shared.network, &node.spec.pod_cidrs) {
                        tracing::error!(error = runloop::chain(&error), "the node does not forward packets");
                    }
                    own_node.send_replace(Some(node.clone()));
                }
                self.nodes.insert(node.metadata.name.clone(), node);
            }
            Change::Gone(node) => {
                if node.metadata().name == *own {
                    own_node.send_replace(None);
                }
                self.nodes.remove(&node.metadata.name);
            }
            Change::Synced => {}
        }
    }

    /// Brings the routes up to date, and tells of nodes that cannot be reached by one.
    async fn route(&mut self) {
        let (links, own) = (self.shared.network.links(), &self.shared.config.node_name);
        let planned = routes::on_link(links).and_then(|on_link| {
            let plan = routes::plan(self.nodes.values().map(AsRef::as_ref), own, &on_link);
            if self.routes.as_ref() != Some(&plan) {
                routes::apply(&plan, links)?;
            }
            Ok(plan)
        });
        match planned {
            Err(error) => {
                self.routes = None;
                tracing::error!(error = runloop::chain(&error), "routes to other nodes could not be set");
            }
            Ok(plan) => {
                let known = self.routes.take().unwrap_or_default().out_of_reach;
                for name in plan.out_of_reach.difference(&known) {
                    self.out_of_reach(name).await;
                }
                self.routes = Some(plan);
            }
        }
    }

    async fn out_of_reach(&self, name: &str) {
        let own = &self.shared.config.node_name;
        let uid = self.nodes.get(own).map(|node| node.metadata.uid.clone()).unwrap_or_default();
        let subject = Subject { kind: "Node", namespace: String::new(), name: own.clone(), uid };
        let message = format!("Node {name} is not on a link of this node: its Pods cannot be reached from here");
        self.shared.recorder.record(&subject, "Warning", "NodeNotOnLink", &message).await;
    }
}
