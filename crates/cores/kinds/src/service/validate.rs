//! What a Service must be like to be stored (S-120…S-132, S-134).

mod cluster_ips;

use std::collections::HashSet;

use serde_json::{Value, json};

pub(in crate::service) use self::cluster_ips::check_cluster_ips;
use super::spec::{
    CLIENT_IP, CLUSTER, CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, LOCAL, NODE_PORT, NONE, Port, Spec, TargetPort,
};
use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::{ip, json, syntax};

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
const NOT_EXTERNAL_NAME: &str = "may not be set for ExternalName services";
/// One day.
const AFFINITY_TIMEOUT_SECONDS_MAX: i32 = 86400;

/// Checks a whole Service; `old` is what is stored, whose spelling of addresses is accepted (S-134).
pub(super) fn check(object: &Value, spec: &Spec, old: Option<&Spec>, mistakes: &mut Mistakes) {
    check_topology_annotations(object, mistakes);
    check_by_type(spec, mistakes);
    check_ports(spec, mistakes);
    syntax::labels("spec.selector", spec.selector.iter().map(|(key, value)| (key, value.as_str())), mistakes);
    check_affinity(spec, mistakes);
    check_cluster_ips(spec, old, mistakes);
    check_external_ips(spec, old, mistakes);
    check_type(spec, mistakes);
    check_node_ports(spec, mistakes);
    check_duplicate_ports(spec, mistakes);
    check_source_ranges(object, spec, old, mistakes);
    check_load_balancer_fields(spec, mistakes);
    check_traffic_policies(spec, mistakes);
}

fn check_topology_annotations(object: &Value, mistakes: &mut Mistakes) {
    let annotations = &object["metadata"]["annotations"];
    if let (Some(hints), Some(mode)) = (annotations.get(HINTS), annotations.get(TOPOLOGY_MODE))
        && hints != mode
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        mistakes.invalid(format!("metadata.annotations[{TOPOLOGY_MODE}]"), mode, &detail);
    }
}

fn check_by_type(spec: &Spec, mistakes: &mut Mistakes) {
    if spec.ports.is_empty() && !spec.is_headless() && !spec.is_external_name() {
        mistakes.required("spec.ports", "");
    }
    if spec.has_node_ports() && spec.is_headless() {
        let detail = format!("may not be set to 'None' for {} services", spec.r#type);
        mistakes.invalid("spec.clusterIPs[0]", &spec.cluster_ips[0], &detail);
    }
    if spec.is_external_name() {
        check_external_name(spec, mistakes);
    }
}

/// S-120, S-128.
fn check_external_name(spec: &Spec, mistakes: &mut Mistakes) {
    if !spec.cluster_ips.is_empty() || !spec.cluster_ip.is_empty() {
        mistakes.forbidden("spec.clusterIPs", NOT_EXTERNAL_NAME);
    }
    if !spec.ip_families.is_empty() {
        mistakes.forbidden("spec.ipFamilies", NOT_EXTERNAL_NAME);
    }
    if spec.ip_family_policy.is_some() {
        mistakes.forbidden("spec.ipFamilyPolicy", NOT_EXTERNAL_NAME);
    }
    let name = spec.external_name.strip_suffix('.').unwrap_or(&spec.external_name);
    if name.is_empty() {
        mistakes.required("spec.externalName", "");
    } else {
        mistakes.each("spec.externalName", name, syntax::dns_subdomain(name));
    }
}

/// S-123, S-124.
fn check_ports(spec: &Spec, mistakes: &mut Mistakes) {
    let mut names = HashSet::new();
    for (index, port) in spec.ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        if port.name.is_empty() && spec.ports.len() > 1 {
            mistakes.required(format!("{field}.name"), "");
        } else if !port.name.is_empty() {
            mistakes.each(&format!("{field}.name"), &port.name, syntax::dns_label(&port.name));
            if !names.insert(port.name.as_str()) {
                mistakes.duplicate(format!("{field}.name"), &port.name);
            }
        }
        check_port(&field, port, mistakes);
    }
}

