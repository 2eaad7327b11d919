//! What a Pod contributes to a Service: whether it counts, its addresses, its ports.

use std::net::{IpAddr, Ipv4Addr};

use api::{AddressType, EndpointPort, ObjectReference, Pod, Service, ServicePort, TargetPort};

/// Whether the Service has a selector to follow. Without one its endpoints are somebody else's (S-201, S-224).
pub fn follows_selector(service: &Service) -> bool {
    !service.is_external_name() && !service.spec.selector.is_empty()
}

/// The Pods that the Service selects, whatever their state.
pub fn selected<'a>(service: &'a Service, pods: &'a [&'a Pod]) -> impl Iterator<Item = &'a Pod> {
    pods.iter().copied().filter(|pod| {
        let labels = &pod.metadata.labels;
        pod.metadata.namespace == service.metadata.namespace
            && service.spec.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// Whether a selected Pod may stand behind a Service (S-202): it has an address and has not ended.
pub fn is_candidate(pod: &Pod) -> bool {
    !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") && addresses(pod).next().is_some()
}

/// Whether the Pod's condition `Ready` holds.
pub fn is_ready(pod: &Pod) -> bool {
    pod.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
}

/// Whether the Pod is being deleted.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The Pod's addresses of one family, canonically written (S-203).
pub fn addresses_of(pod: &Pod, address_type: AddressType) -> Vec<String> {
    addresses(pod).filter(|address| type_of(*address) == address_type).map(|address| address.to_string()).collect()
}

/// The address type that holds this address.
pub fn type_of(address: IpAddr) -> AddressType {
    if address.is_ipv4() { AddressType::IPv4 } else { AddressType::IPv6 }
}

/// `podIPs`; a status that only has the older `podIP` means the same.
fn addresses(pod: &Pod) -> impl Iterator<Item = IpAddr> {
    let single = pod.status.pod_ips.is_empty().then_some(pod.status.pod_ip.as_str());
    let texts = pod.status.pod_ips.iter().map(|entry| entry.ip.as_str()).chain(single);
    texts.filter_map(parse_address)
}

/// Reads an address as Kubernetes does: leading zeros in IPv4 are decimal, IPv4 mapped into IPv6 is IPv4.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().or_else(|| parse_zero_padded(text)).map(|address| address.to_canonical())
}

fn parse_zero_padded(text: &str) -> Option<IpAddr> {
    let bytes: Vec<u8> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(octets)))
}

/// The ports that this Pod serves of the Service, in the Service's order. A named target that the Pod lacks is left out
/// (S-207).
pub fn resolve_ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    service.spec.ports.iter().filter_map(|port| resolve_port(port, pod)).collect()
}

fn resolve_port(port: &ServicePort, pod: &Pod) -> Option<EndpointPort> {
    let number = match &port.target_port {
        None | Some(TargetPort::Number(0)) => port.port,
        Some(TargetPort::Number(number)) => *number,
        Some(TargetPort::Name(name)) if name.is_empty() => port.port,
        Some(TargetPort::Name(name)) => named_port(name, port, pod)?,
    };
    Some(EndpointPort {
        name: Some(port.name.clone()),
        protocol: port.protocol,
        port: Some(number),
        app_protocol: port.app_protocol.clone(),
    })
}

/// Looks a name up among the containers, then among the side cars.
fn named_port(name: &str, port: &ServicePort, pod: &Pod) -> Option<u16> {
    let is_sidecar = |container: &&api::Container| container.restart_policy.as_deref() == Some("Always");
    let containers = pod.spec.containers.iter().chain(pod.spec.init_containers.iter().filter(is_sidecar));
    containers
        .flat_map(|container| &container.ports)
        .find(|candidate| candidate.name == name && candidate.protocol == port.protocol)
        .map(|found| found.container_port)
}

/// The DNS host name that the Pod has within this Service: only if the Service governs it (S-206).
pub fn hostname<'a>(service: &Service, pod: &'a Pod) -> Option<&'a str> {
    let governed = pod.spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace;
    (governed && !pod.spec.hostname.is_empty()).then_some(pod.spec.hostname.as_str())
}

/// The `targetRef` of the Pod's endpoints.
pub fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
    }
}

/// The node that the Pod is bound to.
pub fn node_name(pod: &Pod) -> Option<&str> {
    (!pod.spec.node_name.is_empty()).then_some(pod.spec.node_name.as_str())
}

#[cfg(test)]
mod tests;
