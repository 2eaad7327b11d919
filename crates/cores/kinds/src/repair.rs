//! Compares what Services say they hold with what is claimed, and says what to mend (S-145, S-146).
//!
//! Services and claims are written in one transaction, so the two differ only after somebody edited or deleted an
//! IPAddress by hand, or restored a part of the store. Nothing is ever given to another owner: of two Services with one
//! address, the user must recreate one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde_json::Value;

use crate::json::{self, text};
use crate::{Claim, IpAddress, Kind, Service, ServiceRange, ip};

/// Passes in which a node port must be seen without owner before it is released.
const LEAK_PASSES: u32 = 3;
/// Age of an IPAddress, in seconds, before the lack of its Service counts: the Service may just not have been seen yet.
const ORPHAN_SECONDS: i64 = 60;
/// Age of an IPAddress, in seconds, before its absence from a Service older than it counts.
const UNLISTED_SECONDS: i64 = 5;

/// An Event to be sent, always a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Kind of the object it is about: `Service` or `IPAddress`.
    pub kind: &'static str,
    /// The object's namespace, empty for an IPAddress.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Upstream's reason, such as `ClusterIPNotAllocated`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What to do about cluster IPs.
#[derive(Debug, Default, PartialEq)]
pub struct AddressRepair {
    /// Events.
    pub reports: Vec<Report>,
    /// IPAddress objects to be created.
    pub create: Vec<Value>,
    /// Names of IPAddress objects to be deleted.
    pub delete: Vec<String>,
}

/// What to do about node ports.
#[derive(Debug, Default, PartialEq)]
pub struct PortRepair {
    /// Events.
    pub reports: Vec<Report>,
    /// Claims to be made, with the Service as `namespace/name`.
    pub create: Vec<(u16, String)>,
    /// Claims to be given up.
    pub release: Vec<u16>,
    /// Claims without owner, and in how many passes in a row they were seen; the next pass needs it.
    pub leaking: BTreeMap<u16, u32>,
}

/// Compares Services with IPAddress objects, both as stored. `now` is RFC 3339.
pub fn addresses(services: &[Value], claims: &[Value], ranges: &[ServiceRange], now: &str) -> AddressRepair {
    let mut repair = AddressRepair::default();
    let by_name: HashMap<&str, &Value> = claims.iter().map(|claim| (text(claim, "/metadata/name"), claim)).collect();
    for service in services {
        check_service(service, &by_name, ranges, &mut repair);
    }
    let by_key: HashMap<String, &Value> = services.iter().map(|service| (key(service), service)).collect();
    for claim in claims {
        check_claim(claim, &by_key, now, &mut repair);
    }
    repair
}

/// Compares Services with the claimed node ports and their owners (`namespace/name`). `leaking` is what the pass before
/// this one returned.
pub fn ports(
    services: &[Value],
    claimed: &BTreeMap<u16, String>,
    range: &RangeInclusive<u16>,
    leaking: &BTreeMap<u16, u32>,
) -> PortRepair {
    let mut repair = PortRepair::default();
    let mut owners: BTreeMap<u16, String> = BTreeMap::new();
    for service in services {
        for claim in Service.holds(service) {
            if let Claim::Port(port) = claim {
                check_port(service, port, claimed, range, &mut owners, &mut repair);
            }
        }
    }
    for port in claimed.keys().filter(|port| !owners.contains_key(port)) {
        let seen = leaking.get(port).copied().unwrap_or(0).saturating_add(1);
        if seen >= LEAK_PASSES {
            repair.release.push(*port);
        } else {
            repair.leaking.insert(*port, seen);
        }
    }
    repair
}

fn check_service(service: &Value, claims: &HashMap<&str, &Value>, ranges: &[ServiceRange], repair: &mut AddressRepair) {
    for given in listed(service) {
        let Some(address) = ip::parse(&given) else {
            let message = format!("Cluster IP {given} is not a valid IP; please recreate Service");
            repair.reports.push(report(service, "ClusterIPNotValid", message));
            continue;
        };
        if !ranges.iter().any(|range| range.cidr.contains(&address)) {
            let message =
                format!("Cluster IP {address} is not within any configured Service CIDR; please recreate service");
            repair.reports.push(report(service, "ClusterIPOutOfRange", message));
            continue;
        }
        match claims.get(address.to_string().as_str()) {
            None => {
                let message = format!("Cluster IP {address} is not allocated; repairing");
                repair.reports.push(report(service, "ClusterIPNotAllocated", message));
                let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
                repair.create.push(IpAddress::for_service(address, namespace, name));
            }
            Some(claim) if parent(claim) != key(service) => {
                let owner = parent(claim);
                let message = format!("Cluster IP {address} was assigned to {owner}; please recreate service");
                repair.reports.push(report(service, "ClusterIPAlreadyAllocated", message));
            }
            Some(_) => {}
        }
    }
}

