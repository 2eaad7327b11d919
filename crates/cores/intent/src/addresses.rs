//! The addresses and ranges of a Service, read once (S-301).

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use api::Service;
use ipnet::IpNet;
use model::Family;

use crate::Problem;

/// An address that a Service claims, and the field that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The address.
    pub address: IpAddr,
    /// The field's path.
    pub field: String,
}

/// The virtual addresses of a Service, of both families, and who may use its load-balancer addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Cluster IPs, at most one per family.
    pub cluster: Vec<Claimed>,
    /// External IPs.
    pub external: Vec<Claimed>,
    /// Ingress addresses of the load balancer that nodes have to accept (`ipMode` VIP, KEP-1860).
    pub load_balancer: Vec<Claimed>,
    /// Client ranges.
    pub source_ranges: Vec<IpNet>,
}

/// Used where the field is empty (S-129).
const SOURCE_RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

impl Addresses {
    /// Reads a Service's addresses. What can't be read, or is of a family that the Service isn't served in, is left out
    /// and reported.
    pub fn of(service: &Service) -> (Addresses, Vec<Problem>) {
        let mut reader = Reader { service, families: Vec::new(), problems: Vec::new() };
        let cluster = reader.cluster_ips();
        reader.families = cluster.iter().map(|claimed| Family::of(claimed.address)).collect();
        let external = reader.external_ips();
        let load_balancer = reader.load_balancer_ips();
        let source_ranges = reader.source_ranges();
        (Addresses { cluster, external, load_balancer, source_ranges }, reader.problems)
    }

    /// Those of one family. Without a cluster IP of a family there is nothing of that family at all.
    pub fn in_family(&self, family: Family) -> Addresses {
        let of = |list: &[Claimed]| list.iter().filter(|one| Family::of(one.address) == family).cloned().collect();
        Addresses {
            cluster: of(&self.cluster),
            external: of(&self.external),
            load_balancer: of(&self.load_balancer),
            source_ranges: self.source_ranges.iter().filter(|range| Family::of_net(range) == family).copied().collect(),
        }
    }
}

struct Reader<'a> {
    service: &'a Service,
    families: Vec<Family>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The first of each family. Objects from before dual-stack have only `clusterIP`.
    fn cluster_ips(&mut self) -> Vec<Claimed> {
        let spec = &self.service.spec;
        let values = if spec.cluster_ips.is_empty() {
            vec![("spec.clusterIP".to_owned(), spec.cluster_ip.as_str())]
        } else {
            listed("spec.clusterIPs", &spec.cluster_ips)
        };
        let mut found = Vec::<Claimed>::new();
        for (field, value) in values.into_iter().filter(|(_, value)| !value.is_empty()) {
            match self.address(&field, value) {
                Some(address) if !found.iter().any(|one| Family::of(one.address) == Family::of(address)) => {
                    found.push(Claimed { address, field });
                }
                _ => {}
            }
        }
        found
    }

    fn external_ips(&mut self) -> Vec<Claimed> {
        self.claims(listed("spec.externalIPs", &self.service.spec.external_ips))
    }

    /// Ingresses that are names have no address; those in mode `Proxy` send to node ports or Pods themselves.
    fn load_balancer_ips(&mut self) -> Vec<Claimed> {
        let ingresses = self.service.status.load_balancer.ingress.iter().enumerate();
        let values = ingresses
            .filter(|(_, ingress)| !ingress.ip.is_empty() && ingress.ip_mode.as_deref().unwrap_or("VIP") == "VIP")
            .map(|(index, ingress)| (format!("status.loadBalancer.ingress[{index}].ip"), ingress.ip.as_str()));
        self.claims(values.collect())
    }

    fn source_ranges(&mut self) -> Vec<IpNet> {
        let service = self.service;
        let values: Vec<(String, &str)> = if service.spec.load_balancer_source_ranges.is_empty() {
            let list = service.metadata.annotations.get(SOURCE_RANGES_ANNOTATION).map_or("", String::as_str);
            let field = format!("metadata.annotations[{SOURCE_RANGES_ANNOTATION}]");
            list.split(',').filter(|value| !value.trim().is_empty()).map(|value| (field.clone(), value)).collect()
        } else {
            listed("spec.loadBalancerSourceRanges", &service.spec.load_balancer_source_ranges)
        };
        let mut ranges = Vec::new();
        for (field, value) in values {
            match parse_range(value.trim()) {
                Some(range) if self.serves(Family::of_net(&range), &field, value) => ranges.push(range),
                Some(_) => {}
                None => self.malformed(&field, value),
            }
        }
        ranges
    }

    fn claims(&mut self, values: Vec<(String, &str)>) -> Vec<Claimed> {
        let mut found = Vec::new();
        for (field, value) in values {
            if let Some(address) = self.address(&field, value)
                && self.serves(Family::of(address), &field, value)
            {
                found.push(Claimed { address, field });
            }
        }
        found
    }

    fn address(&mut self, field: &str, value: &str) -> Option<IpAddr> {
        let address = parse_address(value);
        if address.is_none() {
            self.malformed(field, value);
        }
        address
    }

    fn serves(&mut self, family: Family, field: &str, value: &str) -> bool {
        let serves = self.families.contains(&family);
        if !serves {
            let (object, field) = (self.service.metadata.key(), field.to_owned());
            self.problems.push(Problem::OtherFamily { kind: "Service", object, field, value: value.to_owned() });
        }
        serves
    }

    fn malformed(&mut self, field: &str, value: &str) {
        let (object, field) = (self.service.metadata.key(), field.to_owned());
        self.problems.push(Problem::Malformed { kind: "Service", object, field, value: value.to_owned() });
    }
}

fn listed<'a>(field: &str, values: &'a [String]) -> Vec<(String, &'a str)> {
    values.iter().enumerate().map(|(index, value)| (format!("{field}[{index}]"), value.as_str())).collect()
}

/// Reads an address as older API servers accepted it, for such values may still be stored (S-134): octets with leading
/// zeros are decimal, and an IPv4 address in IPv6 clothes is an IPv4 address.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) => parse_padded(text).map(IpAddr::V4),
    }
}

fn parse_padded(text: &str) -> Option<Ipv4Addr> {
    let octets = text.split('.').map(parse_decimal).collect::<Option<Vec<u8>>>()?;
    <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
}

fn parse_decimal(octet: &str) -> Option<u8> {
    if octet.bytes().all(|byte| byte.is_ascii_digit()) { octet.parse().ok() } else { None }
}

/// Reads a range as leniently; bits beyond the prefix don't count.
fn parse_range(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let length = u8::from_str(length).ok()?;
    let (address, written) = (parse_address(address)?, address);
    let mapped = address.is_ipv4() && written.contains(':');
    let length = if mapped { length.checked_sub(96)? } else { length };
    IpNet::new(address, length).ok().map(|range| range.trunc())
}