fn check_port(field: &str, port: &Port, mistakes: &mut Mistakes) {
    mistakes.each(&format!("{field}.port"), port.port, syntax::port_number(i64::from(port.port)));
    one_of(&format!("{field}.protocol"), &port.protocol, &["SCTP", "TCP", "UDP"], mistakes);
    let target = format!("{field}.targetPort");
    match &port.target_port {
        TargetPort::Number(number) => mistakes.each(&target, number, syntax::port_number(i64::from(*number))),
        TargetPort::Name(name) => mistakes.each(&target, name, syntax::port_name(name)),
    }
    if let Some(name) = &port.app_protocol {
        mistakes.each(&format!("{field}.appProtocol"), name, syntax::qualified_name(name));
    }
}

/// S-126.
fn check_affinity(spec: &Spec, mistakes: &mut Mistakes) {
    one_of("spec.sessionAffinity", &spec.session_affinity, &[CLIENT_IP, NONE], mistakes);
    let field = "spec.sessionAffinityConfig";
    if spec.session_affinity == NONE && spec.session_affinity_config.is_some() {
        mistakes.forbidden(field, "must not be set when session affinity is None");
    }
    if spec.session_affinity != CLIENT_IP {
        return;
    }
    let when = "when session affinity type is ClientIP";
    let Some(config) = &spec.session_affinity_config else { return mistakes.required(field, when) };
    let Some(client_ip) = &config.client_ip else { return mistakes.required(format!("{field}.clientIP"), when) };
    let field = format!("{field}.clientIP.timeoutSeconds");
    match client_ip.timeout_seconds {
        None => mistakes.required(field, when),
        Some(1..=AFFINITY_TIMEOUT_SECONDS_MAX) => {}
        Some(seconds) => {
            let detail = format!("must be greater than 0 and less than {AFFINITY_TIMEOUT_SECONDS_MAX}");
            mistakes.invalid(field, seconds, &detail);
        }
    }
}

/// S-127.
fn check_external_ips(spec: &Spec, old: Option<&Spec>, mistakes: &mut Mistakes) {
    let stored = stored(old, |old| &old.external_ips);
    for (index, text) in spec.external_ips.iter().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        if let Some(address) = ip::address(&field, text, &stored, mistakes) {
            ip::not_special(&field, text, address, mistakes);
        }
    }
}

fn check_type(spec: &Spec, mistakes: &mut Mistakes) {
    one_of("spec.type", &spec.r#type, &[CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT], mistakes);
}

fn check_node_ports(spec: &Spec, mistakes: &mut Mistakes) {
    let with_number = || spec.ports.iter().enumerate().filter(|(_, port)| port.node_port != 0);
    if spec.r#type == CLUSTER_IP {
        for (index, _) in with_number() {
            let detail = "may not be used when `type` is 'ClusterIP'";
            mistakes.forbidden(format!("spec.ports[{index}].nodePort"), detail);
        }
    }
    let mut seen = HashSet::new();
    for (index, port) in with_number() {
        if !seen.insert((&port.protocol, port.node_port)) {
            mistakes.duplicate(format!("spec.ports[{index}].nodePort"), port.node_port);
        }
    }
}

fn check_duplicate_ports(spec: &Spec, mistakes: &mut Mistakes) {
    let mut seen = HashSet::new();
    for (index, port) in spec.ports.iter().enumerate() {
        if !seen.insert((&port.protocol, port.port)) {
            // Upstream shows its internal form of a port with nothing but these two set.
            let shown = json!({"protocol": port.protocol, "port": port.port});
            mistakes.duplicate(format!("spec.ports[{index}]"), shown);
        }
    }
}

