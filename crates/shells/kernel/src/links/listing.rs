//! Links, addresses and routes as the kernel lists them. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use super::message::{RTNH_F_ONLINK, attributes, u32_at};
use super::{Link, Route};

/// Attributes of a bridge's port, and the state in which it forwards (`if_bridge.h`).
const IFLA_BRPORT_STATE: u16 = 1;
const BR_STATE_FORWARDING: u8 = 3;
const OPERSTATE_UP: u8 = 6;

/// A link; `None` if the bytes break off.
pub fn parse_link(payload: &[u8]) -> Option<Link> {
    let flags = u32_at(payload, 8)?;
    let mut link = Link {
        index: u32_at(payload, 4)?,
        name: String::new(),
        mac: None,
        mtu: 0,
        is_up: flags & libc::IFF_UP as u32 != 0,
        is_ready: false,
    };
    let (mut operstate, mut forwards) = (0, true);
    for (kind, value) in attributes(payload.get(16..)?) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
            libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
            libc::IFLA_OPERSTATE => operstate = *value.first()?,
            libc::IFLA_LINKINFO => forwards = forwards && port_forwards(value),
            _ => {}
        }
    }
    link.is_ready = operstate == OPERSTATE_UP && forwards;
    Some(link)
}

/// Whether the link is no bridge's port, or one that forwards.
fn port_forwards(info: &[u8]) -> bool {
    let port = attributes(info).find(|(kind, _)| *kind == libc::IFLA_INFO_SLAVE_DATA);
    let state = port.and_then(|(_, data)| attributes(data).find(|(kind, _)| *kind == IFLA_BRPORT_STATE));
    state.is_none_or(|(_, value)| value == [BR_STATE_FORWARDING])
}

/// An address with its link's index; `None` if the bytes break off.
pub fn parse_address(payload: &[u8]) -> Option<(u32, IpNet)> {
    let prefix_len = *payload.get(1)?;
    let index = u32_at(payload, 4)?;
    let find = |wanted| attributes(&payload[8..]).find(|(kind, _)| *kind == wanted);
    // IPv4 lists the own address as local and, on a point-to-point link, the peer's as address; IPv6 has only the latter.
    let (_, value) = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
    Some((index, IpNet::new(ip(value)?, prefix_len).ok()?))
}

/// A unicast route of the main table; `None` for any other.
pub fn parse_route(payload: &[u8], links: &[Link]) -> Option<Route> {
    let [family, prefix_len, _, _, table, protocol, _, kind] = *payload.first_chunk()?;
    if table != libc::RT_TABLE_MAIN || kind != libc::RTN_UNICAST {
        return None;
    }
    let anywhere = match i32::from(family) {
        libc::AF_INET => IpAddr::from([0; 4]),
        _ => IpAddr::from([0; 16]),
    };
    let mut route = Route::new(IpNet::new(anywhere, 0).ok()?);
    route.protocol = protocol;
    route.on_link = u32_at(payload, 8)? & RTNH_F_ONLINK != 0;
    for (kind, value) in attributes(payload.get(12..)?) {
        match kind {
            libc::RTA_DST => route.to = IpNet::new(ip(value)?, prefix_len).ok()?,
            libc::RTA_GATEWAY => route.via = ip(value),
            libc::RTA_PREFSRC => route.source = ip(value),
            libc::RTA_OIF => {
                let index = u32_at(value, 0)?;
                route.link = links.iter().find(|link| link.index == index).map(|link| link.name.clone());
            }
            _ => {}
        }
    }
    Some(route)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// A name up to its zero byte.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
