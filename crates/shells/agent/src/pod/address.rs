//! Following what runs elsewhere: its address may change, where it runs may not.

use std::net::IpAddr;
use std::sync::Arc;

use pods::{Means, Notice, PodPlan, PodState, Refusal};
use serde_json::Value;

use super::Task;

/// The plan of a Pod when an agent begins with it. One that the last agent followed elsewhere is taken to be where it was
/// last, if its annotation says nothing that can be followed.
pub(super) fn plan(pod: &Value, kept: Option<&PodState>, means: &Means) -> Result<PodPlan, Refusal> {
    let plan = pods::plan(pod, means);
    let is_followed = plan.as_ref().is_ok_and(|plan| plan.fixed_addresses().is_some());
    match kept {
        Some(kept) if kept.elsewhere && !is_followed => {
            let mut pod = pod.clone();
            pod["metadata"]["annotations"]["maitred.dev/address"] = listed(&kept.addresses).into();
            pods::plan(&pod, means)
        }
        _ => plan,
    }
}

impl Task {
    /// Goes by the annotation as it is now, or tells why it does not.
    pub(super) fn follow_address(&mut self) {
        let Some(now) = self.plan().fixed_addresses() else { return };
        match moved(now, pods::plan(&self.object.whole, &self.shared.means)) {
            Ok(plan) => {
                self.address_refused = None;
                let addresses = plan.fixed_addresses().unwrap_or_default().to_vec();
                self.plan = Arc::new(Ok(plan));
                if self.state.addresses != addresses {
                    self.state.addresses = addresses;
                    self.keep();
                }
            }
            Err(why) => {
                // Told once, not at every other change of the object.
                if self.address_refused.as_ref() != Some(&why) {
                    self.tell(Notice { warning: true, reason: "AddressNotFollowed", message: why.clone() });
                    self.address_refused = Some(why);
                }
            }
        }
    }
}

/// The plan at the new addresses, or why the Pod is still taken to be at the old ones.
fn moved(now: &[IpAddr], new: Result<PodPlan, Refusal>) -> Result<PodPlan, String> {
    let why = match new {
        Ok(plan) if plan.fixed_addresses().is_some() => return Ok(plan),
        Ok(_) => "the annotation maitred.dev/address is gone; make the Pod anew to have it run here".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    Err(format!("{why}; until then it is taken to be at {}", listed(now)))
}

fn listed(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    addresses.join(", ")
}
