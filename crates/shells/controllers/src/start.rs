//! Starting all loops, stopping them, and showing how they go.

use std::sync::Arc;
use std::time::Duration;

use api::{IpAddress, Namespace, Node, Pod, Service, ServiceCidr};
use cluster::{Cluster, Selection};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use lifecycle::expiry::TTL_DEFAULT;
use lifecycle::node_health::GRACE_DEFAULT;
use lifecycle::pod_ranges::{Pool, PoolError};
use runloop::{LastRun, Timing, Wake};
use slices::SLICE_LEN_DEFAULT;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cache::{Cache, Interest, Named};
use crate::drive::{Controller, drive};
use crate::marks::Marks;
use crate::ports::{self, Ports};
use crate::{
    addresses, endpoints, expiry, garbage, namespaces, node_health, orphans, pod_ranges, scheduler, service_cidrs,
};

/// Tells the time; a test brings its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What can be configured.
#[derive(Clone)]
pub struct Settings {
    /// Endpoints per slice, 1 to 1000 (S-212).
    pub slice_len_max: usize,
    /// How long a node may be silent before it counts as lost.
    pub node_grace: SignedDuration,
    /// What nodes' Pod ranges are taken from, at most one pool per family; empty gives none.
    pub pod_pools: Vec<Pool>,
    /// The ranges of the default ServiceCIDR, the primary family first (S-143); empty leaves it alone, for clusters
    /// whose API server sees to it.
    pub service_ranges: Vec<IpNet>,
    /// How long an Event lives after it was last told (`--event-ttl`).
    pub event_ttl: SignedDuration,
    /// How node ports are checked; `None` where another process serves the API.
    pub ports: Option<Ports>,
    /// How long the check of cluster IPs lets changes settle, so that many of them are one check.
    pub settle: Duration,
    /// The time.
    pub now: Clock,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            slice_len_max: SLICE_LEN_DEFAULT,
            node_grace: GRACE_DEFAULT,
            pod_pools: Pool::defaults().to_vec(),
            service_ranges: Vec::new(),
            event_ttl: TTL_DEFAULT,
            ports: None,
            settle: Duration::from_secs(1),
            now: Arc::new(Timestamp::now),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Settings")
            .field("slice_len_max", &self.slice_len_max)
            .field("node_grace", &self.node_grace)
            .field("pod_pools", &self.pod_pools)
            .field("service_ranges", &self.service_ranges)
            .field("event_ttl", &self.event_ttl)
            .field("ports", &self.ports.as_ref().map(|ports| &ports.range))
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

/// The pools for these cluster ranges (`--cluster-cidr`): each node gets a /24 of IPv4 and a /64 of IPv6.
pub fn pod_pools(ranges: &[IpNet]) -> Result<Vec<Pool>, PoolError> {
    ranges.iter().map(|range| Pool::new(*range, if range.addr().is_ipv4() { 24 } else { 64 })).collect()
}

/// The loops. They end when this is dropped.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<()>,
    shown: Vec<(&'static str, watch::Receiver<LastRun>)>,
}

impl Running {
    /// Each loop's name and how its last run went.
    pub fn last_runs(&self) -> Vec<(&'static str, LastRun)> {
        self.shown.iter().map(|(name, shown)| (*name, shown.borrow().clone())).collect()
    }

    /// How many tasks run.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    fn show(&mut self, name: &'static str) -> watch::Sender<LastRun> {
        let (shown, receiver) = watch::channel(LastRun::default());
        self.shown.push((name, receiver));
        shown
    }

    fn drive(&mut self, name: &'static str, wake: &Wake, period: Duration, now: &Clock, controller: impl Controller) {
        let shown = self.show(name);
        let timing = Timing { period, ..Timing::default() };
        self.tasks.spawn(drive(name, timing, wake.clone(), shown, now.clone(), controller));
    }
}

/// Repairs what no event told of.
const PERIOD: Duration = Duration::from_secs(5 * 60);

/// Starts every loop. `cluster_for` gives each component a client with an identity of its own.
pub fn start(cluster_for: impl Fn(&str) -> Cluster, settings: Settings) -> Running {
    let mut running = Running { tasks: JoinSet::new(), shown: Vec::new() };
    let shown = endpoints::Shown { slices: running.show("endpoint-slices"), endpoints: running.show("endpoints") };
    let endpoints = endpoints::Settings { slice_len_max: settings.slice_len_max };
    running.tasks.spawn(endpoints::run(cluster_for("endpoint-controller"), endpoints, shown));
    start_workloads(&mut running, &cluster_for, &settings);
    start_addresses(&mut running, &cluster_for, &settings);
    start_lifetimes(&mut running, &cluster_for, &settings);
    running
}

