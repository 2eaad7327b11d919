//! Facts as bytes, for the time between two builds of a shard.

use std::net::IpAddr;

use api::Protocol;

use super::{EndpointFact, PortFact, ServiceFacts, SliceFacts};
use crate::name::Name;

/// Facts as bytes, without room to spare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed(Box<[u8]>);

/// What a packed Service begins with.
const CLUSTER_IP: u8 = 0;
const HEADLESS: u8 = 1;
const EXTERNAL: u8 = 2;

impl ServiceFacts {
    pub fn pack(&self) -> Packed {
        let mut bytes = Vec::new();
        match self {
            ServiceFacts::ClusterIp { addresses, ports } => {
                bytes.extend_from_slice(&[CLUSTER_IP, addresses.len().min(u8::MAX as usize) as u8]);
                addresses.iter().take(u8::MAX as usize).for_each(|address| pack_address(*address, &mut bytes));
                ports.iter().for_each(|port| port.pack(&mut bytes));
            }
            ServiceFacts::Headless => bytes.push(HEADLESS),
            ServiceFacts::External(name) => {
                bytes.push(EXTERNAL);
                bytes.extend_from_slice(name.wire());
            }
        }
        Packed(bytes.into())
    }

    pub fn unpack(packed: &Packed) -> ServiceFacts {
        let mut reader = Reader(&packed.0);
        match reader.byte() {
            CLUSTER_IP => ServiceFacts::ClusterIp {
                addresses: (0..reader.byte()).map(|_| reader.address()).collect(),
                ports: reader.rest(Reader::port),
            },
            HEADLESS => ServiceFacts::Headless,
            _ => ServiceFacts::External(Name::from_wire(reader.0).expect("a name was packed")),
        }
    }
}

impl SliceFacts {
    pub fn pack(&self) -> Packed {
        let mut bytes = (self.ports.len().min(u16::MAX as usize) as u16).to_be_bytes().to_vec();
        self.ports.iter().take(u16::MAX as usize).for_each(|port| port.pack(&mut bytes));
        for endpoint in &self.endpoints {
            pack_address(endpoint.address, &mut bytes);
            match &endpoint.label {
                Some(label) => bytes.extend_from_slice(label),
                None => bytes.push(0),
            }
        }
        Packed(bytes.into())
    }

    pub fn unpack(packed: &Packed) -> SliceFacts {
        let mut reader = Reader(&packed.0);
        let ports = (0..u16::from_be_bytes([reader.byte(), reader.byte()])).map(|_| reader.port()).collect();
        SliceFacts { endpoints: reader.rest(Reader::endpoint).into(), ports }
    }
}

impl PortFact {
    fn pack(&self, bytes: &mut Vec<u8>) {
        let [high, low] = self.port.to_be_bytes();
        bytes.extend_from_slice(&[self.protocol as u8, high, low, self.name.len() as u8]);
        bytes.extend_from_slice(&self.name);
    }
}

fn pack_address(address: IpAddr, bytes: &mut Vec<u8>) {
    match address {
        IpAddr::V4(ip) => {
            bytes.push(4);
            bytes.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(16);
            bytes.extend_from_slice(&ip.octets());
        }
    }
}

/// Reads what this module packed; anything else is a defect here.
struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    fn take(&mut self, count: usize) -> &'p [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn rest<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        std::iter::from_fn(|| (!self.0.is_empty()).then(|| item(self))).collect()
    }

    fn address(&mut self) -> IpAddr {
        let length = self.byte() as usize;
        let octets = self.take(length);
        let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
        <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| v6()).expect("4 or 16 octets were packed")
    }

    fn port(&mut self) -> PortFact {
        let protocol = match self.byte() {
            protocol if protocol == Protocol::Tcp as u8 => Protocol::Tcp,
            protocol if protocol == Protocol::Udp as u8 => Protocol::Udp,
            _ => Protocol::Sctp,
        };
        let port = u16::from_be_bytes([self.byte(), self.byte()]);
        let length = self.byte() as usize;
        PortFact { name: self.take(length).into(), protocol, port }
    }

    fn endpoint(&mut self) -> EndpointFact {
        let address = self.address();
        let length = self.0[0] as usize;
        let label = self.take(1 + length);
        EndpointFact { address, label: (length > 0).then(|| label.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_facts_are_the_same_facts() {
        let port = |name: &str, protocol, port| PortFact { name: name.as_bytes().into(), protocol, port };
        let ports = vec![port("", Protocol::Tcp, 1), port("dns", Protocol::Udp, 53), port("x", Protocol::Sctp, 65_535)];
        let addresses: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let services = [
            ServiceFacts::ClusterIp { addresses: addresses.clone(), ports: ports.clone() },
            ServiceFacts::ClusterIp { addresses: Vec::new(), ports: Vec::new() },
            ServiceFacts::Headless,
            ServiceFacts::External(Name::parse("Www.example.com").unwrap()),
        ];
        for facts in services {
            assert_eq!(ServiceFacts::unpack(&facts.pack()), facts);
        }
        let endpoint = |address, label: Option<&[u8]>| EndpointFact { address, label: label.map(Box::from) };
        let endpoints = [endpoint(addresses[0], None), endpoint(addresses[1], Some(b"\x02ab"))];
        for facts in [SliceFacts::default(), SliceFacts { endpoints: endpoints.into(), ports: ports.into() }] {
            assert_eq!(SliceFacts::unpack(&facts.pack()), facts);
        }
    }
}
