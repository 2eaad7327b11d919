//! Which addresses stand where. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What a lab consists of.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Number of nodes, 1 to 100.
    pub nodes: usize,
    /// Zone of each node, dealt in turn; without any, nodes have no zone.
    pub zones: Vec<String>,
    /// Whether the lab keeps routes on each node to the other nodes' Pod ranges; false where agents under test do.
    pub pod_routes: bool,
    /// Content of `/etc/resolv.conf` for programs on every host; the real host's file is seen otherwise.
    pub resolv_conf: Option<String>,
    /// Ranges that the outside client reaches through a node: (range, index of the node). None by default.
    pub client_routes: Vec<(IpNet, usize)>,
    /// Maximum packet size of all links, in bytes.
    pub mtu: Option<u32>,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self { nodes: 3, zones: Vec::new(), pod_routes: true, resolv_conf: None, client_routes: Vec::new(), mtu: None }
    }
}

/// The addresses of a host: one or both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ips {
    /// IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl Ips {
    /// Both families.
    pub fn dual(v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self { v4: Some(v4), v6: Some(v6) }
    }

    /// The addresses there are, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// Who stands on the LAN, by the last part of the address.
const BACKBONE: u32 = 1;
const CONTROL: u32 = 2;
const FIRST_NODE: u32 = 10;
const FIRST_CLIENT: u32 = 200;

/// The LAN of nodes, control host and outside clients. 172.31.0.128/26 and fd00:31::1:0/112 stay free, e.g. for load
/// balancers.
pub fn lan() -> (Ipv4Net, Ipv6Net) {
    (
        Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 24),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x31, 0, 0, 0, 0, 0, 0), 64),
    )
}

/// The backbone's addresses: the default gateway of the nodes.
pub fn backbone_ips() -> Ips {
    on_lan(BACKBONE)
}

/// The control host's addresses.
pub fn control_ips() -> Ips {
    on_lan(CONTROL)
}

/// Addresses of a node, 0 to 99.
pub fn node_ips(node: usize) -> Ips {
    assert!(node < 100, "a lab has at most 100 nodes");
    on_lan(FIRST_NODE + node as u32)
}

/// Addresses of an outside client, 0 to 49.
pub fn client_ips(client: usize) -> Ips {
    assert!(client < 50, "a lab has at most 50 outside clients");
    on_lan(FIRST_CLIENT + client as u32)
}

/// The Pod ranges of a node.
pub fn pod_ranges(node: usize) -> (Ipv4Net, Ipv6Net) {
    (
        Ipv4Net::new_assert(Ipv4Addr::new(10, 244, node as u8, 0), 24),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x244, node as u16, 0, 0, 0, 0), 64),
    )
}

/// Addresses of the Pod with number `pod` (0 to 250) of a node.
pub fn pod_ips(node: usize, pod: usize) -> Ips {
    assert!(pod <= 250, "a node has at most 251 Pods");
    let (v4, v6) = pod_ranges(node);
    offset(v4, v6, 2 + pod as u32)
}

fn on_lan(number: u32) -> Ips {
    let (v4, v6) = lan();
    offset(v4, v6, number)
}

fn offset(v4: Ipv4Net, v6: Ipv6Net, number: u32) -> Ips {
    Ips::dual((v4.network().to_bits() + number).into(), (v6.network().to_bits() + u128::from(number)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_where_the_picture_says() {
        let check = |ips: Ips, v4: &str, v6: &str| {
            assert_eq!(ips, Ips::dual(v4.parse().unwrap(), v6.parse().unwrap()), "{v4}");
        };
        check(backbone_ips(), "172.31.0.1", "fd00:31::1");
        check(control_ips(), "172.31.0.2", "fd00:31::2");
        check(node_ips(0), "172.31.0.10", "fd00:31::a");
        check(node_ips(2), "172.31.0.12", "fd00:31::c");
        check(client_ips(0), "172.31.0.200", "fd00:31::c8");
        check(pod_ips(0, 0), "10.244.0.2", "fd00:10:244::2");
        check(pod_ips(2, 8), "10.244.2.10", "fd00:10:244:2::a");
    }

    #[test]
    fn no_two_hosts_share_an_address() {
        let mut all = vec![backbone_ips(), control_ips()];
        all.extend((0..100).map(node_ips));
        all.extend((0..50).map(client_ips));
        all.extend((0..3).flat_map(|node| (0..=250).map(move |pod| pod_ips(node, pod))));
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
