//! What Pods of the node and clients from outside reach, and under which address the server sees them.
//!
//! ```text
//!   pod-1, pod-2 ──veth── node ──veth── outside (a client, and a Pod of another node)
//! ```

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;

use ipnet::IpNet;
use kernel::netns::Namespace;
use model::{
    Affinity, Endpoint, Family, Frontend, LocalPods, Masquerade, Model, Outcome, Pool, Protocol, Role, Rule, Scope,
    Sources,
};

use crate::servers::knock;
use crate::table::{FAMILIES, Table, frontend, pool, rule, run};

const PORT: u16 = 8080;

/// Addresses of one family.
struct Plan {
    node: IpAddr,
    gateway: IpAddr,
    pods: [IpAddr; 2],
    pod_range: IpNet,
    outside: IpAddr,
    remote: IpAddr,
    cluster_ip: &'static str,
    balancer_ip: &'static str,
}

fn addresses(family: Family) -> Plan {
    let address = |v4: &str, v6: &str| if family == Family::V4 { v4.parse() } else { v6.parse() }.unwrap();
    let (pod_range, cluster_ip, balancer_ip) = match family {
        Family::V4 => ("10.244.0.0/24", "10.96.0.10", "198.51.100.7"),
        Family::V6 => ("fd00:244::/64", "fd00:96::10", "2001:db8::7"),
    };
    Plan {
        node: address("203.0.113.1", "fd00:203::1"),
        gateway: address("10.244.0.1", "fd00:244::1"),
        pods: [address("10.244.0.2", "fd00:244::2"), address("10.244.0.3", "fd00:244::3")],
        pod_range: pod_range.parse().unwrap(),
        outside: address("203.0.113.2", "fd00:203::2"),
        remote: address("10.244.1.2", "fd00:244:1::2"),
        cluster_ip,
        balancer_ip,
    }
}

struct Network {
    node: Namespace,
    pods: [Namespace; 2],
    outside: Namespace,
}

impl Network {
    /// None, with a word why, without the rights to make namespaces.
    fn new(test: &str) -> Option<Network> {
        let made = (Namespace::create(), Namespace::create(), Namespace::create(), Namespace::create());
        let (Ok(node), Ok(one), Ok(two), Ok(outside)) = made else {
            println!("SKIP: {test}: no network namespaces");
            return None;
        };
        let network = Network { node, pods: [one, two], outside };
        network.connect();
        Some(network)
    }

