//! Links, addresses and routes of one network namespace, by route netlink.
//!
//! A [`Links`] is a socket: it keeps speaking about the namespace in which it was opened, whatever thread uses it, so
//! nobody has to enter a namespace to configure it. Every call is one request that waits for its acknowledgement.
//! What should exist is decided by the caller. <https://man7.org/linux/man-pages/man7/rtnetlink.7.html>

mod listing;
mod message;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;

use crate::netns::Namespace;
use listing::{parse_address, parse_link, parse_route};
use message::{Message, u32_at};
use socket::Socket;

/// A hardware address.
pub type Mac = [u8; 6];

/// The interior of a `veth` link's description and of a bridge's (`if_link.h`); `libc` lacks them.
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;

/// What can go wrong with a link, an address or a route.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket could not be made.
    #[error("cannot open a route netlink socket")]
    Open {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot {operation}{detail}")]
    Refused {
        /// What was asked, e.g. `add link eth0`.
        operation: String,
        /// The kernel's own words, if it gave any, after a colon.
        detail: String,
        /// The error number.
        source: io::Error,
    },
    /// The kernel's answer broke off.
    #[error("the kernel's answer is malformed: {operation}")]
    Malformed {
        /// What was asked.
        operation: String,
    },
}

impl LinkError {
    /// Whether the object is there already, or (for a removal) isn't there.
    pub fn is_already_so(&self) -> bool {
        let Self::Refused { source, .. } = self else {
            return false;
        };
        matches!(source.raw_os_error(), Some(libc::EEXIST | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL))
    }
}

/// A pair of virtual Ethernet ends to be made; the near end stands in the namespace of the [`Links`].
#[derive(Clone, Debug)]
pub struct Veth<'a> {
    /// Name of the near end, at most 15 bytes.
    pub name: &'a str,
    /// Hardware address of the near end; the kernel picks one otherwise.
    pub mac: Option<Mac>,
    /// Name of the far end.
    pub peer_name: &'a str,
    /// Hardware address of the far end.
    pub peer_mac: Option<Mac>,
    /// Where the far end appears; beside the near end otherwise.
    pub peer_namespace: Option<&'a Namespace>,
    /// Maximum packet size of both ends, in bytes; 1500 otherwise.
    pub mtu: Option<u32>,
}

/// A link as the kernel lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Number within its namespace.
    pub index: u32,
    /// Name within its namespace.
    pub name: String,
    /// Hardware address, where it has one of six bytes.
    pub mac: Option<Mac>,
    /// Maximum packet size in bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether packets can flow: the other end is on too, and a bridge's port forwards.
    pub is_ready: bool,
}

/// Where an address is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    #[default]
    Global,
    /// On its link only: never chosen as source of packets that go further.
    Link,
}

/// A unicast route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination; a prefix of length 0 is the default route.
    pub to: IpNet,
    /// Next hop; the destination is on the link otherwise.
    pub via: Option<IpAddr>,
    /// Link to leave by; found by the next hop otherwise.
    pub link: Option<String>,
    /// Source address of local packets that take this route.
    pub source: Option<IpAddr>,
    /// Who made the route (`rtm_protocol`); 4 is "static".
    pub protocol: u8,
    /// The next hop needs no route of its own.
    pub on_link: bool,
}

impl Route {
    /// A static route to `to`, with nothing else said.
    pub fn new(to: IpNet) -> Self {
        Self { to, via: None, link: None, source: None, protocol: libc::RTPROT_STATIC, on_link: false }
    }

    /// The same through the next hop `via`.
    pub fn via(self, via: IpAddr) -> Self {
        Self { via: Some(via), ..self }
    }

    /// The same by the link `name`.
    pub fn link(self, name: &str) -> Self {
        Self { link: Some(name.to_owned()), ..self }
    }

    /// The same with `source` for local packets.
    pub fn source(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The same with a next hop that needs no route of its own.
    pub fn on_link(self) -> Self {
        Self { on_link: true, ..self }
    }
}

/// The links, addresses and routes of one namespace.
#[derive(Debug)]
pub struct Links {
    // A std mutex: held for one request and its answer, never across an await.
    socket: Mutex<Socket>,
}

impl Links {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Self, LinkError> {
        let socket = Socket::open().map_err(|source| LinkError::Open { source })?;
        Ok(Self { socket: Mutex::new(socket) })
    }

