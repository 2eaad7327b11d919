//! Building the lab: who is joined to whom, and by which routes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use kernel::links::{Mac, Route, Scope, Veth};

use crate::{Host, Ips, LabConfig, LabError, plan};

/// The bridge that is the LAN, in the backbone.
const LAN: &str = "lan0";
/// The one link of every host but the backbone; nodes have their Pods' links beside it.
const ETH0: &str = "eth0";

/// The gateways that every Pod sees at the other end of its link, whatever its node. They are no addresses of the
/// node's own network, so packets of the node itself never carry them.
const POD_GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const POD_GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Settings of every host: addresses are usable at once, nothing is learnt from the network, no source is filtered.
const HOST_SETTINGS: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    // A test that is refused often in a short time must hear of each refusal.
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_ratemask", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
];

/// Settings of hosts that forward, beside those; forwarding comes first because it resets others.
const ROUTER_SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
];

/// A whole lab. Dropping it removes everything.
#[derive(Debug)]
pub struct Lab {
    config: LabConfig,
    backbone: Host,
    nodes: Vec<Arc<Host>>,
    control: Arc<Host>,
    client: Arc<Host>,
    /// A std mutex: held only while a Pod is added or removed.
    pods: Mutex<BTreeMap<String, Pod>>,
}

#[derive(Debug)]
struct Pod {
    node: usize,
    /// The node's end of the Pod's link.
    link: String,
    host: Arc<Host>,
}

impl Lab {
    /// Builds the LAN, the nodes, the control host and one outside client.
    pub fn new(config: LabConfig) -> Result<Self, LabError> {
        let host = |name: &str, ips| Host::new(name, ips, config.resolv_conf.clone());
        let backbone = host("backbone", plan::backbone_ips())?;
        set_up_backbone(&backbone)?;
        let nodes = (0..config.nodes)
            .map(|node| host(&format!("node-{node}"), plan::node_ips(node)).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let control = Arc::new(host("control", plan::control_ips())?);
        let client = Arc::new(host("client", plan::client_ips(0))?);
        let lab = Self { config, backbone, nodes, control, client, pods: Mutex::default() };
        lab.set_up_hosts()?;
        Ok(lab)
    }

    /// What it was built from.
    pub fn config(&self) -> &LabConfig {
        &self.config
    }

    /// The node with this index.
    pub fn node(&self, node: usize) -> &Arc<Host> {
        &self.nodes[node]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Arc<Host>] {
        &self.nodes
    }

    /// The zone of a node, if the lab has zones.
    pub fn zone(&self, node: usize) -> Option<&str> {
        let zones = &self.config.zones;
        (!zones.is_empty()).then(|| zones[node % zones.len()].as_str())
    }

    /// The Pod ranges of a node.
    pub fn pod_ranges(&self, node: usize) -> (Ipv4Net, Ipv6Net) {
        plan::pod_ranges(node)
    }

    /// Addresses for the Pod with number `pod` (0 to 250) of a node.
    pub fn pod_ips(&self, node: usize, pod: usize) -> Ips {
        plan::pod_ips(node, pod)
    }

    /// Where the API server is meant to run: on the LAN, with routes to the Pods.
    pub fn control(&self) -> &Arc<Host> {
        &self.control
    }

    /// The outside client: on the LAN, with no routes but those of [`LabConfig::client_routes`].
    pub fn client(&self) -> &Arc<Host> {
        &self.client
    }

    /// Adds another outside client, number 1 to 49, with no routes.
    pub fn add_client(&self, number: usize) -> Result<Arc<Host>, LabError> {
        let host = Host::new(&format!("client-{number}"), plan::client_ips(number), self.config.resolv_conf.clone())?;
        self.attach(&host, FIRST_CLIENT_MAC + number as u8, HOST_SETTINGS)?;
        self.await_link(&self.backbone, host.name())?;
        Ok(Arc::new(host))
    }

    /// Sends packets of the outside client for `range` through a node.
    pub fn route_client(&self, range: IpNet, node: usize) -> Result<(), LabError> {
        let ips = self.nodes[node].ips();
        match next_hop(range, ips) {
            Some(via) => self.client.replace_route(&Route::new(range).via(via).link(ETH0)),
            None => Ok(()),
        }
    }

    /// Adds a Pod to a node: a host with these addresses behind a link to the node.
    pub fn add_pod(&self, node: usize, name: &str, ips: Ips) -> Result<Arc<Host>, LabError> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if pods.contains_key(name) {
            return Err(LabError::PodExists { name: name.to_owned() });
        }
        let host = Arc::new(Host::new(name, ips, self.config.resolv_conf.clone())?);
        host.namespace().set_sysctls(HOST_SETTINGS)?;
        let link = pod_link(ips);
        self.join_pod(&self.nodes[node], &link, &host)?;
        let pod = Pod { node, link, host: Arc::clone(&host) };
        pods.insert(name.to_owned(), pod);
        Ok(host)
    }

