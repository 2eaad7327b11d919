//! Node ports and health-check ports against the keys that hold them (S-146).
//!
//! Of upstream's events, `PortRangeFull` has no occasion here: each port has a key of its own, so a Service's port is
//! either held by somebody, outside the range, or free, and there is no allocator that could be out of room for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use api::Service;

use crate::event::{Event, reference};

/// After how many checks in a row that find a port without its Service the port is released.
const SIGHTINGS: u8 = 3;

/// A Service by namespace and name.
type Key = (String, String);

/// Ports that were held for nobody at the last checks, and at how many in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaks {
    sightings: BTreeMap<u16, u8>,
}

/// What brings the port keys in line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortPlan {
    /// Keys to create again: the port, and namespace and name of its Service.
    pub claim: BTreeMap<u16, Key>,
    /// Keys to remove, with the holder that they name.
    pub release: BTreeMap<u16, Key>,
    /// What to tell.
    pub events: Vec<Event>,
}

/// Counts all ports anew. `held` says which Service each key names; `leaks` is carried from one check to the next.
pub fn plan_ports(
    services: &[&Service],
    held: &BTreeMap<u16, Key>,
    range: &RangeInclusive<u16>,
    leaks: &mut Leaks,
) -> PortPlan {
    let mut plan = PortPlan::default();
    let mut used: BTreeSet<(u16, Key)> = BTreeSet::new();
    let mut services = services.to_vec();
    services.sort_by_key(|service| (&service.metadata.namespace, &service.metadata.name));
    for service in services {
        let key = (service.metadata.namespace.clone(), service.metadata.name.clone());
        for port in ports(service) {
            used.insert((port, key.clone()));
            plan.events.extend(check(service, &key, port, held, range, &mut plan.claim));
        }
    }
    let unused = held.iter().filter(|(port, key)| !used.contains(&(**port, (*key).clone())));
    leaks.sightings =
        unused.map(|(port, _)| (*port, leaks.sightings.get(port).map_or(1, |count| count.saturating_add(1)))).collect();
    let due = leaks.sightings.iter().filter(|(_, count)| **count >= SIGHTINGS);
    plan.release = due.map(|(port, _)| (*port, held[port].clone())).collect();
    plan
}

/// A port may stand under several protocols; it is one all the same (S-137).
fn ports(service: &Service) -> BTreeSet<u16> {
    let node_ports = service.spec.ports.iter().map(|port| port.node_port);
    node_ports.chain([service.spec.health_check_node_port]).filter(|port| *port != 0).collect()
}

/// Checks one port of one Service.
fn check(
    service: &Service,
    key: &Key,
    port: u16,
    held: &BTreeMap<u16, Key>,
    range: &RangeInclusive<u16>,
    claim: &mut BTreeMap<u16, Key>,
) -> Option<Event> {
    let warn = |reason, message| Some(Event::warning(reference("Service", &service.metadata), reason, message));
    let out_of_range = || {
        let (start, end) = (range.start(), range.end());
        warn("PortOutOfRange", format!("Port {port} is not within {start}-{end}; recreate the Service"))
    };
    match held.get(&port).or(claim.get(&port)) {
        // A port that was taken while the range was another one is served all the same; it is told as upstream tells it.
        Some(holder) if holder == key && range.contains(&port) => None,
        Some(holder) if holder == key => out_of_range(),
        Some((namespace, name)) => {
            let message = format!("Port {port} is held by Service {namespace}/{name}; recreate the Service");
            warn("PortAlreadyAllocated", message)
        }
        None if !range.contains(&port) => out_of_range(),
        None => {
            claim.insert(port, key.clone());
            warn("PortNotAllocated", format!("Port {port} was not allocated; it is claimed again"))
        }
    }
}

#[cfg(test)]
mod tests;
