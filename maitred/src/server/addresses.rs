//! Under which addresses and names the server is known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use apiserver::credentials::Names;

use crate::cli;

/// The addresses to publish: as given, else the listen address, else the machine's own.
pub(super) fn advertise(options: &cli::Server, listen: IpAddr) -> anyhow::Result<Vec<IpAddr>> {
    if !options.advertise_address.is_empty() {
        return Ok(options.advertise_address.clone());
    }
    if !listen.is_unspecified() {
        return Ok(vec![listen]);
    }
    let found = crate::addresses::machine_addresses();
    // A machine with nothing but loopback serves itself; `/readyz?verbose` says what that means for Pods.
    Ok(if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found })
}

/// Everything by which clients may call this server.
pub(super) fn names(options: &cli::Server, advertise: &[IpAddr]) -> Names {
    let domain = &options.cluster_domain;
    let mut dns: Vec<String> = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("kubernetes.default.svc.{domain}")])
        .collect();
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        dns.push(host.trim().to_owned());
    }
    let mut addresses = advertise.to_vec();
    addresses.push(options.listen.ip());
    addresses.extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    addresses.extend(options.service_cluster_ip_range.iter().map(apiserver::first_address));
    addresses.retain(|address| !address.is_unspecified());
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    Names { dns, addresses }
}