/// S-129. The field counts; the annotation only while the field is empty.
fn check_source_ranges(object: &Value, spec: &Spec, old: Option<&Spec>, mistakes: &mut Mistakes) {
    let stored = stored(old, |old| &old.load_balancer_source_ranges);
    if !spec.load_balancer_source_ranges.is_empty() {
        // The capital letter is upstream's.
        let field = "spec.LoadBalancerSourceRanges";
        if !spec.is_load_balancer() {
            mistakes.forbidden(field, ONLY_LOAD_BALANCER);
        }
        for (index, range) in spec.load_balancer_source_ranges.iter().enumerate() {
            ip::range(&format!("{field}[{index}]"), range.trim(), &stored, mistakes);
        }
    } else if let Some(list) = json::pairs(object, "/metadata/annotations").find(|(key, _)| *key == SOURCE_RANGES) {
        let field = format!("metadata.annotations[{SOURCE_RANGES}]");
        if !spec.is_load_balancer() {
            mistakes.forbidden(field.as_str(), ONLY_LOAD_BALANCER);
        }
        for range in list.1.trim().split(',').map(str::trim).filter(|_| !list.1.trim().is_empty()) {
            ip::range(&field, range, &stored, mistakes);
        }
    }
}

/// S-130.
fn check_load_balancer_fields(spec: &Spec, mistakes: &mut Mistakes) {
    let allocate = "spec.allocateLoadBalancerNodePorts";
    match (spec.is_load_balancer(), spec.allocate_load_balancer_node_ports) {
        (false, Some(_)) => mistakes.forbidden(allocate, ONLY_LOAD_BALANCER),
        (true, None) => mistakes.required(allocate, ""),
        _ => {}
    }
    match (&spec.load_balancer_class, spec.is_load_balancer()) {
        (Some(class), true) => mistakes.each("spec.loadBalancerClass", class, syntax::qualified_name(class)),
        (Some(_), false) => mistakes.forbidden("spec.loadBalancerClass", ONLY_LOAD_BALANCER),
        (None, _) => {}
    }
}

/// S-131, S-132.
fn check_traffic_policies(spec: &Spec, mistakes: &mut Mistakes) {
    let external = "spec.externalTrafficPolicy";
    if spec.is_externally_accessible() {
        one_of(external, &spec.external_traffic_policy, &[CLUSTER, LOCAL], mistakes);
    } else if !spec.external_traffic_policy.is_empty() {
        let detail = "may only be set for externally-accessible services";
        mistakes.invalid(external, &spec.external_traffic_policy, detail);
    }
    check_health_check(spec, mistakes);
    match &spec.internal_traffic_policy {
        Some(policy) => one_of("spec.internalTrafficPolicy", policy, &[CLUSTER, LOCAL], mistakes),
        None if spec.needs_cluster_ip() => mistakes.required("spec.internalTrafficPolicy", ""),
        None => {}
    }
    let distributions = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    if let Some(distribution) = &spec.traffic_distribution
        && !distributions.contains(&distribution.as_str())
    {
        mistakes.unsupported("spec.trafficDistribution", distribution, &distributions);
    }
}

fn check_health_check(spec: &Spec, mistakes: &mut Mistakes) {
    let (field, number) = ("spec.healthCheckNodePort", spec.health_check_node_port);
    match (spec.needs_health_check(), number) {
        (false, 0) => {}
        (false, _) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            mistakes.invalid(field, number, detail);
        }
        (true, 0) => mistakes.required(field, ""),
        (true, _) => mistakes.each(field, number, syntax::port_number(i64::from(number))),
    }
}

/// What the old object says in one field, spaces around it aside.
fn stored(old: Option<&Spec>, list: impl Fn(&Spec) -> &[String]) -> Stored {
    old.map(|old| list(old).iter().map(|text| text.trim().to_owned()).collect()).unwrap_or_default()
}

fn one_of(field: &str, value: &str, supported: &[&str], mistakes: &mut Mistakes) {
    if value.is_empty() {
        mistakes.required(field, "");
    } else if !supported.contains(&value) {
        mistakes.unsupported(field, value, supported);
    }
}

/// The value of the older annotation for topology hints, whose use earns a warning (S-134).
pub(super) fn deprecated_hints(object: &Value) -> Option<String> {
    let annotations = &object["metadata"]["annotations"];
    annotations.get(HINTS).map(|_| format!("annotation {HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"))
}
