//! Fields that a change of type leaves without meaning go, unless the client changed them too (S-121).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::spec::{Decoded, Spec};
use crate::json;

/// Applied after allocation and before validation, so what stays behind is then refused.
pub(super) fn after_type_change(service: &mut Decoded, old: &Spec) {
    let new = &mut service.spec;
    if old.needs_cluster_ip() && !new.needs_cluster_ip() {
        clear_addresses(new, old);
    }
    if old.has_node_ports() && !new.has_node_ports() && only_old_node_ports(new, old) {
        for port in &mut new.ports {
            port.node_port = 0;
        }
    }
    let same_health_check = new.health_check_node_port == old.health_check_node_port;
    if old.needs_health_check() && !new.needs_health_check() && same_health_check {
        new.health_check_node_port = 0;
    }
    let accessible = new.is_externally_accessible();
    if old.is_externally_accessible() && !accessible && new.external_traffic_policy == old.external_traffic_policy {
        new.external_traffic_policy.clear();
    }
    if old.is_load_balancer() && !new.is_load_balancer() {
        if new.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            new.allocate_load_balancer_node_ports = None;
        }
        if new.load_balancer_class == old.load_balancer_class {
            new.load_balancer_class = None;
        }
        let status = service.other.entry("status").or_insert(Value::Null);
        if status.is_object() {
            json::set(status, "loadBalancer", json!({}));
        }
    }
}

fn clear_addresses(new: &mut Spec, old: &Spec) {
    if new.cluster_ips == old.cluster_ips {
        new.cluster_ip.clear();
        new.cluster_ips.clear();
    }
    if new.ip_families == old.ip_families {
        new.ip_families.clear();
    }
    if new.ip_family_policy == old.ip_family_policy {
        new.ip_family_policy = None;
    }
}

/// Ports may come and go with the change, but none may bring a new node port.
fn only_old_node_ports(new: &Spec, old: &Spec) -> bool {
    let known: HashSet<i32> = old.node_ports().collect();
    new.node_ports().all(|number| known.contains(&number))
}