    fn connect(&self) {
        let forwarding = [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")];
        self.node.set_sysctls(&forwarding).unwrap();
        // Else links say nothing in IPv6 for their first second.
        let no_dad = [("net/ipv6/conf/all/accept_dad", "0"), ("net/ipv6/conf/default/accept_dad", "0")];
        for namespace in [&self.node, &self.outside].into_iter().chain(&self.pods) {
            namespace.set_sysctls(&no_dad).unwrap();
        }
        for (name, namespace) in [("pod-1", &self.pods[0]), ("pod-2", &self.pods[1]), ("uplink", &self.outside)] {
            let links = self.node.links();
            let veth = kernel::links::Veth {
                name,
                mac: None,
                peer_name: "eth0",
                peer_mac: None,
                peer_namespace: Some(namespace),
                mtu: None,
            };
            links.add_veth(&veth).unwrap();
            links.set_up(name, true).unwrap();
            namespace.links().set_up("eth0", true).unwrap();
        }
        for family in FAMILIES {
            let at = addresses(family);
            self.ip(&self.node, family, &["address", "add", &host(at.node), "dev", "uplink", "nodad"]);
            for far in [at.outside, at.remote] {
                self.ip(&self.outside, family, &["address", "add", &host(far), "dev", "eth0", "nodad"]);
                self.ip(&self.node, family, &["route", "add", &host(far), "dev", "uplink", "src", &text(at.node)]);
            }
            self.default_route(&self.outside, family, at.node, at.outside);
            let default = ["route", "add", "default", "via", &text(at.outside), "dev", "uplink", "src", &text(at.node)];
            self.ip(&self.node, family, &default);
            for (index, pod) in self.pods.iter().enumerate() {
                let (name, address) = (["pod-1", "pod-2"][index], at.pods[index]);
                self.ip(&self.node, family, &["address", "add", &host(at.gateway), "dev", name, "nodad"]);
                self.ip(pod, family, &["address", "add", &host(address), "dev", "eth0", "nodad"]);
                self.ip(&self.node, family, &["route", "add", &host(address), "dev", name, "src", &text(at.gateway)]);
                self.default_route(pod, family, at.gateway, address);
            }
        }
    }

    fn default_route(&self, namespace: &Namespace, family: Family, via: IpAddr, source: IpAddr) {
        self.ip(namespace, family, &["route", "add", &host(via), "dev", "eth0", "src", &text(source)]);
        let default = ["route", "add", "default", "via", &text(via), "dev", "eth0", "src", &text(source)];
        self.ip(namespace, family, &default);
    }

    fn ip(&self, namespace: &Namespace, family: Family, words: &[&str]) {
        let version = if family == Family::V4 { "-4" } else { "-6" };
        namespace.run(|| run("ip", &[&[version], words].concat())).unwrap();
    }
}

fn host(address: IpAddr) -> String {
    IpNet::from(address).to_string()
}

fn text(address: IpAddr) -> String {
    address.to_string()
}

/// A server that says its name, and who it takes the client for.
fn serve(namespace: &Namespace, address: IpAddr, name: &'static str) {
    let listener = namespace.run(|| TcpListener::bind((address, PORT))).unwrap().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let client = stream.peer_addr().map(|client| client.ip().to_string()).unwrap_or_default();
            let _ = stream.write_all(format!("{name} sees {client}").as_bytes());
        }
    });
}

/// Endpoints with the truth about where they are.
fn endpoints(at: &Plan, scope: Scope, chosen: &[IpAddr]) -> Outcome {
    let sockets: Vec<SocketAddr> = chosen.iter().map(|address| SocketAddr::new(*address, PORT)).collect();
    let Outcome::Pool(pool) = pool("web", scope, &sockets) else { unreachable!("a pool is a pool") };
    let local = |endpoint: &Endpoint| Endpoint { local: at.pods.contains(&endpoint.address), ..*endpoint };
    Outcome::Pool(Pool { endpoints: pool.endpoints.iter().map(local).collect(), ..pool })
}

/// A node with a table, two Pods (the first of them serves), a Pod elsewhere that serves, and a client.
struct Stage {
    at: Plan,
    network: Network,
    table: Table,
    model: Model,
}

impl Stage {
    fn set(&mut self, key: Frontend, rule: Rule) {
        self.model.frontends.insert(key, rule);
        let (table, model) = (&mut self.table, &self.model);
        self.network.node.run(|| table.program(model)).unwrap();
    }

    fn asks(&self, namespace: &Namespace, address: &str, port: u16) -> Result<String, ErrorKind> {
        let to = SocketAddr::new(address.parse().unwrap(), port);
        namespace.run(|| knock(to)).unwrap()
    }

    fn outside_asks(&self, address: &str, port: u16) -> Result<String, ErrorKind> {
        self.asks(&self.network.outside, address, port)
    }
}

fn on_stage(test: &str, act: impl Fn(Stage)) {
    for family in FAMILIES {
        let at = addresses(family);
        let Some(network) = Network::new(test) else { return };
        serve(&network.pods[0], at.pods[0], "pod-1");
        serve(&network.outside, at.remote, "remote");
        let table = network.node.run(|| Table::new(family)).unwrap();
        let model = Model {
            local_pods: LocalPods::Ranges([at.pod_range].into()),
            node_addresses: [at.node].into(),
            ..Model::empty(family)
        };
        act(Stage { at, network, table, model });
    }
}

