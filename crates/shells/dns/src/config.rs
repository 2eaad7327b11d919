//! What the server is told once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use zone::ResolvConf;

/// The resolved configuration of a server. Time-outs are as shipped upstream (S-420, S-423).
#[derive(Clone, Debug)]
pub struct Config {
    /// What the zone says.
    pub zone: zone::Config,
    /// Addresses to serve over UDP and TCP; port 0 takes any free port.
    pub listen: Vec<SocketAddr>,
    /// UDP sockets, each with a thread, per address. One per core is best.
    pub udp_threads: usize,
    /// Who may ask for names outside the zone; others are refused, so that this is no open resolver.
    pub recursion: Vec<IpNet>,
    /// Who knows the other names, at most fifteen. Without any, other names are refused.
    pub upstreams: Vec<SocketAddr>,
    /// How many queries may wait for upstreams; more are refused.
    pub forward_max: usize,
    /// How long one upstream has for one reply.
    pub forward_read: Duration,
    /// How long all upstreams together have for a query.
    pub forward_overall: Duration,
    /// How many TCP connections may be open; more are closed at once.
    pub tcp_connections_max: usize,
    /// How long a TCP connection may be silent between queries.
    pub tcp_idle: Duration,
    /// How long a query over TCP may take to arrive, and its reply to be taken.
    pub tcp_read: Duration,
    /// How long answers wait for the first sync (S-414).
    pub startup: Duration,
}

impl Config {
    /// The shipped configuration for a zone, without upstreams.
    pub fn new(zone: zone::Config, listen: Vec<SocketAddr>) -> Config {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let recursion = private_ranges().into_iter().chain(zone.reverse.iter().copied()).collect();
        Config {
            zone,
            listen,
            udp_threads: cores,
            recursion,
            upstreams: Vec::new(),
            forward_max: 1000,
            forward_read: Duration::from_secs(2),
            forward_overall: Duration::from_secs(5),
            tcp_connections_max: 1024,
            tcp_idle: Duration::from_secs(10),
            tcp_read: Duration::from_secs(3),
            startup: Duration::from_secs(5),
        }
    }
}

/// Ranges that no stranger asks from: loopback, private, shared, link-local and unique local addresses.
pub fn private_ranges() -> Vec<IpNet> {
    let ranges = [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    ];
    ranges.iter().map(|range| range.parse().expect("a range")).collect()
}

/// How many upstreams are used.
const UPSTREAMS_MAX: usize = 15;

/// The name servers of a host, without those that are ourselves: a server that asks itself never gets an answer.
pub fn upstreams(host: &ResolvConf, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let addresses = host.nameservers.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let is_own = |upstream: &SocketAddr| {
        listen.iter().any(|own| {
            own.port() == upstream.port()
                && (own.ip() == upstream.ip() || own.ip().is_unspecified() && upstream.ip().is_loopback())
        })
    };
    addresses.map(|ip| SocketAddr::new(ip, 53)).filter(|upstream| !is_own(upstream)).take(UPSTREAMS_MAX).collect()
}
