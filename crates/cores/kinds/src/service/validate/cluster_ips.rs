//! Whether a Service's addresses and families fit together (S-120).

use std::collections::HashSet;

use super::stored;
use crate::fields::Mistakes;
use crate::ip;
use crate::service::spec::{NONE, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK, Spec};

/// `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`, which are checked before allocation too (S-120).
pub(in crate::service) fn check_cluster_ips(spec: &Spec, old: Option<&Spec>, mistakes: &mut Mistakes) {
    if spec.is_external_name() {
        return;
    }
    let list = &spec.cluster_ips;
    match (spec.cluster_ip.as_str(), list.first()) {
        ("", Some(_)) => {
            mistakes.invalid("spec.clusterIPs", list, "must be empty when `clusterIP` is not specified");
        }
        ("", None) => {}
        (_, None) => mistakes.required("spec.clusterIPs", ""),
        (address, Some(first)) if address != first => {
            mistakes.invalid("spec.clusterIPs", list, "first value must match `clusterIP`");
        }
        _ => {}
    }
    check_family_fields(spec, mistakes);
    if check_addresses(list, old, mistakes) {
        check_address_families(spec, mistakes);
    }
}

fn check_family_fields(spec: &Spec, mistakes: &mut Mistakes) {
    let mut seen = HashSet::new();
    for (index, family) in spec.ip_families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if !["IPv4", "IPv6"].contains(&family.as_str()) {
            mistakes.unsupported(field.as_str(), family, &["IPv4", "IPv6"]);
        }
        if !seen.insert(family) {
            mistakes.duplicate(field, family);
        }
    }
    let policies = [PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK];
    if let Some(policy) = &spec.ip_family_policy
        && !policies.contains(&policy.as_str())
    {
        mistakes.unsupported("spec.ipFamilyPolicy", policy, &policies);
    }
}

/// Whether all are addresses, so that comparing them makes sense.
fn check_addresses(list: &[String], old: Option<&Spec>, mistakes: &mut Mistakes) -> bool {
    let stored = stored(old, |old| &old.cluster_ips);
    let before = mistakes.len();
    for (index, address) in list.iter().enumerate() {
        if index == 0 && address == NONE {
            if list.len() > 1 {
                mistakes.invalid("spec.clusterIPs", list, "'None' must be the first and only value");
            }
        } else {
            ip::address(&format!("spec.clusterIPs[{index}]"), address, &stored, mistakes);
        }
    }
    let valid = mistakes.len() == before;
    if list.len() > 2 {
        mistakes.invalid("spec.clusterIPs", list, "may only hold up to 2 values");
    }
    valid
}

fn check_address_families(spec: &Spec, mistakes: &mut Mistakes) {
    let list = &spec.cluster_ips;
    if spec.is_headless() || list.is_empty() {
        return;
    }
    let families: Vec<&str> = list.iter().filter_map(|text| ip::parse(text)).map(ip::family).collect();
    let count = |family| families.iter().filter(|known| **known == family).count();
    if count("IPv4") > 1 || count("IPv6") > 1 {
        mistakes.invalid("spec.clusterIPs", list, "may specify no more than one IP for each IP family");
    }
    for (index, (family, wanted)) in families.iter().zip(&spec.ip_families).enumerate() {
        if family != wanted {
            let detail = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            mistakes.invalid(format!("spec.clusterIPs[{index}]"), &list[index], &detail);
        }
    }
}