fn sees(server: &str, client: IpAddr) -> Result<String, ErrorKind> {
    Ok(format!("{server} sees {client}"))
}

#[test]
fn s314_s315_a_cluster_ip_keeps_a_local_pods_address_and_rewrites_all_others() {
    on_stage("cluster IP", |mut stage| {
        let key = frontend(stage.at.cluster_ip, Protocol::Tcp, 80);
        let outcome = endpoints(&stage.at, Scope::Cluster, &[stage.at.pods[0]]);
        stage.set(key, Rule { masquerade: Masquerade::UnlessLocalPod, ..rule(Role::ClusterIp, outcome) });
        let ip = stage.at.cluster_ip;
        let [one, two] = &stage.network.pods;
        assert_eq!(stage.asks(two, ip, 80), sees("pod-1", stage.at.pods[1]), "Pod to Pod");
        assert_eq!(stage.asks(one, ip, 80), sees("pod-1", stage.at.gateway), "hairpin");
        assert_eq!(stage.outside_asks(ip, 80), sees("pod-1", stage.at.gateway), "from outside");
        assert_eq!(stage.asks(&stage.network.node, ip, 80), sees("pod-1", stage.at.gateway), "from the node");
    });
}

#[test]
fn s312_policy_cluster_rewrites_every_source() {
    on_stage("policy Cluster", |mut stage| {
        let outcome = endpoints(&stage.at, Scope::Cluster, &[stage.at.pods[0]]);
        let rule = |role| Rule { masquerade: Masquerade::Always, ..rule(role, outcome.clone()) };
        stage.set(frontend(stage.at.balancer_ip, Protocol::Tcp, 80), rule(Role::LoadBalancerIp));
        stage.set(frontend("node", Protocol::Tcp, 30080), rule(Role::NodePort));
        let node = text(stage.at.node);
        for (address, port) in [(stage.at.balancer_ip, 80), (node.as_str(), 30080)] {
            assert_eq!(stage.outside_asks(address, port), sees("pod-1", stage.at.gateway), "{address}");
            let pod = &stage.network.pods[1];
            assert_eq!(stage.asks(pod, address, port), sees("pod-1", stage.at.gateway), "{address}");
        }
    });
}

#[test]
fn s313_policy_local_keeps_the_source_and_stays_on_the_node_for_clients_outside() {
    on_stage("policy Local", |mut stage| {
        let (pod, remote) = (stage.at.pods[0], stage.at.remote);
        let local = |stage: &Stage, role, far| Rule {
            far,
            masquerade: Masquerade::OnlyHost,
            ..rule(role, endpoints(&stage.at, Scope::Cluster, &[remote]))
        };
        let far = endpoints(&stage.at, Scope::Local, &[pod]);
        let node = text(stage.at.node);
        stage.set(frontend(stage.at.balancer_ip, Protocol::Tcp, 80), local(&stage, Role::LoadBalancerIp, far.clone()));
        stage.set(frontend("node", Protocol::Tcp, 30080), local(&stage, Role::NodePort, far));
        for detector in [
            LocalPods::Ranges([stage.at.pod_range].into()),
            LocalPods::InterfacePrefix("pod-".into()),
            LocalPods::Interface("pod-2".into()),
        ] {
            stage.model.local_pods = detector.clone();
            for (address, port) in [(stage.at.balancer_ip, 80), (node.as_str(), 30080)] {
                let key = frontend("node", Protocol::Tcp, 30081);
                stage.set(key, rule(Role::NodePort, Outcome::Drop));
                let case = format!("{detector:?} {address}");
                assert_eq!(stage.outside_asks(address, port), sees("pod-1", stage.at.outside), "{case}");
                let near = &stage.network.pods[1];
                assert_eq!(stage.asks(near, address, port), sees("remote", stage.at.pods[1]), "(a) {case}");
                let node = &stage.network.node;
                assert_eq!(stage.asks(node, address, port), sees("remote", stage.at.node), "(b) {case}");
            }
        }
        let none = local(&stage, Role::LoadBalancerIp, Outcome::Drop);
        stage.set(frontend(stage.at.balancer_ip, Protocol::Tcp, 80), none);
        assert_eq!(stage.outside_asks(stage.at.balancer_ip, 80), Err(ErrorKind::TimedOut), "(c)");
        assert_eq!(stage.asks(&stage.network.node, stage.at.balancer_ip, 80), sees("remote", stage.at.node), "(b)");
    });
}

