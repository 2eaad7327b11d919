//! The addresses under which others reach this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use kernel::links::Links;

/// One address per family: the one that speaks to the world, else the first that is not loopback or link-local.
pub(crate) fn machine_addresses() -> Vec<IpAddr> {
    let found = Links::open().and_then(|links| links.addresses()).unwrap_or_default();
    let listed: Vec<IpAddr> = found.into_iter().map(|(_, address)| address.addr()).filter(is_reachable).collect();
    let first = |is_v4: bool| listed.iter().find(|address| address.is_ipv4() == is_v4).copied();
    [source_v4().or(first(true)), source_v6().or(first(false))].into_iter().flatten().collect()
}

fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

fn source_v4() -> Option<IpAddr> {
    source(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
}

fn source_v6() -> Option<IpAddr> {
    source(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
}

/// The source address of what goes far away (both are documentation addresses). Connecting a UDP socket sends nothing.
fn source(any: IpAddr, far: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(is_reachable)
}