    /// Makes a pair of virtual Ethernet ends, both off.
    pub fn add_veth(&self, veth: &Veth<'_>) -> Result<(), LinkError> {
        let mut message = Message::link(libc::RTM_NEWLINK, CREATE, 0, None);
        describe_end(&mut message, veth.name, veth.mac, veth.mtu);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"veth");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    peer.peer_header();
                    describe_end(peer, veth.peer_name, veth.peer_mac, veth.mtu);
                    if let Some(namespace) = veth.peer_namespace {
                        peer.attribute(libc::IFLA_NET_NS_FD, &namespace.raw_fd().to_ne_bytes());
                    }
                });
            });
        });
        self.change(message, || format!("add veth {} and {}", veth.name, veth.peer_name))
    }

    /// Makes a bridge without spanning tree and without multicast snooping (it floods, as a plain switch does).
    pub fn add_bridge(&self, name: &str) -> Result<(), LinkError> {
        let mut message = Message::link(libc::RTM_NEWLINK, CREATE, 0, None);
        message.name(libc::IFLA_IFNAME, name);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"bridge");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.attribute(IFLA_BR_MCAST_SNOOPING, &[0]);
            });
        });
        self.change(message, || format!("add bridge {name}"))
    }

    /// Removes a link; of a veth pair, both ends.
    pub fn delete(&self, name: &str) -> Result<(), LinkError> {
        let mut message = Message::link(libc::RTM_DELLINK, CHANGE, 0, None);
        message.name(libc::IFLA_IFNAME, name);
        self.change(message, || format!("delete link {name}"))
    }

    /// Switches a link on or off.
    pub fn set_up(&self, name: &str, up: bool) -> Result<(), LinkError> {
        let mut message = Message::link(libc::RTM_NEWLINK, CHANGE, 0, Some(up));
        message.name(libc::IFLA_IFNAME, name);
        self.change(message, || format!("switch {} link {name}", if up { "on" } else { "off" }))
    }

    /// Gives a link another name; it must be off.
    pub fn rename(&self, name: &str, to: &str) -> Result<(), LinkError> {
        let index = self.index(name)?;
        let mut message = Message::link(libc::RTM_NEWLINK, CHANGE, index, None);
        message.name(libc::IFLA_IFNAME, to);
        self.change(message, || format!("rename link {name} to {to}"))
    }

    /// Moves a link to another namespace; it loses its addresses and is off there.
    pub fn move_to(&self, name: &str, namespace: &Namespace) -> Result<(), LinkError> {
        self.set_attribute(name, libc::IFLA_NET_NS_FD, &namespace.raw_fd().to_ne_bytes(), "move")
    }

    /// Sets the maximum packet size in bytes.
    pub fn set_mtu(&self, name: &str, mtu: u32) -> Result<(), LinkError> {
        self.set_attribute(name, libc::IFLA_MTU, &mtu.to_ne_bytes(), "set the MTU of")
    }

    /// Sets the hardware address.
    pub fn set_mac(&self, name: &str, mac: Mac) -> Result<(), LinkError> {
        self.set_attribute(name, libc::IFLA_ADDRESS, &mac, "set the hardware address of")
    }

    /// Makes a link a port of a bridge, or with `None` takes it out.
    pub fn set_bridge(&self, name: &str, bridge: Option<&str>) -> Result<(), LinkError> {
        let index = bridge.map_or(Ok(0), |bridge| self.index(bridge))?;
        self.set_attribute(name, libc::IFLA_MASTER, &index.to_ne_bytes(), "set the bridge of")
    }

    /// Adds an address to a link; an IPv6 address is usable at once (no duplicate address detection).
    pub fn add_address(&self, name: &str, address: IpNet, scope: Scope) -> Result<(), LinkError> {
        let scope = match scope {
            Scope::Global => libc::RT_SCOPE_UNIVERSE,
            Scope::Link => libc::RT_SCOPE_LINK,
        };
        let message = self.address_message(libc::RTM_NEWADDR, CREATE, name, address, scope)?;
        self.change(message, || format!("add address {address} to link {name}"))
    }

    /// Removes an address from a link.
    pub fn remove_address(&self, name: &str, address: IpNet) -> Result<(), LinkError> {
        let message = self.address_message(libc::RTM_DELADDR, CHANGE, name, address, 0)?;
        self.change(message, || format!("remove address {address} from link {name}"))
    }

    /// Adds a route, or replaces the one to the same destination.
    pub fn replace_route(&self, route: &Route) -> Result<(), LinkError> {
        let flags = CHANGE | (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;
        let message = self.route_message(libc::RTM_NEWROUTE, flags, route)?;
        self.change(message, || format!("set the route to {}", route.to))
    }

    /// Removes a route; fields that are `None` match any.
    pub fn remove_route(&self, route: &Route) -> Result<(), LinkError> {
        let message = self.route_message(libc::RTM_DELROUTE, CHANGE, route)?;
        self.change(message, || format!("remove the route to {}", route.to))
    }

    /// The index of a link.
    pub fn index(&self, name: &str) -> Result<u32, LinkError> {
        let operation = || format!("find link {name}");
        let mut message = Message::link(libc::RTM_GETLINK, libc::NLM_F_REQUEST as u16, 0, None);
        message.name(libc::IFLA_IFNAME, name);
        let answer = self.socket().ask(message).map_err(|refusal| refusal.named(operation()))?;
        answer.first().and_then(|link| u32_at(link, 4)).ok_or_else(|| LinkError::Malformed { operation: operation() })
    }

    /// All links.
    pub fn links(&self) -> Result<Vec<Link>, LinkError> {
        let message = Message::link(libc::RTM_GETLINK, DUMP, 0, None);
        self.list(message, "list links", parse_link)
    }

    /// All addresses, each with the index of its link.
    pub fn addresses(&self) -> Result<Vec<(u32, IpNet)>, LinkError> {
        let message = Message::address(libc::RTM_GETADDR, DUMP, 0, 0, 0, 0);
        self.list(message, "list addresses", parse_address)
    }

    /// All unicast routes of the main table.
    pub fn routes(&self) -> Result<Vec<Route>, LinkError> {
        let links = self.links()?;
        let message = Message::route(libc::RTM_GETROUTE, DUMP, 0, 0, 0, 0, false);
        let routes = self.list(message, "list routes", |payload| Some(parse_route(payload, &links)))?;
        Ok(routes.into_iter().flatten().collect())
    }

    fn set_attribute(&self, name: &str, kind: u16, payload: &[u8], verb: &str) -> Result<(), LinkError> {
        let mut message = Message::link(libc::RTM_NEWLINK, CHANGE, 0, None);
        message.name(libc::IFLA_IFNAME, name).attribute(kind, payload);
        self.change(message, || format!("{verb} link {name}"))
    }

    fn address_message(
        &self,
        kind: u16,
        flags: u16,
        name: &str,
        address: IpNet,
        scope: u8,
    ) -> Result<Message, LinkError> {
        let index = self.index(name)?;
        let family = family(address.addr());
        let mut message = Message::address(kind, flags, family, address.prefix_len(), scope, index);
        let bytes = octets(address.addr());
        message.attribute(libc::IFA_LOCAL, &bytes).attribute(libc::IFA_ADDRESS, &bytes);
        if kind == libc::RTM_NEWADDR {
            message.attribute(libc::IFA_FLAGS, &libc::IFA_F_NODAD.to_ne_bytes());
        }
        Ok(message)
    }

    fn route_message(&self, kind: u16, flags: u16, route: &Route) -> Result<Message, LinkError> {
        let scope = match (route.via, kind) {
            (_, libc::RTM_DELROUTE) => libc::RT_SCOPE_NOWHERE,
            (None, _) => libc::RT_SCOPE_LINK,
            (Some(_), _) => libc::RT_SCOPE_UNIVERSE,
        };
        let family = family(route.to.addr());
        let prefix_len = route.to.prefix_len();
        let mut message = Message::route(kind, flags, family, prefix_len, route.protocol, scope, route.on_link);
        message.attribute(libc::RTA_DST, &octets(route.to.network()));
        if let Some(via) = route.via {
            message.attribute(libc::RTA_GATEWAY, &octets(via));
        }
        if let Some(link) = &route.link {
            message.attribute(libc::RTA_OIF, &self.index(link)?.to_ne_bytes());
        }
        if let Some(source) = route.source {
            message.attribute(libc::RTA_PREFSRC, &octets(source));
        }
        Ok(message)
    }

    fn change(&self, message: Message, operation: impl FnOnce() -> String) -> Result<(), LinkError> {
        match self.socket().ask(message) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.named(operation())),
        }
    }

    fn list<T>(
        &self,
        message: Message,
        operation: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, LinkError> {
        let answer = self.socket().ask(message).map_err(|refusal| refusal.named(operation.to_owned()))?;
        let items: Option<Vec<T>> = answer.iter().map(|payload| parse(payload)).collect();
        items.ok_or_else(|| LinkError::Malformed { operation: operation.to_owned() })
    }

    fn socket(&self) -> std::sync::MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CHANGE: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
const CREATE: u16 = CHANGE | (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;

fn describe_end(message: &mut Message, name: &str, mac: Option<Mac>, mtu: Option<u32>) {
    message.name(libc::IFLA_IFNAME, name);
    if let Some(mac) = mac {
        message.attribute(libc::IFLA_ADDRESS, &mac);
    }
    if let Some(mtu) = mtu {
        message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
    }
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
