//! The agent's main loop: from changes of Pods and Nodes to one task per Pod, and to the ways of their packets.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{Namespace, Node, Resource, ServiceCidr};
use cluster::{Change, Cluster, Recorder, Selection, Subject, reflect};
use ipnet::IpNet;
use kernel::netlink::NetlinkError;
use kernel::netns::{self, NamespaceError};
use pods::{Means, Place};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::claim::{Claim, Owner};
use crate::paths::Paths;
use crate::pod::{self, PodObject, Told};
use crate::ranges::Ranges;
use crate::{Config, dns_slices, network, node};

/// The pause after a request that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How often routes are compared with the machine's without a reason.
const REPAIR_EVERY: Duration = Duration::from_secs(60);

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
    /// Another agent is at work there.
    #[error("another agent runs Pods in {}: stop it, or give another directory by --run-dir", dir.display())]
    Taken {
        /// The run directory.
        dir: PathBuf,
    },
    /// The Pods there belong to somebody else.
    #[error(
        "the Pods in {} are those of node {node}, or of another cluster of that name: start its agent, end them by \
         `maitred cleanup --pods`, or give another directory by --run-dir",
        dir.display()
    )]
    OthersPods {
        /// The run directory.
        dir: PathBuf,
        /// The node that ran them.
        node: String,
    },
    /// A part of the agent has panicked; Pods live on.
    #[error("a part of the agent failed")]
    Failed(#[source] tokio::task::JoinError),
    /// nftables, for the masquerading of Pods' traffic.
    #[error("nftables cannot be reached: the kernel needs nf_tables, the process CAP_NET_ADMIN")]
    Nftables(#[source] NetlinkError),
}

/// What all tasks of an agent share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) cluster: Cluster,
    pub(crate) recorder: Recorder,
    pub(crate) ranges: Ranges,
    /// The node's network.
    pub(crate) network: netns::Namespace,
    pub(crate) means: Means,
    pub(crate) place: Place,
}

/// A running agent.
#[derive(Debug)]
pub struct Running {
    /// Ends when the agent does; with an error if it was not asked to.
    pub task: JoinHandle<Result<(), AgentError>>,
    /// How things stand.
    pub status: watch::Receiver<Status>,
    /// What the node's slices of `kube-dns` say: nothing before they were written, then whether its server answers.
    pub dns_published: watch::Receiver<Option<bool>>,
}

/// How things stand on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The Node object's name.
    pub node: String,
    /// The ranges of its Pods; none before the control plane has given them.
    pub pod_ranges: Vec<String>,
    /// How many Pods it runs or refuses to run.
    pub pods: usize,
    /// Nodes whose Pods cannot be reached, since they are on no link of this node.
    pub out_of_reach: BTreeSet<String>,
}

