//! What a Service gets where its author said nothing (S-111), and what a reader sees of an older one (S-110).

use serde_json::Value;

use super::spec::{
    CLIENT_IP, CLUSTER, CLUSTER_IP, ClientIp, EXTERNAL_NAME, NONE, REQUIRE_DUAL_STACK, SINGLE_STACK,
    SessionAffinityConfig, Spec, TargetPort, family_of, other_family,
};
use crate::ip;
use crate::json::{self, text, texts};

/// Three hours.
const AFFINITY_TIMEOUT_SECONDS: i32 = 10800;

/// S-111.
pub(super) fn set(spec: &mut Spec) {
    if spec.session_affinity.is_empty() {
        spec.session_affinity = NONE.to_owned();
    }
    match spec.session_affinity.as_str() {
        NONE => spec.session_affinity_config = None,
        CLIENT_IP => set_affinity_timeout(spec),
        _ => {}
    }
    if spec.r#type.is_empty() {
        spec.r#type = CLUSTER_IP.to_owned();
    }
    for port in &mut spec.ports {
        if port.protocol.is_empty() {
            port.protocol = "TCP".to_owned();
        }
        let unset = match &port.target_port {
            TargetPort::Number(number) => *number == 0,
            TargetPort::Name(name) => name.is_empty(),
        };
        if unset {
            port.target_port = TargetPort::Number(port.port);
        }
    }
    if spec.external_traffic_policy.is_empty() && spec.is_externally_accessible() {
        spec.external_traffic_policy = CLUSTER.to_owned();
    }
    if spec.internal_traffic_policy.is_none() && spec.needs_cluster_ip() {
        spec.internal_traffic_policy = Some(CLUSTER.to_owned());
    }
    if spec.is_load_balancer() && spec.allocate_load_balancer_node_ports.is_none() {
        spec.allocate_load_balancer_node_ports = Some(true);
    }
}

fn set_affinity_timeout(spec: &mut Spec) {
    let timeout = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    if timeout.is_none() {
        let client_ip = Some(ClientIp { timeout_seconds: Some(AFFINITY_TIMEOUT_SECONDS) });
        spec.session_affinity_config = Some(SessionAffinityConfig { client_ip });
    }
}

/// S-110. Leaves an object alone that is not as [`crate::conform()`] makes it.
pub(super) fn read(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    if text(spec, "/type") == EXTERNAL_NAME {
        json::remove(spec, "internalTrafficPolicy");
        return;
    }
    let cluster_ip = text(spec, "/clusterIP").to_owned();
    if !cluster_ip.is_empty() && json::is_empty(spec, "/clusterIPs") {
        json::set(spec, "clusterIPs", vec![cluster_ip]);
    }
    if json::is_empty(spec, "/ipFamilies") {
        read_families(spec);
    }
}

fn read_families(spec: &mut Value) {
    let addresses = texts(spec, "/clusterIPs");
    let Some(first) = addresses.first() else { return };
    let (families, policy) = if first == NONE {
        // The cluster's primary family is not known here; no cluster that maitred serves predates ipFamilies, so what is
        // read this way comes from a single-stack IPv4 one.
        let primary = "IPv4".to_owned();
        if json::is_empty(spec, "/selector") {
            (vec![primary.clone(), other_family(&primary)], REQUIRE_DUAL_STACK)
        } else {
            (vec![primary], SINGLE_STACK)
        }
    } else {
        let families: Vec<String> = addresses.iter().filter_map(|text| ip::parse(text)).map(family_of).collect();
        let policy = if families.len() > 1 { REQUIRE_DUAL_STACK } else { SINGLE_STACK };
        (families, policy)
    };
    json::set(spec, "ipFamilies", families);
    json::set_default(spec, "ipFamilyPolicy", policy);
}
