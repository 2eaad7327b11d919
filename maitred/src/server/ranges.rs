//! Whether the ranges of addresses make sense, together and each for itself, before anything is given out of them.

use anyhow::bail;
use ipnet::IpNet;

use crate::cli;

const SERVICES: &str = "--service-cluster-ip-range";
const PODS: &str = "--cluster-cidr";

/// The longest host part of a range of cluster IPs (S-139), and the shortest that has the tenth address, which is that
/// of `kube-system/kube-dns`.
const HOST_BITS: std::ops::RangeInclusive<u8> = 4..=64;

/// Refuses ranges that cannot serve.
pub(super) fn check(options: &cli::Server) -> anyhow::Result<()> {
    let (services, pods) = (&options.service_cluster_ip_range, &options.cluster_cidr);
    if services.is_empty() {
        bail!("{SERVICES} is empty: give one range, or one of each IP family");
    }
    for (flag, ranges) in [(SERVICES, services), (PODS, pods)] {
        if let [_, second, ..] = ranges.as_slice()
            && (ranges.len() > 2 || ranges[0].addr().is_ipv4() == second.addr().is_ipv4())
        {
            bail!("{flag} has {} ranges: give one range, or one of each IP family", ranges.len());
        }
    }
    for (flag, ranges) in [(SERVICES, services), (PODS, pods)] {
        if let Some(range) = ranges.iter().find(|range| range.addr() != range.network()) {
            bail!("{flag} {range} is no range but an address in one: write {}", range.trunc());
        }
    }
    services.iter().try_for_each(check_size)?;
    for service in services {
        if let Some(pod) = pods.iter().find(|pod| overlap(service, pod)) {
            bail!("{SERVICES} {service} and {PODS} {pod} overlap: choose ranges that share no address");
        }
    }
    Ok(())
}

fn check_size(range: &IpNet) -> anyhow::Result<()> {
    let host_bits = range.max_prefix_len() - range.prefix_len();
    let (smallest, largest) = (range.max_prefix_len() - HOST_BITS.start(), 64);
    if host_bits < *HOST_BITS.start() {
        bail!(
            "{SERVICES} {range} is too small, the Service kube-dns needs its tenth address: choose a /{smallest} or larger"
        );
    }
    if host_bits > *HOST_BITS.end() {
        bail!("{SERVICES} {range} is too large: choose a /{largest} or smaller");
    }
    Ok(())
}

/// Of two ranges that share an address, one holds the other's first.
fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}
