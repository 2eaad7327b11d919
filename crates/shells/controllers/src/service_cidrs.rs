//! Keeps ServiceCIDR objects (S-143, S-144), as [`lifecycle::service_cidrs`] plans it.

use std::collections::HashSet;

use api::{IpAddress, Metadata, ObjectReference, ServiceCidr};
use cluster::{Cluster, Recorder, RequestError};
use futures::future::BoxFuture;
use ipnet::IpNet;
use jiff::Timestamp;
use lifecycle::Event;
use lifecycle::service_cidrs::{
    DEFAULT_ERROR, DEFAULT_NAME, DefaultPlan, ServiceCidrPlan, plan_default, plan_service_cidr,
};

use crate::cache::{Cache, plain};
use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{body, carry_out_all, earlier, tell};

/// The loop that keeps ServiceCIDRs.
pub(crate) struct ServiceCidrs {
    cluster: Cluster,
    recorder: Recorder,
    cidrs: Cache<ServiceCidr>,
    /// What the default object is to hold; empty if it is somebody else's.
    configured: Vec<IpNet>,
    now: Clock,
    /// What was told of the default object, by message: it is told once.
    told: HashSet<String>,
}

/// Any change of a ServiceCIDR is looked at; there are few.
pub(crate) fn cidr_matters(_: Option<&ServiceCidr>, _: Option<&ServiceCidr>) -> bool {
    true
}

/// A ServiceCIDR that is being deleted waits for its addresses to go.
pub(crate) fn address_matters(_: Option<&IpAddress>, after: Option<&IpAddress>) -> bool {
    after.is_none()
}

impl ServiceCidrs {
    pub(crate) fn new(cluster: Cluster, cidrs: Cache<ServiceCidr>, configured: Vec<IpNet>, now: Clock) -> ServiceCidrs {
        let recorder = Recorder::new(&cluster, "maitred-service-cidrs");
        ServiceCidrs { cluster, recorder, cidrs, configured, now, told: HashSet::new() }
    }

    /// Brings the default object in line with the configuration.
    async fn keep_default(&mut self, existing: Option<&ServiceCidr>) -> Result<(), RequestError> {
        if self.configured.is_empty() {
            return Ok(());
        }
        let written = match plan_default(existing, &self.configured) {
            DefaultPlan::Keep => Ok(()),
            DefaultPlan::Create(cidr) => self.cluster.create::<ServiceCidr>("", body(&cidr)).await.map(drop),
            DefaultPlan::AddFamily(patch) => {
                self.cluster.patch::<ServiceCidr>("", DEFAULT_NAME, &patch).await.map(drop)
            }
            DefaultPlan::Inconsistent(event) => {
                self.tell_once(event).await;
                return Ok(());
            }
        };
        match written {
            Err(error) if error.code() != Some(409) => {
                let found = existing.map(|cidr| cidr.metadata.clone()).unwrap_or_default();
                let message = format!("The default ServiceCIDR cannot be written: {}", error.source);
                self.tell_once(Event::warning(reference(&found), DEFAULT_ERROR, message)).await;
                Err(error)
            }
            // Somebody else was faster; the cache will show it.
            _ => Ok(()),
        }
    }

    async fn tell_once(&mut self, event: Event) {
        if self.told.insert(event.message.clone()) {
            tell(&self.recorder, &event).await;
        }
    }
}

fn reference(metadata: &Metadata) -> ObjectReference {
    ObjectReference {
        kind: "ServiceCIDR".to_owned(),
        name: DEFAULT_NAME.to_owned(),
        uid: metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

impl Controller for ServiceCidrs {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let Some(cidrs) = self.cidrs.objects() else { return Ok(None) };
        let default = cidrs.iter().find(|cidr| cidr.metadata.name == DEFAULT_NAME);
        let kept = self.keep_default(default.map(AsRef::as_ref)).await;
        // Only the end of one asks who depends on it, and then a cache that is behind could cost somebody an address.
        let ending = cidrs.iter().any(|cidr| cidr.metadata.deletion_timestamp.is_some());
        let addresses = if ending {
            let listed = self.cluster.list::<IpAddress>(None).await;
            listed.map_err(|source| Failure::Read { what: "the IPAddresses", source })?.0
        } else {
            Vec::new()
        };
        let addresses: Vec<&IpAddress> = addresses.iter().collect();
        let all = plain(&cidrs);
        let now = (self.now)();
        let mut writes: Vec<BoxFuture<'_, Result<(), RequestError>>> = vec![Box::pin(async move { kept })];
        let mut wake = None;
        for cidr in &all {
            let plan = plan_service_cidr(cidr, &all, &addresses, now);
            wake = earlier(wake, plan.wake);
            if plan.finalizers.is_some() || plan.status.is_some() {
                writes.push(Box::pin(write(&self.cluster, &cidr.metadata.name, plan)));
            }
        }
        Ok(earlier(wake, carry_out_all(writes, now).await?))
    }
}

/// The finalizers follow from a version of the object, so they go before the status, which makes a new one.
async fn write(cluster: &Cluster, name: &str, plan: ServiceCidrPlan) -> Result<(), RequestError> {
    if let Some(finalizers) = &plan.finalizers {
        cluster.patch::<ServiceCidr>("", name, finalizers).await?;
    }
    if let Some(status) = &plan.status {
        cluster.merge_status::<ServiceCidr>("", name, status).await?;
    }
    Ok(())
}
