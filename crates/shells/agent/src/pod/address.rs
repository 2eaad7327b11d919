//! Following what runs elsewhere: its address may change, where it runs may not.

use std::net::IpAddr;
use std::sync::Arc;

use pods::{Notice, PodPlan, Refusal};

use super::Task;

impl Task {
    /// Goes by the annotation as it is now, or tells why it does not.
    pub(super) fn follow_address(&mut self) {
        let Some(now) = self.plan().fixed_addresses() else { return };
        match moved(now, pods::plan(&self.object.whole, &self.shared.means)) {
            Ok(plan) => {
                self.address_refused = None;
                self.state.addresses = plan.fixed_addresses().unwrap_or_default().to_vec();
                self.plan = Arc::new(Ok(plan));
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
    let now: Vec<String> = now.iter().map(IpAddr::to_string).collect();
    Err(format!("{why}; until then it is taken to be at {}", now.join(", ")))
}
