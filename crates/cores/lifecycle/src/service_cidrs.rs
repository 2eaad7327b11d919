//! ServiceCIDR objects: the default one (S-143), and the end of any (S-144).

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::{IpAddress, Metadata, ServiceCidr, ServiceCidrSpec};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::event::{Event, reference};
use crate::schedule::whole_seconds;

/// The name of the ServiceCIDR that holds the configured ranges.
pub const DEFAULT_NAME: &str = "kubernetes";
/// Reason of the Event when the default object could not be written.
pub const DEFAULT_ERROR: &str = "KubernetesDefaultServiceCIDRError";
/// Holds a ServiceCIDR while addresses depend on it.
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// How long a ServiceCIDR stays that nothing depends on: allocators have to hear that it goes.
const DELETION_GRACE: SignedDuration = SignedDuration::from_secs(10);

/// What to do about the default ServiceCIDR.
#[derive(Clone, Debug, PartialEq)]
pub enum DefaultPlan {
    /// It is as configured, or is being deleted.
    Keep,
    /// The object to POST.
    Create(ServiceCidr),
    /// Merge patch of the spec that adds the second family.
    AddFamily(Value),
    /// It differs from the configuration in a way that cannot be changed in place.
    Inconsistent(Event),
}

/// Compares the object `kubernetes` with the configured ranges, one or two, the primary family first.
pub fn plan_default(existing: Option<&ServiceCidr>, configured: &[IpNet]) -> DefaultPlan {
    let Some(existing) = existing else {
        let metadata = Metadata { name: DEFAULT_NAME.to_owned(), ..Metadata::default() };
        let spec = ServiceCidrSpec { cidrs: configured.to_vec() };
        return DefaultPlan::Create(ServiceCidr { metadata, spec, ..ServiceCidr::default() });
    };
    match (existing.spec.cidrs.as_slice(), configured) {
        _ if existing.metadata.deletion_timestamp.is_some() => DefaultPlan::Keep,
        (found, configured) if found == configured => DefaultPlan::Keep,
        ([found], [first, _]) if found == first => {
            let metadata = json!({"resourceVersion": existing.metadata.resource_version});
            DefaultPlan::AddFamily(json!({"metadata": metadata, "spec": {"cidrs": configured}}))
        }
        (found, configured) => {
            let list = |ranges: &[IpNet]| ranges.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",");
            let message = format!("The default ServiceCIDR has {}, configured are {}", list(found), list(configured));
            let reason = "KubernetesDefaultServiceCIDRInconsistent";
            DefaultPlan::Inconsistent(Event::warning(reference("ServiceCIDR", &existing.metadata), reason, message))
        }
    }
}

/// What to write for one ServiceCIDR.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceCidrPlan {
    /// Merge patch of the finalizers, with the resource version that they follow from.
    pub finalizers: Option<Value>,
    /// Strategic merge patch of the status.
    pub status: Option<Value>,
    /// When to look again even if nothing changes: the end of the grace period.
    pub wake: Option<Timestamp>,
}

/// Says what a ServiceCIDR needs: a finalizer and `Ready` while it lives; while it is being deleted, to wait for the
/// addresses that only it covers.
pub fn plan_service_cidr(
    cidr: &ServiceCidr,
    all: &[&ServiceCidr],
    addresses: &[&IpAddress],
    now: Timestamp,
) -> ServiceCidrPlan {
    let mut plan = ServiceCidrPlan::default();
    let held = cidr.metadata.finalizers.iter().any(|name| name == FINALIZER);
    let Some(deleted) = &cidr.metadata.deletion_timestamp else {
        plan.finalizers = (!held).then(|| finalizers(cidr, true));
        plan.status = ready(cidr, "True", "", "Addresses can be taken from it", now);
        return plan;
    };
    if !held {
        return plan;
    }
    let orphans = orphans(cidr, all, addresses);
    if !orphans.is_empty() {
        let message = format!("No other ServiceCIDR covers {} of its addresses", orphans.len());
        plan.status = ready(cidr, "False", "Terminating", &message, now);
        return plan;
    }
    let due = deleted.parse::<Timestamp>().ok().and_then(|since| since.checked_add(DELETION_GRACE).ok());
    match due.filter(|due| now < *due) {
        Some(due) => plan.wake = Some(due),
        None => plan.finalizers = Some(finalizers(cidr, false)),
    }
    plan
}

/// The addresses in use that no other ServiceCIDR would cover.
fn orphans(cidr: &ServiceCidr, all: &[&ServiceCidr], addresses: &[&IpAddress]) -> BTreeSet<IpAddr> {
    let covers = |cidr: &ServiceCidr, address: &IpAddr| cidr.spec.cidrs.iter().any(|range| range.contains(address));
    let others: Vec<&&ServiceCidr> = all
        .iter()
        .filter(|other| other.metadata.name != cidr.metadata.name && other.metadata.deletion_timestamp.is_none())
        .collect();
    addresses
        .iter()
        .filter_map(|address| address.metadata.name.parse::<IpAddr>().ok())
        .filter(|address| covers(cidr, address) && !others.iter().any(|other| covers(other, address)))
        .collect()
}

fn finalizers(cidr: &ServiceCidr, held: bool) -> Value {
    let others = cidr.metadata.finalizers.iter().map(String::as_str).filter(|name| *name != FINALIZER);
    let finalizers: Vec<&str> = others.chain(held.then_some(FINALIZER)).collect();
    json!({"metadata": {"resourceVersion": cidr.metadata.resource_version, "finalizers": finalizers}})
}

/// The condition `Ready`, if the status does not say so yet.
fn ready(cidr: &ServiceCidr, status: &str, reason: &str, message: &str, now: Timestamp) -> Option<Value> {
    let before = cidr.status.conditions.iter().find(|condition| condition.r#type == "Ready");
    // The message counts addresses that come and go: only the status makes a write worth it.
    if before.is_some_and(|before| before.status == status && before.reason == reason) {
        return None;
    }
    let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": message,
                           "lastTransitionTime": whole_seconds(now)});
    Some(json!({"status": {"conditions": [condition]}}))
}

#[cfg(test)]
mod tests;