/// Pods and nodes.
fn start_workloads(running: &mut Running, cluster_for: &impl Fn(&str) -> Cluster, settings: &Settings) {
    let (schedule, health, ranges, orphaned) = (Wake::new(), Wake::new(), Wake::new(), Wake::new());
    let (touched, placed, recount) = (Marks::default(), Marks::default(), Marks::default());
    let reader = cluster_for("node-and-pod-cache");
    let (node_of, name): (Named<Pod>, Named<Node>) = (|pod| &pod.spec.node_name, |node| &node.metadata.name);
    let pods = Cache::new(Some(node_of)).filled(
        &mut running.tasks,
        &reader,
        Selection::default(),
        vec![
            Interest::new(&schedule, scheduler::pod_matters),
            // A count that changes is no reason to run: nobody waits for it.
            Interest::new(&Wake::new(), scheduler::load_matters).marking(&recount, node_of),
            Interest::new(&health, node_health::pod_matters).marking(&touched, node_of),
            Interest::new(&orphaned, orphans::pod_matters).marking(&placed, node_of),
        ],
    );
    let nodes: Cache<Node> = Cache::follow(
        &mut running.tasks,
        &reader,
        vec![
            Interest::new(&schedule, scheduler::node_matters),
            Interest::new(&health, node_health::node_matters).marking(&touched, name),
            Interest::new(&ranges, pod_ranges::node_matters),
            Interest::new(&orphaned, orphans::node_matters).marking(&placed, name),
        ],
    );
    let now = &settings.now;
    let caches = (pods.clone(), nodes.clone());
    let scheduler = scheduler::Scheduler::new(cluster_for("scheduler"), caches, recount, now.clone());
    running.drive("scheduler", &schedule, PERIOD, now, scheduler);
    let client = cluster_for("node-health");
    let signs = node_health::Signs::follow(&mut running.tasks, &client, (&health, &touched), now.clone());
    let slices = node_health::follow_slices(&mut running.tasks, &client, (&health, &touched));
    let caches = node_health::Caches { nodes: nodes.clone(), pods: pods.clone(), slices, signs };
    let node_health = node_health::NodeHealth::new(client, caches, touched, settings.node_grace, now.clone());
    running.drive("node-health", &health, PERIOD, now, node_health);
    let orphans = orphans::Orphans::new(cluster_for("pod-garbage"), (nodes.clone(), pods), placed, now.clone());
    running.drive("pod-garbage", &orphaned, PERIOD, now, orphans);
    let pod_ranges =
        pod_ranges::PodRanges::new(cluster_for("pod-ranges"), nodes, settings.pod_pools.clone(), now.clone());
    running.drive("pod-ranges", &ranges, PERIOD, now, pod_ranges);
}

/// Cluster IPs and their ranges.
fn start_addresses(running: &mut Running, cluster_for: &impl Fn(&str) -> Cluster, settings: &Settings) {
    let (repair, ranges) = (Wake::new(), Wake::new());
    let reader = cluster_for("address-cache");
    let services: Cache<Service> =
        Cache::follow(&mut running.tasks, &reader, vec![Interest::new(&repair, addresses::service_matters)]);
    let addresses: Cache<IpAddress> = Cache::follow(
        &mut running.tasks,
        &reader,
        vec![
            Interest::new(&repair, addresses::address_matters),
            Interest::new(&ranges, service_cidrs::address_matters),
        ],
    );
    let cidrs: Cache<ServiceCidr> = Cache::follow(
        &mut running.tasks,
        &reader,
        vec![Interest::new(&repair, addresses::cidr_matters), Interest::new(&ranges, service_cidrs::cidr_matters)],
    );
    let now = &settings.now;
    let addresses = addresses::Repair::new(
        cluster_for("address-repair"),
        addresses::Caches { services, addresses, cidrs: cidrs.clone() },
        settings.settle,
        now.clone(),
    );
    running.drive("address-repair", &repair, PERIOD, now, addresses);
    let configured = settings.service_ranges.clone();
    let service_cidrs = service_cidrs::ServiceCidrs::new(cluster_for("service-cidrs"), cidrs, configured, now.clone());
    running.drive("service-cidrs", &ranges, PERIOD, now, service_cidrs);
    if let Some(ports) = &settings.ports {
        let repair = ports::Repair::new(cluster_for("port-repair"), ports.clone());
        running.drive("port-repair", &Wake::new(), ports.period, now, repair);
    }
}

/// Namespaces, owners and Events.
fn start_lifetimes(running: &mut Running, cluster_for: &impl Fn(&str) -> Cluster, settings: &Settings) {
    let (ending, garbage) = (Wake::new(), Wake::new());
    let now = &settings.now;
    let client = cluster_for("namespaces");
    let namespaces: Cache<Namespace> =
        Cache::follow(&mut running.tasks, &client, vec![Interest::new(&ending, namespaces::namespace_matters)]);
    running.drive("namespaces", &ending, PERIOD, now, namespaces::Namespaces::new(client, namespaces, now.clone()));
    let collector = garbage::Collector::new(cluster_for("garbage-collector"), garbage.clone(), now.clone());
    running.drive("garbage-collector", &garbage, PERIOD, now, collector);
    let expiry = expiry::Expiry::new(cluster_for("event-expiry"), settings.event_ttl, now.clone());
    running.drive("event-expiry", &Wake::new(), PERIOD, now, expiry);
}
