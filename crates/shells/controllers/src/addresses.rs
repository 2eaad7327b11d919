//! Checks cluster IPs against IPAddress objects (S-145), as [`lifecycle::repair`] plans it.
//!
//! A Service and its IPAddresses are written in one transaction, but their caches move one after the other. What the
//! caches show to be wrong is therefore planned anew on lists of one version, before anything is written or told.

use std::collections::HashSet;
use std::time::Duration;

use api::{IpAddress, Metadata, Service, ServiceCidr};
use cluster::{Cluster, Recorder, RequestError};
use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::Event;
use lifecycle::repair::{AddressInputs, AddressPlan, plan_addresses};

use crate::cache::{Cache, plain};
use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{body, carry_out_all, earlier, tell};

/// What is compared.
pub(crate) struct Caches {
    pub(crate) services: Cache<Service>,
    pub(crate) addresses: Cache<IpAddress>,
    pub(crate) cidrs: Cache<ServiceCidr>,
}

/// The loop that repairs cluster IPs.
pub(crate) struct Repair {
    cluster: Cluster,
    recorder: Recorder,
    caches: Caches,
    settle: Duration,
    now: Clock,
    /// What was told and still holds. A conflict stays until the user recreates the Service; it is told once.
    told: HashSet<Told>,
}

/// Uid of the object, and the message.
type Told = (String, String);

fn told(event: &Event) -> Told {
    (event.regarding.uid.clone(), event.message.clone())
}

/// A Service's cluster IPs appeared or changed.
pub(crate) fn service_matters(before: Option<&Service>, after: Option<&Service>) -> bool {
    let Some(after) = after else { return false };
    before.is_some_and(|before| before.spec.cluster_ips != after.spec.cluster_ips)
}

/// An IPAddress came or went, or is another one now.
pub(crate) fn address_matters(before: Option<&IpAddress>, after: Option<&IpAddress>) -> bool {
    let says = |address: &IpAddress| (address.metadata.labels.clone(), address.spec.clone());
    before.map(says) != after.map(says)
}

/// The ranges changed.
pub(crate) fn cidr_matters(before: Option<&ServiceCidr>, after: Option<&ServiceCidr>) -> bool {
    before.map(|cidr| &cidr.spec) != after.map(|cidr| &cidr.spec)
}

impl Repair {
    pub(crate) fn new(cluster: Cluster, caches: Caches, settle: Duration, now: Clock) -> Repair {
        let recorder = Recorder::new(&cluster, "maitred-address-repair");
        Repair { cluster, recorder, caches, settle, now, told: HashSet::new() }
    }

    /// What the caches make of it, or `None` before they are complete.
    fn suspect(&self) -> Option<AddressPlan> {
        let services = self.caches.services.objects()?;
        let addresses = self.caches.addresses.objects()?;
        let cidrs = self.caches.cidrs.objects()?;
        Some(plan_addresses(&AddressInputs {
            services: &plain(&services),
            addresses: &plain(&addresses),
            cidrs: &plain(&cidrs),
            now: (self.now)(),
        }))
    }

    /// The same on lists of one version.
    async fn confirm(&self) -> Result<AddressPlan, RequestError> {
        let (services, version) = self.cluster.list::<Service>(None).await?;
        let (addresses, _) = self.cluster.list::<IpAddress>(Some(&version)).await?;
        let (cidrs, _) = self.cluster.list::<ServiceCidr>(Some(&version)).await?;
        let (services, addresses, cidrs): (Vec<_>, Vec<_>, Vec<_>) =
            (services.iter().collect(), addresses.iter().collect(), cidrs.iter().collect());
        let inputs = AddressInputs { services: &services, addresses: &addresses, cidrs: &cidrs, now: (self.now)() };
        Ok(plan_addresses(&inputs))
    }
}

impl Controller for Repair {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        tokio::time::sleep(self.settle).await;
        let Some(suspected) = self.suspect() else { return Ok(None) };
        let known = suspected.events.iter().all(|event| self.told.contains(&told(event)));
        if suspected.create.is_empty() && suspected.delete.is_empty() && known {
            self.told = suspected.events.iter().map(told).collect();
            return Ok(suspected.wake);
        }
        let plan = self.confirm().await;
        let plan = plan.map_err(|source| Failure::Read { what: "Services and their addresses", source })?;
        let before = std::mem::replace(&mut self.told, plan.events.iter().map(told).collect());
        for event in plan.events.iter().filter(|event| !before.contains(&told(event))) {
            tell(&self.recorder, event).await;
        }
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = Vec::new();
        for address in plan.create {
            writes.push(Box::pin(create(&self.cluster, address)));
        }
        for metadata in plan.delete {
            writes.push(Box::pin(delete(&self.cluster, metadata)));
        }
        Ok(earlier(plan.wake, carry_out_all(writes, (self.now)()).await?))
    }
}

async fn create(cluster: &Cluster, address: IpAddress) -> Result<(), RequestError> {
    cluster.create::<IpAddress>("", body(&address)).await.map(drop)
}

/// Deletes the object that was judged, and no later one.
async fn delete(cluster: &Cluster, metadata: Metadata) -> Result<(), RequestError> {
    let preconditions = serde_json::json!({ "uid": metadata.uid, "resourceVersion": metadata.resource_version });
    let options = serde_json::json!({ "preconditions": preconditions });
    cluster.delete::<IpAddress>("", &metadata.name, Some(&options)).await
}
