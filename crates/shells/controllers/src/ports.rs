//! Checks who holds node ports (S-146), as [`lifecycle::repair::plan_ports`] plans it.
//!
//! The keys that hold ports are no objects of the API, so only the process that serves the API can run this: it hands
//! over a [`PortKeys`]. Services and keys are compared at one version; what has changed since is left to the next count.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use api::Service;
use cluster::{Cluster, Recorder};
use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::repair::{Leaks, plan_ports};
use tokio::time::Instant;

use crate::drive::{Controller, Failure};
use crate::writes::tell;

/// Namespace and name of a Service.
pub type Holder = (String, String);
/// Why the keys could not be read or written.
pub type PortKeysError = Box<dyn std::error::Error + Send + Sync>;

/// A way to the keys that hold node ports.
pub trait PortKeys: Send + Sync + 'static {
    /// Which Service each key names, at a resource version.
    fn held<'a>(&'a self, version: &'a str) -> BoxFuture<'a, Result<BTreeMap<u16, Holder>, PortKeysError>>;
    /// Creates a missing key, if the Service still stands as at that version.
    fn claim<'a>(
        &'a self,
        port: u16,
        service: &'a Holder,
        version: &'a str,
    ) -> BoxFuture<'a, Result<bool, PortKeysError>>;
    /// Removes a key, if it is still the one of that version.
    fn release<'a>(&'a self, port: u16, version: &'a str) -> BoxFuture<'a, Result<bool, PortKeysError>>;
}

/// What the check of node ports needs.
#[derive(Clone)]
pub struct Ports {
    /// The keys.
    pub keys: Arc<dyn PortKeys>,
    /// The range of node ports (`--service-node-port-range`).
    pub range: RangeInclusive<u16>,
    /// How often all ports are counted anew.
    pub period: Duration,
}

/// Upstream's period.
pub const PERIOD_DEFAULT: Duration = Duration::from_secs(3 * 60);

/// A key to write.
#[derive(Clone, Debug)]
enum Repairing {
    Claim(u16, Holder),
    Release(u16, Holder),
}

/// The loop that repairs node ports.
pub(crate) struct Repair {
    cluster: Cluster,
    recorder: Recorder,
    ports: Ports,
    leaks: Leaks,
    /// What was told and still holds, by the Service's uid and the message.
    told: HashSet<(String, String)>,
    /// What is yet to be written, and the version at which it was found.
    pending: Vec<(Repairing, String)>,
    /// When all ports are counted anew. Between two counts only what failed is tried again: a count that comes early would
    /// see a leak once more than its time.
    due: Instant,
}

impl Repair {
    pub(crate) fn new(cluster: Cluster, ports: Ports) -> Repair {
        let recorder = Recorder::new(&cluster, "maitred-port-repair");
        let (told, pending) = (HashSet::new(), Vec::new());
        Repair { cluster, recorder, ports, leaks: Leaks::default(), told, pending, due: Instant::now() }
    }

    /// Counts all ports, tells what is wrong, and notes what is to be written.
    async fn count(&mut self) -> Result<(), Failure> {
        let listed = self.cluster.list::<Service>(None).await;
        let (services, version) = listed.map_err(|source| Failure::Read { what: "the Services", source })?;
        let held = self.ports.keys.held(&version).await.map_err(Failure::Ports)?;
        let services: Vec<&Service> = services.iter().collect();
        let plan = plan_ports(&services, &held, &self.ports.range, &mut self.leaks);
        let mut told = HashSet::new();
        for event in &plan.events {
            let what = (event.regarding.uid.clone(), event.message.clone());
            if !self.told.contains(&what) {
                tell(&self.recorder, event).await;
            }
            told.insert(what);
        }
        self.told = told;
        let claims = plan.claim.into_iter().map(|(port, service)| Repairing::Claim(port, service));
        let releases = plan.release.into_iter().map(|(port, service)| Repairing::Release(port, service));
        self.pending = claims.chain(releases).map(|one| (one, version.clone())).collect();
        Ok(())
    }
}

impl Controller for Repair {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        if Instant::now() >= self.due {
            self.count().await?;
            self.due = Instant::now() + self.ports.period;
        }
        let mut first = None;
        for (repairing, version) in std::mem::take(&mut self.pending) {
            if let Err(error) = repair(self.ports.keys.as_ref(), &repairing, &version).await {
                self.pending.push((repairing, version));
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(None), |error| Err(Failure::Ports(error)))
    }
}

async fn repair(keys: &dyn PortKeys, repairing: &Repairing, version: &str) -> Result<(), PortKeysError> {
    match repairing {
        Repairing::Claim(port, service) => keys.claim(*port, service, version).await.map(drop),
        Repairing::Release(port, service) => {
            if keys.release(*port, version).await? {
                let (namespace, name) = service;
                tracing::warn!(port, service = format!("{namespace}/{name}"), "a leaked port was released");
            }
            Ok(())
        }
    }
}
