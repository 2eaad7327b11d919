//! Allocated values that a client left out of an update, so that applying a manifest twice changes nothing (S-118).

use std::collections::{HashMap, HashSet};

use super::spec::Spec;

/// Copies what the old object had and the new one still needs.
pub(super) fn over(new: &mut Spec, old: &Spec) {
    if old.needs_cluster_ip() && new.needs_cluster_ip() {
        if new.cluster_ip.is_empty() {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if new.cluster_ips.is_empty() && new.cluster_ip == old.cluster_ip {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
    }
    if old.needs_node_ports() && new.needs_node_ports() {
        node_ports(new, old);
    }
    if old.needs_health_check() && new.needs_health_check() && new.health_check_node_port == 0 {
        new.health_check_node_port = old.health_check_node_port;
    }
}

/// Ports are known by name; a number that another port of the new object claims stays with that one.
fn node_ports(new: &mut Spec, old: &Spec) {
    let claimed: HashSet<i32> = new.node_ports().collect();
    let by_name: HashMap<&str, i32> = old.ports.iter().map(|port| (port.name.as_str(), port.node_port)).collect();
    for port in new.ports.iter_mut().filter(|port| port.node_port == 0) {
        if let Some(&number) = by_name.get(port.name.as_str())
            && !claimed.contains(&number)
        {
            port.node_port = number;
        }
    }
}
