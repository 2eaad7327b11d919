//! What may not change once it is set (S-119, S-130, S-131).

use super::spec::{SINGLE_STACK, Spec};
use crate::fields::Mistakes;

const ONCE_SET: &str = "may not change once set";

/// Compares the new spec with the old one.
pub(super) fn check(new: &Spec, old: &Spec, mistakes: &mut Mistakes) {
    check_addresses(new, old, mistakes);
    if new.is_load_balancer() && old.is_load_balancer() && new.load_balancer_class != old.load_balancer_class {
        mistakes.invalid("spec.loadBalancerClass", &new.load_balancer_class, ONCE_SET);
    }
    let same_health_check = new.health_check_node_port == old.health_check_node_port;
    if new.needs_health_check() && old.needs_health_check() && !same_health_check {
        mistakes.forbidden("spec.healthCheckNodePort", "field is immutable");
    }
}

/// Addresses and families, which an ExternalName Service may get and lose. Known before anything is allocated (S-108).
pub(super) fn check_addresses(new: &Spec, old: &Spec, mistakes: &mut Mistakes) {
    if !new.is_external_name() && !old.is_external_name() {
        check_cluster_ips(new, old, mistakes);
        check_families(new, old, mistakes);
    }
}

/// The first address stays; the second may be added, and removed by asking for one family.
fn check_cluster_ips(new: &Spec, old: &Spec, mistakes: &mut Mistakes) {
    if new.is_headless() && old.is_headless() {
        return;
    }
    let (list, before) = (&new.cluster_ips, &old.cluster_ips);
    for (index, (address, known)) in list.iter().zip(before).enumerate() {
        if address != known {
            mistakes.invalid(format!("spec.clusterIPs[{index}]"), list, ONCE_SET);
        }
    }
    if list.is_empty() && !before.is_empty() {
        mistakes.invalid("spec.clusterIPs[0]", list, "primary clusterIP can not be unset");
    }
    if list.len() == 1 && before.len() > 1 && !new.has_policy(SINGLE_STACK) {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        mistakes.invalid("spec.ipFamilyPolicy", &new.ip_family_policy, detail);
    }
}

/// The same for families, which a headless Service may change freely.
fn check_families(new: &Spec, old: &Spec, mistakes: &mut Mistakes) {
    if new.is_headless() || old.is_headless() {
        return;
    }
    let (list, before) = (&new.ip_families, &old.ip_families);
    for (family, known) in list.iter().zip(before) {
        if family != known {
            mistakes.invalid("spec.ipFamilies[0]", list, ONCE_SET);
        }
    }
    if list.is_empty() && !before.is_empty() {
        mistakes.invalid("spec.ipFamilies[0]", list, "primary ipFamily can not be unset");
    }
    if list.len() == 1 && before.len() > 1 && !new.has_policy(SINGLE_STACK) {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        mistakes.invalid("spec.ipFamilyPolicy", &new.ip_family_policy, detail);
    }
}
