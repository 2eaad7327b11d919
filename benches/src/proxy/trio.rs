//! `client —veth— node —veth— server`: three namespaces per variant, made once and left alone. Rules live in the node only.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};
use kernel::links::{Route, Scope, Veth};
use kernel::netns::Namespace;

/// The node as the client sees it.
const NODE_TO_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 11, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 11, 0, 2);
/// The node as the server sees it.
const NODE_TO_SERVER: Ipv4Addr = Ipv4Addr::new(10, 12, 0, 1);
/// One server with several addresses: each is an endpoint.
pub(super) const SERVERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 12, 0, 2), Ipv4Addr::new(10, 12, 0, 3), Ipv4Addr::new(10, 12, 0, 4)];

/// Everything within, and no way out.
const INSIDE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8);

/// A client, a node that forwards, and a server.
pub(super) struct Trio {
    pub(super) client: Namespace,
    pub(super) node: Namespace,
    pub(super) server: Namespace,
}

impl Trio {
    pub(super) fn new() -> anyhow::Result<Trio> {
        let trio = Trio { client: Namespace::create()?, node: Namespace::create()?, server: Namespace::create()? };
        trio.node.set_sysctls(&[("net/ipv4/ip_forward", "1")])?;
        // A port that was used rests in connection tracking for a while.
        trio.client.set_sysctls(&[("net/ipv4/ip_local_port_range", "1024 65535")])?;
        trio.join("client", &trio.client, NODE_TO_CLIENT, &[CLIENT])?;
        trio.join("server", &trio.server, NODE_TO_SERVER, &SERVERS)?;
        Ok(trio)
    }

    /// Lets connection tracking forget a connection that was reset after a second: with ten, a fast client runs out of ports.
    pub(super) fn forget_soon(&self) {
        // Without the setting there is no connection tracking, and nothing to forget.
        let _ = self.node.set_sysctls(&[("net/netfilter/nf_conntrack_tcp_timeout_close", "1")]);
    }

    fn join(&self, link: &str, host: &Namespace, node: Ipv4Addr, addresses: &[Ipv4Addr]) -> anyhow::Result<()> {
        let veth =
            Veth { name: link, mac: None, peer_name: "eth0", peer_mac: None, peer_namespace: Some(host), mtu: None };
        self.node.links().add_veth(&veth)?;
        self.node.links().add_address(link, with_prefix(node), Scope::Global)?;
        self.node.links().set_up(link, true)?;
        for address in addresses {
            host.links().add_address("eth0", with_prefix(*address), Scope::Global)?;
        }
        host.links().set_up("eth0", true)?;
        host.links().replace_route(&Route::new(IpNet::V4(INSIDE)).via(IpAddr::V4(node)).link("eth0"))?;
        await_link(&self.node, link)?;
        await_link(host, "eth0")
    }
}

fn with_prefix(address: Ipv4Addr) -> IpNet {
    IpNet::new_assert(address.into(), 24)
}

/// Waits until packets flow: until then the kernel drops them silently.
fn await_link(namespace: &Namespace, link: &str) -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_secs(10);
    let started = Instant::now();
    while !namespace.links().links()?.iter().any(|other| other.name == link && other.is_ready) {
        anyhow::ensure!(started.elapsed() < LIMIT, "link {link} is not ready after {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
