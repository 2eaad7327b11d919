//! What a Service's author should know although it is accepted (S-134).

use serde_json::Value;

use super::spec::{NONE, Spec};
use super::validate;
use crate::ip;

/// The warnings, in upstream's order.
pub(super) fn of(object: &Value, spec: &Spec) -> Vec<String> {
    let mut warnings: Vec<String> = validate::deprecated_hints(object).into_iter().collect();
    for (index, address) in spec.cluster_ips.iter().enumerate().filter(|(_, address)| *address != NONE) {
        warnings.extend(ip::address_warning(&format!("spec.clusterIPs[{index}]"), address));
    }
    if spec.is_headless() {
        let ignored = [
            (!spec.load_balancer_ip.is_empty(), "spec.loadBalancerIP"),
            (!spec.external_ips.is_empty(), "spec.externalIPs"),
            (spec.session_affinity != NONE, "spec.SessionAffinity"),
        ];
        for (_, field) in ignored.into_iter().filter(|(given, _)| *given) {
            warnings.push(format!("{field} is ignored when spec.clusterIP is \"None\""));
        }
    }
    if !spec.is_external_name() && !spec.external_name.is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.traffic_distribution.as_deref() == Some("PreferClose") {
        warnings.push("spec.trafficDistribution: PreferClose is deprecated; use PreferSameZone".to_owned());
    }
    if !spec.external_ips.is_empty() {
        warnings.push("spec.externalIPs is deprecated".to_owned());
    }
    for (index, address) in spec.external_ips.iter().enumerate() {
        warnings.extend(ip::address_warning(&format!("spec.externalIPs[{index}]"), address));
    }
    if !spec.load_balancer_ip.is_empty() {
        warnings.extend(ip::address_warning("spec.loadBalancerIP", &spec.load_balancer_ip));
    }
    for (index, range) in spec.load_balancer_source_ranges.iter().enumerate() {
        warnings.extend(ip::range_warning(&format!("spec.loadBalancerSourceRanges[{index}]"), range.trim()));
    }
    warnings
}