#[test]
fn s316_s343_the_guard_speaks_before_policy_and_before_refusal() {
    on_stage("guard", |mut stage| {
        let only = |address: IpAddr| Sources::Only([IpNet::from(address)].into());
        let local = Rule {
            far: endpoints(&stage.at, Scope::Local, &[stage.at.pods[0]]),
            masquerade: Masquerade::OnlyHost,
            ..rule(Role::LoadBalancerIp, endpoints(&stage.at, Scope::Cluster, &[stage.at.remote]))
        };
        let empty = rule(Role::LoadBalancerIp, Outcome::Reject);
        let key = frontend(stage.at.balancer_ip, Protocol::Tcp, 80);
        let ip = stage.at.balancer_ip;
        stage.set(key, Rule { sources: only(stage.at.outside), ..local.clone() });
        assert_eq!(stage.outside_asks(ip, 80), sees("pod-1", stage.at.outside));
        assert_eq!(stage.asks(&stage.network.pods[1], ip, 80), Err(ErrorKind::TimedOut), "Pods too");
        stage.set(key, Rule { sources: only(stage.at.pods[1]), ..local });
        assert_eq!(stage.outside_asks(ip, 80), Err(ErrorKind::TimedOut));
        assert_eq!(stage.asks(&stage.network.pods[1], ip, 80), sees("remote", stage.at.pods[1]));
        stage.set(key, Rule { sources: only(stage.at.outside), ..empty.clone() });
        assert_eq!(stage.outside_asks(ip, 80), Err(ErrorKind::ConnectionRefused));
        stage.set(key, Rule { sources: only(stage.at.pods[1]), ..empty });
        assert_eq!(stage.outside_asks(ip, 80), Err(ErrorKind::TimedOut));
    });
}

#[test]
fn s324_the_local_pool_of_a_port_remembers_apart_from_the_cluster_pool() {
    on_stage("two pools", |mut stage| {
        let affinity = Some(Affinity { timeout_s: 10800 });
        let both = [stage.at.pods[0], stage.at.remote];
        let cluster_ip = |stage: &Stage, chosen: &[IpAddr]| Rule {
            affinity,
            masquerade: Masquerade::UnlessLocalPod,
            ..rule(Role::ClusterIp, endpoints(&stage.at, Scope::Cluster, chosen))
        };
        // The client is remembered on the remote endpoint, since there is no other yet.
        let key = frontend(stage.at.cluster_ip, Protocol::Tcp, 80);
        stage.set(key, cluster_ip(&stage, &both[1..]));
        assert_eq!(stage.outside_asks(stage.at.cluster_ip, 80), sees("remote", stage.at.node));
        stage.set(key, cluster_ip(&stage, &both));
        let node_port = Rule {
            far: endpoints(&stage.at, Scope::Local, &both[..1]),
            role: Role::NodePort,
            masquerade: Masquerade::OnlyHost,
            ..cluster_ip(&stage, &both)
        };
        stage.set(frontend("node", Protocol::Tcp, 30080), node_port);
        for _ in 0..5 {
            assert_eq!(stage.outside_asks(stage.at.cluster_ip, 80), sees("remote", stage.at.node));
            assert_eq!(stage.outside_asks(&text(stage.at.node), 30080), sees("pod-1", stage.at.outside));
        }
    });
}