/// The cluster IPs that a Service should have claimed.
fn listed(service: &Value) -> Vec<String> {
    let mut addresses = json::texts(service, "/spec/clusterIPs");
    if addresses.is_empty() {
        addresses.push(text(service, "/spec/clusterIP").to_owned());
    }
    let unmanaged = text(service, "/spec/type") == "ExternalName" || addresses[0] == "None";
    if unmanaged { Vec::new() } else { addresses.into_iter().filter(|address| !address.is_empty()).collect() }
}

/// Only the allocator's own claims are looked at; somebody else's may mean what they like.
fn check_claim(claim: &Value, services: &HashMap<String, &Value>, now: &str, repair: &mut AddressRepair) {
    let managed = json::pairs(claim, "/metadata/labels")
        .any(|(key, value)| key == "ipaddress.kubernetes.io/managed-by" && value == "ipallocator.k8s.io");
    if !managed || !json::is_empty(claim, "/metadata/deletionTimestamp") {
        return;
    }
    let age = seconds_between(text(claim, "/metadata/creationTimestamp"), now);
    let of_service =
        text(claim, "/spec/parentRef/resource") == "services" && text(claim, "/spec/parentRef/group").is_empty();
    let (reason, ripe) = match services.get(&parent(claim)) {
        _ if !of_service => ("IPAddressNotAllocated", true),
        None => ("IPAddressNotAllocated", age > ORPHAN_SECONDS),
        Some(service) if lists(service, claim) => return,
        Some(service) if text(service, "/spec/type") == "ExternalName" => {
            ("IPAddressWrongReference", age > ORPHAN_SECONDS)
        }
        Some(service) => {
            let newer = seconds_between(
                text(service, "/metadata/creationTimestamp"),
                text(claim, "/metadata/creationTimestamp"),
            ) > 0;
            ("IPAddressWrongReference", !newer || age > UNLISTED_SECONDS)
        }
    };
    if ripe {
        let message = format!("IPAddress appears to have leaked: it is not used by {}; cleaning up", parent(claim));
        repair.reports.push(report(claim, reason, message));
        repair.delete.push(text(claim, "/metadata/name").to_owned());
    }
}

fn lists(service: &Value, claim: &Value) -> bool {
    let Some(address) = ip::parse(text(claim, "/metadata/name")) else { return false };
    let held: BTreeSet<IpAddr> = listed(service).iter().filter_map(|text| ip::parse(text)).collect();
    held.contains(&address)
}

fn check_port(
    service: &Value,
    port: u16,
    claimed: &BTreeMap<u16, String>,
    range: &RangeInclusive<u16>,
    owners: &mut BTreeMap<u16, String>,
    repair: &mut PortRepair,
) {
    let key = key(service);
    let mut say = |reason, message: String| repair.reports.push(report(service, reason, message));
    if let Some(other) = owners.get(&port) {
        return say(
            "PortAlreadyAllocated",
            format!("Port {port} was assigned to {other} too; please recreate service"),
        );
    }
    owners.insert(port, key.clone());
    if !range.contains(&port) {
        say("PortOutOfRange", format!("Port {port} is not within the port range; please recreate service"));
        return;
    }
    match claimed.get(&port) {
        None => {
            say("PortNotAllocated", format!("Port {port} is not allocated; repairing"));
            repair.create.push((port, key));
        }
        Some(owner) if *owner != key => {
            say("PortAlreadyAllocated", format!("Port {port} was assigned to {owner}; please recreate service"));
        }
        Some(_) => {}
    }
}

fn report(object: &Value, reason: &'static str, message: String) -> Report {
    let kind = if object["kind"] == "IPAddress" { "IPAddress" } else { "Service" };
    let (namespace, name) = (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned());
    Report { kind, namespace, name, reason, message }
}

fn key(service: &Value) -> String {
    format!("{}/{}", text(service, "/metadata/namespace"), text(service, "/metadata/name"))
}

fn parent(claim: &Value) -> String {
    format!("{}/{}", text(claim, "/spec/parentRef/namespace"), text(claim, "/spec/parentRef/name"))
}

/// How much later `to` is than `from`; unreadable times are long ago.
fn seconds_between(from: &str, to: &str) -> i64 {
    match (from.parse::<Timestamp>(), to.parse::<Timestamp>()) {
        (Ok(from), Ok(to)) => to.duration_since(from).as_secs(),
        _ => i64::MAX,
    }
}

#[cfg(test)]
mod tests;
