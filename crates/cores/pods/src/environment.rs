//! What a container finds around it: variables and names.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::parse::{POD_IP, POD_IPS};
use crate::{ContainerPlan, PodPlan, expand};

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A container's variables, expanded: the usual ones, then its own. Each may use those before it.
pub fn environment(pod: &PodPlan, container: &ContainerPlan, addresses: &[IpAddr]) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = [("PATH", PATH), ("HOME", "/"), ("HOSTNAME", &pod.hostname)]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    for (name, value) in &container.env {
        let value = match value.as_str() {
            POD_IP => all.first().cloned().unwrap_or_default(),
            POD_IPS => all.join(","),
            value => expand(value, &variables),
        };
        variables.retain(|(known, _)| known != name);
        variables.push((name.clone(), value));
    }
    variables
}

/// A Pod's `/etc/hosts`; on the host's network, and without aliases, the host's own stays.
pub fn hosts_file(pod: &PodPlan, addresses: &[IpAddr], domain: &str) -> Option<String> {
    if pod.host_network && pod.host_aliases.is_empty() {
        return None;
    }
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    let name = &pod.hostname;
    for address in addresses {
        let _ = match pod.subdomain.as_str() {
            "" => writeln!(text, "{address}\t{name}"),
            subdomain => writeln!(text, "{address}\t{name}.{subdomain}.{}.svc.{domain}\t{name}", pod.namespace),
        };
    }
    for (address, names) in &pod.host_aliases {
        let _ = writeln!(text, "{address}\t{}", names.join("\t"));
    }
    Some(text)
}
