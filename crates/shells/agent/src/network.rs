//! A Pod's link to its node.
//!
//! Each Pod has a veth pair of its own and a route to each of its addresses; there is no bridge. The node's end carries the
//! first address of the node's range, which is the Pod's gateway:
//!
//! ```text
//!   Pod: eth0 10.244.3.7/32, default via 10.244.3.1   ──────   node: mt1f0c… 10.244.3.1/32, 10.244.3.7/32 dev mt1f0c…
//! ```

use std::net::IpAddr;

use ipnet::IpNet;
use kernel::links::{LinkError, Links, Route, Scope, Veth};
use kernel::netns::{Namespace, NamespaceError};

const ETH0: &str = "eth0";

/// What the names of the nodes' ends of Pods' links are made of: this, and so many digits of the Pod's uid.
pub(crate) const POD_LINK: &str = "mt";
pub(crate) const POD_LINK_DIGITS: usize = 12;

/// The name of the node's end of a Pod's link, from the Pod's uid.
pub(crate) fn link_name(uid: &str) -> String {
    let digits: String = uid.chars().filter(char::is_ascii_alphanumeric).take(POD_LINK_DIGITS).collect();
    format!("{POD_LINK}{digits}")
}

/// Joins a new Pod network to the node.
pub(crate) fn attach(
    node: &Links,
    uid: &str,
    addresses: &[IpAddr],
    ranges: &[IpNet],
) -> Result<Namespace, NamespaceError> {
    let pod = Namespace::create()?;
    let link = link_name(uid);
    detach(node, uid)?;
    let (peer_name, peer_namespace) = (ETH0, Some(&pod));
    node.add_veth(&Veth { name: &link, mac: None, peer_name, peer_mac: None, peer_namespace, mtu: None })?;
    node.set_up(&link, true)?;
    pod.links().set_up(ETH0, true)?;
    // The network is the Pod's own, so that its user may take any port, as container runtimes have it.
    pod.set_sysctls(&[("net/ipv4/ip_unprivileged_port_start", "0")])?;
    for address in addresses {
        let Some(range) = ranges.iter().find(|range| range.contains(address)) else { continue };
        let (host, gateway) = (single(*address), pods::gateway(range));
        node.add_address(&link, single(gateway), Scope::Global)?;
        node.replace_route(&Route::new(host).link(&link))?;
        pod.links().add_address(ETH0, host, Scope::Global)?;
        pod.links().replace_route(&Route::new(single(gateway)).link(ETH0))?;
        pod.links().replace_route(&Route::new(everything(gateway)).via(gateway).link(ETH0))?;
    }
    Ok(pod)
}

/// Removes a Pod's link, if it is there; its routes go with it.
pub(crate) fn detach(node: &Links, uid: &str) -> Result<(), LinkError> {
    match node.delete(&link_name(uid)) {
        Err(error) if !error.is_already_so() => Err(error),
        _ => Ok(()),
    }
}

/// Has the node pass packets on between Pods and others.
pub(crate) fn forward(node: &Namespace, ranges: &[IpNet]) -> Result<(), NamespaceError> {
    if ranges.iter().any(|range| range.addr().is_ipv4()) {
        node.set_sysctls(&[("net/ipv4/ip_forward", "1")])?;
    }
    if ranges.iter().any(|range| range.addr().is_ipv6()) {
        node.run(keep_router_advertisements)?;
        node.set_sysctls(&[("net/ipv6/conf/all/forwarding", "1"), ("net/ipv6/conf/default/forwarding", "1")])?;
    }
    Ok(())
}

/// A node that forwards stops listening to routers, and would lose a default route that it has from one: 2 means "listen
/// though forwarding" (ip-sysctl, `accept_ra`).
fn keep_router_advertisements() {
    for entry in std::fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten() {
        let file = entry.path().join("accept_ra");
        if std::fs::read_to_string(&file).is_ok_and(|value| value.trim() == "1") {
            let _ = std::fs::write(&file, "2");
        }
    }
}

fn single(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn everything(of: IpAddr) -> IpNet {
    let unspecified: IpAddr = match of {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    IpNet::new_assert(unspecified, 0)
}