    /// Removes a Pod as a node does: its programs are killed and its link goes. False if there is none of this name.
    pub fn remove_pod(&self, name: &str) -> Result<bool, LabError> {
        let Some(pod) = self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(name) else {
            return Ok(false);
        };
        pod.host.kill_all();
        self.nodes[pod.node].links().delete(&pod.link)?;
        Ok(true)
    }

    /// The Pod with this name.
    pub fn pod(&self, name: &str) -> Option<Arc<Host>> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(name).map(|pod| Arc::clone(&pod.host))
    }

    /// Pulls a host's cable out of the LAN, or plugs it in again.
    pub fn set_cable(&self, host: &Host, plugged: bool) -> Result<(), LabError> {
        self.backbone.links().set_up(host.name(), plugged)?;
        if plugged { self.await_link(&self.backbone, host.name()) } else { Ok(()) }
    }

    fn set_up_hosts(&self) -> Result<(), LabError> {
        for (index, node) in self.nodes.iter().enumerate() {
            let settings = [ROUTER_SETTINGS, HOST_SETTINGS].concat();
            self.attach(node, FIRST_NODE_MAC + index as u8, &settings)?;
            route_by_default_to_backbone(node)?;
        }
        self.attach(&self.control, CONTROL_MAC, HOST_SETTINGS)?;
        self.attach(&self.client, FIRST_CLIENT_MAC, HOST_SETTINGS)?;
        route_by_default_to_backbone(&self.control)?;
        self.route_to_pods(&self.control, None)?;
        for (range, node) in &self.config.client_routes {
            self.route_client(*range, *node)?;
        }
        if self.config.pod_routes {
            for (index, node) in self.nodes.iter().enumerate() {
                self.route_to_pods(node, Some(index))?;
            }
        }
        self.await_link(&self.backbone, LAN)?;
        let hosts = self.nodes.iter().chain([&self.control, &self.client]);
        for host in hosts {
            self.await_link(&self.backbone, host.name())?;
            self.await_link(host, ETH0)?;
        }
        Ok(())
    }

    /// Joins a host to the LAN.
    fn attach(&self, host: &Host, mac: u8, settings: &[(&str, &str)]) -> Result<(), LabError> {
        host.namespace().set_sysctls(settings)?;
        self.backbone.links().add_veth(&Veth {
            name: host.name(),
            mac: None,
            peer_name: ETH0,
            peer_mac: Some(lan_mac(mac)),
            peer_namespace: Some(host.namespace()),
            mtu: self.config.mtu,
        })?;
        let links = host.links();
        let (v4, v6) = plan::lan();
        for ip in host.ips().iter() {
            let prefix_len = if ip.is_ipv4() { v4.prefix_len() } else { v6.prefix_len() };
            links.add_address(ETH0, IpNet::new_assert(ip, prefix_len), Scope::Global)?;
        }
        links.set_up(ETH0, true)?;
        self.backbone.links().set_bridge(host.name(), Some(LAN))?;
        self.backbone.links().set_up(host.name(), true)?;
        Ok(())
    }

    /// Gives `host` routes to the Pods of all nodes but `except`.
    fn route_to_pods(&self, host: &Host, except: Option<usize>) -> Result<(), LabError> {
        for (index, node) in self.nodes.iter().enumerate() {
            if Some(index) == except {
                continue;
            }
            let (v4, v6) = plan::pod_ranges(index);
            for range in [IpNet::V4(v4), IpNet::V6(v6)] {
                let via = next_hop(range, node.ips()).expect("a node has both families");
                host.replace_route(&Route::new(range).via(via).link(ETH0))?;
            }
        }
        Ok(())
    }

    fn join_pod(&self, node: &Host, link: &str, pod: &Host) -> Result<(), LabError> {
        node.links().add_veth(&Veth {
            name: link,
            mac: None,
            peer_name: ETH0,
            peer_mac: None,
            peer_namespace: Some(pod.namespace()),
            mtu: self.config.mtu,
        })?;
        node.links().add_address(link, IpNet::from(IpAddr::V4(POD_GATEWAY_V4)), Scope::Link)?;
        node.links().add_address(link, IpNet::new_assert(POD_GATEWAY_V6.into(), 64), Scope::Link)?;
        node.links().set_up(link, true)?;
        for ip in pod.ips().iter() {
            pod.links().add_address(ETH0, IpNet::from(ip), Scope::Global)?;
        }
        pod.links().set_up(ETH0, true)?;
        for ip in pod.ips().iter() {
            let (gateway, everywhere) = match ip {
                IpAddr::V4(_) => (IpAddr::V4(POD_GATEWAY_V4), IpNet::V4(Ipv4Net::default())),
                IpAddr::V6(_) => (IpAddr::V6(POD_GATEWAY_V6), IpNet::V6(Ipv6Net::default())),
            };
            pod.replace_route(&Route::new(everywhere).via(gateway).link(ETH0).on_link())?;
            let source = next_hop(IpNet::from(ip), node.ips()).expect("a node has both families");
            node.replace_route(&Route::new(IpNet::from(ip)).link(link).source(source))?;
        }
        self.await_link(node, link)?;
        self.await_link(pod, ETH0)
    }

    /// Waits until packets flow: until then the kernel drops them silently.
    fn await_link(&self, host: &Host, link: &str) -> Result<(), LabError> {
        const LIMIT: Duration = Duration::from_secs(10);
        let started = Instant::now();
        loop {
            let links = host.links().links()?;
            if links.iter().any(|other| other.name == link && other.is_ready) {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(LabError::NotReady { host: host.name().to_owned(), link: link.to_owned(), waited: LIMIT });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn set_up_backbone(backbone: &Host) -> Result<(), LabError> {
    backbone.namespace().set_sysctls(&[ROUTER_SETTINGS, HOST_SETTINGS].concat())?;
    let links = backbone.links();
    links.add_bridge(LAN)?;
    links.set_mac(LAN, lan_mac(1))?;
    let (v4, v6) = plan::lan();
    for ip in backbone.ips().iter() {
        let prefix_len = if ip.is_ipv4() { v4.prefix_len() } else { v6.prefix_len() };
        links.add_address(LAN, IpNet::new_assert(ip, prefix_len), Scope::Global)?;
    }
    links.set_up(LAN, true)?;
    Ok(())
}

/// Real nodes have a default route, and look up a route before an address is translated. Here it leads to the
/// backbone, which has none itself and answers "network unreachable".
fn route_by_default_to_backbone(host: &Host) -> Result<(), LabError> {
    for (everywhere, via) in
        [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())].into_iter().zip(plan::backbone_ips().iter())
    {
        host.replace_route(&Route::new(everywhere).via(via).link(ETH0))?;
    }
    Ok(())
}

/// The address among `ips` that is of the range's family.
fn next_hop(range: IpNet, ips: Ips) -> Option<IpAddr> {
    match range {
        IpNet::V4(_) => ips.v4.map(IpAddr::V4),
        IpNet::V6(_) => ips.v6.map(IpAddr::V6),
    }
}

/// The last byte of hardware addresses on the LAN.
const CONTROL_MAC: u8 = 2;
const FIRST_NODE_MAC: u8 = 10;
const FIRST_CLIENT_MAC: u8 = 200;

fn lan_mac(last: u8) -> Mac {
    [0x02, 0, 0, 0, 0x31, last]
}

/// The name of the node's end of a Pod's link: unique on the node, and readable.
fn pod_link(ips: Ips) -> String {
    match (ips.v4, ips.v6) {
        (Some(v4), _) => {
            let [.., third, fourth] = v4.octets();
            format!("pod{third}-{fourth}")
        }
        (None, Some(v6)) => format!("pod6-{:x}", v6.to_bits() as u32),
        (None, None) => "pod-none".to_owned(),
    }
}
