//! The first packet of a connection, as far as a Model looks at it.

use std::net::IpAddr;

use crate::Protocol;

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Where it was sent from.
    pub client: Client,
    /// Destination address.
    pub destination: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port.
    pub port: u16,
}

/// Where a packet was sent from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// A process of this node, or a packet whose source address is one of the node's own (S-313 b).
    Host,
    /// It came in by this interface.
    Interface(String),
}
