//! Keys and data of elements as the kernel holds them: fields in order, each padded to four bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use model::{Destination, Family, Frontend, Protocol};

/// Room for the longest key that the kernel takes.
const LONGEST: usize = 64;

/// A key or data value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    buffer: [u8; LONGEST],
    length: usize,
}

impl Value {
    pub fn new() -> Value {
        Value { buffer: [0; LONGEST], length: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    pub fn address(self, address: IpAddr) -> Value {
        match address {
            IpAddr::V4(address) => self.padded(&address.octets()),
            IpAddr::V6(address) => self.padded(&address.octets()),
        }
    }

    pub fn frontend(self, frontend: &Frontend, family: Family) -> Value {
        self.address(key_address(frontend, family)).padded(&[frontend.protocol.number()]).port(frontend.port)
    }

    pub fn socket(self, socket: SocketAddr) -> Value {
        self.address(socket.ip()).port(socket.port())
    }

    /// A number that rules read and write in the machine's order, as `meta priority` does.
    pub fn word(self, word: u32) -> Value {
        self.padded(&word.to_ne_bytes())
    }

    fn port(self, port: u16) -> Value {
        self.padded(&port.to_be_bytes())
    }

    fn padded(mut self, field: &[u8]) -> Value {
        self.buffer[self.length..self.length + field.len()].copy_from_slice(field);
        self.length += field.len().next_multiple_of(4);
        self
    }
}

/// The address under which a frontend stands: node ports stand under the zero address.
pub(crate) fn key_address(frontend: &Frontend, family: Family) -> IpAddr {
    match frontend.destination {
        Destination::Address(address) => address,
        Destination::Node => zero(family),
    }
}

/// The zero address.
pub(crate) fn zero(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The address with only these low bits.
pub(crate) fn low_bits(family: Family, bits: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(0, 0, 0, bits)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, bits.into())),
    }
}

/// The low 4 bits of a virtual address; none for the node.
pub(crate) fn shard(frontend: &Frontend) -> Option<u8> {
    match frontend.destination {
        Destination::Address(IpAddr::V4(address)) => Some(address.octets()[3] & 15),
        Destination::Address(IpAddr::V6(address)) => Some(address.octets()[15] & 15),
        Destination::Node => None,
    }
}

/// Takes a value apart, field by field; every step says whether it could.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    family: Family,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8], family: Family) -> Fields<'a> {
        Fields { rest: bytes, family }
    }

    pub fn address(&mut self) -> Option<IpAddr> {
        match self.family {
            Family::V4 => self.array::<4>().map(|octets| IpAddr::from(*octets)),
            Family::V6 => self.array::<16>().map(|octets| IpAddr::from(*octets)),
        }
    }

    pub fn frontend(&mut self) -> Option<Frontend> {
        let address = self.address()?;
        let [number, _, _, _] = *self.array::<4>()?;
        let destination = match address.is_unspecified() {
            true => Destination::Node,
            false => Destination::Address(address),
        };
        Some(Frontend { destination, protocol: Protocol::from_number(number)?, port: self.port()? })
    }

    pub fn socket(&mut self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address()?, self.port()?))
    }

    pub fn word(&mut self) -> Option<u32> {
        self.array::<4>().map(|octets| u32::from_ne_bytes(*octets))
    }

    /// Whether every byte was taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn port(&mut self) -> Option<u16> {
        let [high, low, _, _] = *self.array::<4>()?;
        Some(u16::from_be_bytes([high, low]))
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(taken)
    }
}
