//! Where objects and claims lie in the store.
//!
//! ```text
//!   /registry/GROUP/PLURAL/NAMESPACE/NAME      a namespaced object (GROUP is "core" for the core group)
//!   /registry/GROUP/PLURAL/NAME                a cluster-scoped object
//!   /claims/port/NUMBER                        a node port or health-check port: the Service that holds it
//!   /published/kubernetes                      the address that this server has put into `default/kubernetes`
//! ```
//!
//! A cluster IP's claim *is* its IPAddress object (S-142), so it has no key of its own.

use std::net::IpAddr;

use kinds::Facts;

/// What this server has put into `default/kubernetes` and has not taken away again (S-149).
pub(crate) const PUBLISHED: &str = "/published/kubernetes";

/// Where all claims on ports lie.
pub(crate) const PORTS: &str = "/claims/port/";

fn group(facts: &Facts) -> &str {
    if facts.group.is_empty() { "core" } else { facts.group }
}

/// The prefix of all objects of a kind, or of those in one namespace.
pub(crate) fn prefix(facts: &Facts, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("/registry/{}/{}/{namespace}/", group(facts), facts.plural),
        None => format!("/registry/{}/{}/", group(facts), facts.plural),
    }
}

/// The key of an object; `namespace` is ignored for cluster-scoped kinds.
pub(crate) fn object(facts: &Facts, namespace: &str, name: &str) -> String {
    if facts.namespaced {
        format!("{}{name}", prefix(facts, Some(namespace)))
    } else {
        format!("{}{name}", prefix(facts, None))
    }
}

/// The key of the claim on a port.
pub(crate) fn port(number: u16) -> String {
    format!("{PORTS}{number}")
}

/// The prefix of all IPAddress objects.
pub(crate) const ADDRESSES: &str = "/registry/networking.k8s.io/ipaddresses/";

/// The key of the IPAddress object of an address.
pub(crate) fn address(address: IpAddr) -> String {
    format!("{ADDRESSES}{address}")
}