/// Starts the agent in the caller's network namespace and tokio runtime. It ends when `stop` is set or dropped; Pods go on
/// without it.
pub fn start(config: Config, cluster: &Cluster, stop: watch::Receiver<bool>) -> Result<Running, AgentError> {
    for path in [&config.run_dir, &config.log_dir] {
        // Nobody but the agent may speak to the Pods' parents.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| AgentError::Directory { path: path.clone(), source })?;
    }
    let shared = Arc::new(Shared {
        cluster: cluster.clone(),
        recorder: Recorder::new(cluster, "maitred-agent"),
        ranges: Ranges::default(),
        network: netns::Namespace::current().map_err(AgentError::Network)?,
        means: config.means(),
        place: Place { host_ips: config.node_addresses.clone() },
        config,
    });
    let claim = Claim::take(&shared.config.run_dir)?;
    pod::keep_addresses(&shared);
    let (out_of_reach, reach) = watch::channel(BTreeSet::new());
    let (shown, status) = watch::channel(Status { node: shared.config.node_name.clone(), ..Status::default() });
    let (published, dns_published) = watch::channel(None);
    let paths = Paths::open(shared.clone(), out_of_reach).map_err(AgentError::Nftables)?;
    let driver = Driver { shared, tasks: HashMap::new(), current: HashMap::new(), paths, reach, shown };
    let task = tokio::spawn(async move {
        tokio::select! {
            result = driver.run(claim, published) => result,
            () = stopped(stop) => Ok(()),
        }
    });
    Ok(Running { task, status, dns_published })
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

struct Driver {
    shared: Arc<Shared>,
    /// The Pods' tasks, by uid.
    tasks: HashMap<String, watch::Sender<Told>>,
    /// The uid that a namespace and name stand for.
    current: HashMap<String, String>,
    paths: Paths,
    /// The nodes that no route leads to.
    reach: watch::Receiver<BTreeSet<String>>,
    shown: watch::Sender<Status>,
}

impl Driver {
    async fn run(mut self, claim: Claim, published: watch::Sender<Option<bool>>) -> Result<(), AgentError> {
        claim.check(&self.owner().await)?;
        let fields = format!("spec.nodeName={}", self.shared.config.node_name);
        let mut pods = reflect::<PodObject>(&self.shared.cluster, Selection { fields, ..Selection::default() });
        let mut nodes = reflect::<Node>(&self.shared.cluster, Selection::default());
        let mut service_cidrs = reflect::<ServiceCidr>(&self.shared.cluster, Selection::default());
        // Dropped with this future, and all tasks with it.
        let mut running: JoinSet<Option<String>> = JoinSet::new();
        let (own_node, seen) = watch::channel(None);
        self.spawn_keepers(&mut running, &seen, published);
        let mut repair = tokio::time::interval(REPAIR_EVERY);
        loop {
            tokio::select! {
                Some(change) = pods.recv() => self.pod(change, &mut running),
                Some(change) = nodes.recv() => {
                    self.node(change, &own_node);
                    self.update_paths(&mut running);
                }
                Some(change) = service_cidrs.recv() => {
                    self.service_cidr(change);
                    self.update_paths(&mut running);
                }
                _ = repair.tick() => {
                    self.forward(&self.shared.ranges.ranges());
                    self.paths.forget();
                    self.update_paths(&mut running);
                }
                Some(ended) = running.join_next() => {
                    if let Some(uid) = ended.map_err(AgentError::Failed)? {
                        self.tasks.remove(&uid);
                        self.current.retain(|_, current| *current != uid);
                    }
                }
                else => return Ok(()),
            }
            self.show();
        }
    }

    /// Whose Pods these are, as soon as the API says which cluster it is.
    async fn owner(&self) -> Owner {
        loop {
            match self.shared.cluster.get::<Namespace>("", "kube-system").await {
                Ok(namespace) => {
                    let cluster = namespace.metadata.uid.clone();
                    return Owner { node: self.shared.config.node_name.clone(), cluster };
                }
                Err(error) => {
                    tracing::warn!(%error, "the API server does not say which cluster it is; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Starts what keeps the node's own objects.
    fn spawn_keepers(
        &self,
        running: &mut JoinSet<Option<String>>,
        seen: &watch::Receiver<Option<Arc<Node>>>,
        published: watch::Sender<Option<bool>>,
    ) {
        let (shared, own, reach) = (self.shared.clone(), seen.clone(), self.reach.clone());
        running.spawn(async move {
            node::keep(shared, own, reach).await;
            None
        });
        if let Some(dns) = self.shared.config.dns.clone() {
            let (shared, own) = (self.shared.clone(), seen.clone());
            running.spawn(async move {
                dns_slices::keep(shared, dns, own, published).await;
                None
            });
        }
    }

    fn show(&self) {
        let status = Status {
            node: self.shared.config.node_name.clone(),
            pod_ranges: self.shared.ranges.ranges().iter().map(ToString::to_string).collect(),
            pods: self.tasks.len(),
            out_of_reach: self.reach.borrow().clone(),
        };
        self.shown.send_if_modified(|shown| std::mem::replace(shown, status.clone()) != status);
    }

    fn pod(&mut self, change: Change<PodObject>, running: &mut JoinSet<Option<String>>) {
        match change {
            Change::Set(object) => {
                let uid = object.metadata.uid.clone();
                let before = self.current.insert(object.metadata.key(), uid.clone());
                if let Some(before) = before.filter(|before| *before != uid) {
                    self.tell_gone(&before);
                }
                match self.tasks.get(&uid) {
                    Some(task) => task.send_modify(|told| told.object = object),
                    None => self.run_pod(uid, object, running),
                }
            }
            Change::Gone(object) => self.tell_gone(&object.metadata.uid),
            Change::Synced => {
                let known = self.tasks.keys().cloned().collect();
                let (shared, strangers) = (self.shared.clone(), pod::strangers(&self.shared, &known));
                running.spawn(async move {
                    pod::end_strangers(shared, strangers).await;
                    None
                });
            }
        }
    }

    fn run_pod(&mut self, uid: String, object: Arc<PodObject>, running: &mut JoinSet<Option<String>>) {
        let (tell, told) = watch::channel(Told { object, gone: false });
        self.tasks.insert(uid.clone(), tell);
        let shared = self.shared.clone();
        running.spawn(async move {
            pod::run(shared, told).await;
            Some(uid)
        });
    }

    fn tell_gone(&self, uid: &str) {
        if let Some(task) = self.tasks.get(uid) {
            task.send_modify(|told| told.gone = true);
        }
    }

    fn node(&mut self, change: Change<Node>, own_node: &watch::Sender<Option<Arc<Node>>>) {
        let own = &self.shared.config.node_name;
        match change {
            Change::Set(node) => {
                let name = node.metadata.name.clone();
                if name == *own {
                    self.shared.ranges.set(&node.spec.pod_cidrs);
                    self.forward(&node.spec.pod_cidrs);
                    own_node.send_replace(Some(node.clone()));
                }
                self.paths.set_node(&name, Some(node));
            }
            Change::Gone(node) => {
                if node.metadata().name == *own {
                    own_node.send_replace(None);
                }
                self.paths.set_node(&node.metadata.name, None);
            }
            Change::Synced => {}
        }
    }

    fn forward(&self, ranges: &[IpNet]) {
        if let Err(error) = network::forward(&self.shared.network, ranges) {
            tracing::error!(error = runloop::chain(&error), "the node does not forward packets");
        }
    }

    fn service_cidr(&mut self, change: Change<ServiceCidr>) {
        match change {
            Change::Set(cidr) => self.paths.set_service_cidr(&cidr.metadata.name.clone(), Some(cidr)),
            Change::Gone(cidr) => self.paths.set_service_cidr(&cidr.metadata.name, None),
            Change::Synced => {}
        }
    }

    /// Brings the ways of packets up to date, and has somebody tell of nodes that cannot be reached: Pods must not wait for
    /// the API to hear of that.
    fn update_paths(&mut self, running: &mut JoinSet<Option<String>>) {
        for name in self.paths.update() {
            let own = &self.shared.config.node_name;
            let uid = self.paths.uid_of(own).unwrap_or_default().to_owned();
            let subject = Subject { kind: "Node", namespace: String::new(), name: own.clone(), uid };
            let message = format!("Node {name} is not on a link of this node: its Pods cannot be reached from here");
            let recorder = self.shared.recorder.clone();
            running.spawn(async move {
                recorder.record(&subject, "Warning", "NodeNotOnLink", &message).await;
                None
            });
        }
    }
}
