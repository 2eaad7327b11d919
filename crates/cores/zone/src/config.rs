//! What the zone is told once: its domain, its TTL, what it serves beside Services.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::name::{LABEL_BYTES_MAX, Name, NameError};

/// The resolved configuration of a zone.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's domain in lower case, `cluster.local.` by default.
    pub domain: Name,
    /// Seconds, 0 to 3600, of every record but dns-version's (S-413).
    pub ttl: u32,
    /// Names of the form `a-b-c-d.ns.pod.Z` (S-411).
    pub pods: PodMode,
    /// Whether an endpoint without a host name is called by its Pod's name (S-405).
    pub endpoint_pod_names: bool,
    /// Whether a ClusterIP Service without ready endpoints does not exist (S-403).
    pub ignore_empty_services: bool,
    /// Ranges whose reverse names are answered: those of Services and Pods (S-410).
    pub reverse: Vec<IpNet>,
    /// Whether a miss in a reverse zone goes to the upstreams rather than being NXDOMAIN (S-410).
    pub reverse_fallthrough: bool,
    /// Namespace and name of the Service of this very DNS, whose addresses are those of `ns.dns.Z` (S-412).
    pub dns_service: (String, String),
    /// The addresses of `ns.dns.Z` while that Service has none.
    pub local_addresses: Vec<IpAddr>,
    /// The largest reply over UDP to a client that offers more, 512 to 4096 bytes (S-420).
    pub udp_bytes_max: u16,
    /// How many shards the zone has: a power of two. More shards make a change cheaper and the base bigger.
    pub shards: usize,
}

/// What a Pod's dashed name leads to (S-411).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodMode {
    /// There are no such names.
    Disabled,
    /// The name's own address, whoever has it, if the namespace exists.
    #[default]
    Insecure,
    /// The name's address if a Pod of the namespace has it.
    Verified,
}

impl Config {
    /// What CoreDNS is shipped with, for a domain: TTL 30 s, Pods insecure (S-413, S-428). The binary has a flag for the
    /// TTL, whose default is the specification's 5 s.
    pub fn new(domain: &str) -> Result<Config, ConfigError> {
        let domain = Name::parse(domain).map_err(ConfigError::Domain)?.to_lower_case();
        // `_port._proto.svc.ns.svc.Z` and an endpoint's name have to fit below it.
        if domain.wire().len() > 255 - 3 * (1 + LABEL_BYTES_MAX) - 4 {
            return Err(ConfigError::DomainTooLong(domain));
        }
        Ok(Config {
            domain,
            ttl: 30,
            pods: PodMode::Insecure,
            endpoint_pod_names: false,
            ignore_empty_services: false,
            reverse: Vec::new(),
            reverse_fallthrough: false,
            dns_service: ("kube-system".to_owned(), "kube-dns".to_owned()),
            local_addresses: Vec::new(),
            udp_bytes_max: 4096,
            shards: 4096,
        })
    }

    /// The same with another TTL in seconds.
    pub fn with_ttl(self, ttl: u32) -> Result<Config, ConfigError> {
        if ttl > 3600 { Err(ConfigError::Ttl(ttl)) } else { Ok(Config { ttl, ..self }) }
    }

    /// The same with these reverse ranges.
    pub fn with_reverse(self, reverse: Vec<IpNet>) -> Config {
        Config { reverse, ..self }
    }

    /// Which shard holds an owner. The array's length is always a power of two, whatever was asked for.
    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        hash as usize & (self.shard_count() - 1)
    }

    /// The length of the array of shards: the configured number, rounded up to a power of two.
    pub fn shard_count(&self) -> usize {
        self.shards.clamp(1, 1 << 20).next_power_of_two()
    }
}

/// Why a zone cannot be configured so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The domain is no domain name.
    #[error("cluster domain")]
    Domain(#[source] NameError),
    /// Names of Services would not fit below the domain.
    #[error("cluster domain {0} is too long for the names of Services below it")]
    DomainTooLong(Name),
    /// S-413.
    #[error("TTL of {0} s is not within 0 to 3600")]
    Ttl(u32),
}
