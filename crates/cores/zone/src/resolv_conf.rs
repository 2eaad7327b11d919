//! What a Pod's `/etc/resolv.conf` says (S-430; KEP-348, KEP-2595; resolv.conf(5)).

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

/// How a Pod resolves names, as its `dnsPolicy` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsPolicy {
    /// The cluster's DNS; what a Pod of the host's network gets is [`DnsPolicy::Default`].
    #[default]
    ClusterFirst,
    /// The cluster's DNS, on the host's network too.
    ClusterFirstWithHostNet,
    /// As the host does.
    Default,
    /// As `dnsConfig` says and nothing else.
    None,
}

impl DnsPolicy {
    /// Reads the API's text; an empty or unknown one is the default.
    pub fn parse(text: &str) -> DnsPolicy {
        match text {
            "ClusterFirstWithHostNet" => DnsPolicy::ClusterFirstWithHostNet,
            "Default" => DnsPolicy::Default,
            "None" => DnsPolicy::None,
            _ => DnsPolicy::ClusterFirst,
        }
    }

    /// The policy that holds for a Pod, given whether it is on the host's network.
    pub fn for_pod(self, host_network: bool) -> DnsPolicy {
        if self == DnsPolicy::ClusterFirst && host_network { DnsPolicy::Default } else { self }
    }
}

/// The contents of a resolv.conf, as far as Kubernetes passes it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Addresses, as text: the host's may carry an interface (`fe80::1%eth0`).
    pub nameservers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options, `name` or `name:value`.
    pub options: Vec<String>,
}

/// A Pod's `dnsConfig`, to be merged into what its policy gives. Options are (name, value).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// Further name servers.
    pub nameservers: Vec<String>,
    /// Further search domains.
    pub searches: Vec<String>,
    /// Options; one of the same name is replaced.
    pub options: Vec<(String, Option<String>)>,
}

/// The text of a Pod's resolv.conf. `policy` is the one [for the Pod](DnsPolicy::for_pod); without any `dns_ips` the
/// cluster's DNS cannot be used and the host's takes its place.
pub fn resolv_conf(
    policy: DnsPolicy,
    namespace: &str,
    domain: &str,
    dns_ips: &[IpAddr],
    host: &ResolvConf,
    dns_config: &DnsConfig,
) -> String {
    let base = match policy {
        DnsPolicy::None => ResolvConf::default(),
        DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet if !dns_ips.is_empty() => {
            cluster_first(namespace, domain, dns_ips, host)
        }
        DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet | DnsPolicy::Default => host.clone(),
    };
    base.merged(dns_config).limited().to_string()
}

fn cluster_first(namespace: &str, domain: &str, dns_ips: &[IpAddr], host: &ResolvConf) -> ResolvConf {
    let domain = domain.trim_end_matches('.');
    let cluster = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
    ResolvConf {
        nameservers: dns_ips.iter().map(IpAddr::to_string).collect(),
        search: without_duplicates(cluster.into_iter().chain(host.search.iter().cloned())),
        options: vec!["ndots:5".to_owned()],
    }
}

/// Limits of what resolvers read.
const NAMESERVERS_MAX: usize = 3;
const SEARCH_PATHS_MAX: usize = 32;
const SEARCH_BYTES_MAX: usize = 2048;
/// A longer search path makes some resolvers abort.
const SEARCH_PATH_BYTES_MAX: usize = 253;

impl ResolvConf {
    /// Reads a host's file. Later `search` and `options` lines replace earlier ones; what is not understood is skipped.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let words = words.map(str::to_owned);
            match keyword {
                Some("nameserver") => conf.nameservers.extend(words.take(1)),
                Some("search") => conf.search = words.map(without_final_dot).collect(),
                Some("options") => conf.options = words.collect(),
                _ => {}
            }
        }
        conf
    }

    fn merged(self, config: &DnsConfig) -> ResolvConf {
        let mut options = self.options;
        for (name, value) in &config.options {
            let option = value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}"));
            let same = options.iter_mut().find(|other| other.split(':').next() == Some(name));
            match same {
                Some(other) => *other = option,
                None => options.push(option),
            }
        }
        ResolvConf {
            nameservers: without_duplicates(self.nameservers.into_iter().chain(config.nameservers.iter().cloned())),
            search: without_duplicates(self.search.into_iter().chain(config.searches.iter().cloned())),
            options,
        }
    }

    /// Leaves out what is beyond the limits, from the end.
    fn limited(mut self) -> ResolvConf {
        self.nameservers.truncate(NAMESERVERS_MAX);
        self.search.truncate(SEARCH_PATHS_MAX);
        self.search.retain(|path| path.len() <= SEARCH_PATH_BYTES_MAX);
        while self.search.join(" ").len() > SEARCH_BYTES_MAX {
            self.search.pop();
        }
        self
    }
}

impl fmt::Display for ResolvConf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.search.is_empty() {
            writeln!(out, "search {}", self.search.join(" "))?;
        }
        for nameserver in &self.nameservers {
            writeln!(out, "nameserver {nameserver}")?;
        }
        if self.options.is_empty() { Ok(()) } else { writeln!(out, "options {}", self.options.join(" ")) }
    }
}

fn without_final_dot(path: String) -> String {
    if path == "." { path } else { path.trim_end_matches('.').to_owned() }
}

fn without_duplicates(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests;
