//! Ranges, routes and switches of the network.

use ipnet::IpNet;
use kernel::links::Route;
use model::Family;

use super::label;
use crate::Wanted;
use crate::facts::Facts;
use crate::finding::Finding;

/// `RTPROT_KERNEL`: such a route comes with an address, which is told of instead.
const BY_KERNEL: u8 = 2;
/// VPN programs cut the default route in two halves, to be preferred.
const DEFAULT_BITS: u8 = 1;

/// Whether the machine passes packets on. The agent sees to it, so this is a matter of interest only.
pub(super) fn forwarding(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    let families = Family::ALL.into_iter().zip(facts.forwarding).filter(|(family, _)| wanted.wants(*family));
    let states: Vec<String> = families
        .map(|(family, on)| match on {
            Some(true) => format!("{} on", label(family)),
            Some(false) => format!("{} off (the agent switches it on)", label(family)),
            None => format!("{} unknown to the kernel", label(family)),
        })
        .collect();
    (!states.is_empty()).then(|| Finding::good("forwarding", states.join(", ")))
}

/// The wanted ranges, each against the other ones and the machine's own networks.
pub(super) fn ranges(facts: &Facts, wanted: &Wanted) -> Vec<Finding> {
    let service = wanted.service_ranges.iter().map(|range| ("service-range", "--service-cluster-ip-range", range));
    let pod = wanted.pod_ranges.iter().map(|range| ("pod-range", "--cluster-cidr", range));
    let all: Vec<_> = service.chain(pod).collect();
    let judged = all.iter().enumerate().map(|(index, (name, option, range))| {
        let remedy = format!("choose another range by {option}, or give up what overlaps");
        if let Some((_, _, other)) = all[..index].iter().find(|(_, _, other)| overlap(range, other)) {
            return Finding::bad(name, format!("{range} overlaps the other wanted range {other}"), remedy);
        }
        match networks(facts) {
            Err(reason) => Finding::unknown(name, &reason),
            Ok(networks) => {
                let met = networks.into_iter().filter(|(network, _)| overlap(range, network)).map(|(_, what)| what);
                match met.collect::<Vec<_>>().join(", ") {
                    none if none.is_empty() => Finding::good(name, format!("{range} meets no address and no route")),
                    met => Finding::bad(name, format!("{range} overlaps {met}"), remedy),
                }
            }
        }
    });
    judged.collect()
}

/// The networks in which the machine has an address or a route, without those of maitred itself.
fn networks(facts: &Facts) -> Result<Vec<(IpNet, String)>, String> {
    let is_ours = |link: &str| agent::is_pod_link(link);
    let addresses = facts.addresses.as_ref().map_err(Clone::clone)?.iter().filter(|(link, _)| !is_ours(link));
    let routes = facts.routes.as_ref().map_err(Clone::clone)?.iter().filter(|route| {
        let protocols = [BY_KERNEL, agent::ROUTE_PROTOCOL];
        let by_link = route.link.as_deref().is_some_and(is_ours);
        route.to.prefix_len() > DEFAULT_BITS && !protocols.contains(&route.protocol) && !by_link
    });
    let addresses = addresses.map(|(link, address)| (*address, format!("the address {address} of {link}")));
    Ok(addresses.chain(routes.map(|route| (route.to, describe(route)))).collect())
}

fn describe(route: &Route) -> String {
    let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let link = route.link.as_ref().map(|link| format!(" dev {link}")).unwrap_or_default();
    format!("the route to {}{via}{link}", route.to)
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Only where there are bridges: replies between two Pods of one bridge must meet netfilter to be translated back.
pub(super) fn bridges(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    const NAME: &str = "bridges";
    if facts.bridges.is_empty() {
        return None;
    }
    let names = facts.bridges.join(", ");
    let families = Family::ALL.into_iter().zip(facts.bridge_netfilter);
    let off: Vec<&str> = families
        .filter(|(family, on)| wanted.wants(*family) && !on)
        .map(|(family, _)| if family == Family::V4 { "iptables" } else { "ip6tables" })
        .collect();
    if off.is_empty() {
        return Some(Finding::good(NAME, format!("packets that {names} passes on meet the rules")));
    }
    let settings: Vec<String> = off.iter().map(|name| format!("net.bridge.bridge-nf-call-{name}=1")).collect();
    Some(Finding::warning(
        NAME,
        format!(
            "packets that {names} passes on don't meet the rules; Pods on one bridge can't reach each other by a Service"
        ),
        format!("if Pods stand behind a bridge here: `modprobe br_netfilter`, `sysctl {}`", settings.join(" ")),
    ))
}

/// Only where IPv6 is wanted and not there.
pub(super) fn ipv6(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    let remedy = "`sysctl net.ipv6.conf.all.disable_ipv6=0` (or boot without ipv6.disable=1), or give IPv4 ranges only";
    let said = "IPv6 ranges are wanted, but IPv6 is switched off on this machine";
    (wanted.wants(Family::V6) && !facts.ipv6).then(|| Finding::warning("ipv6", said, remedy))
}
