//! Models programmed into a real kernel, read back, and tried with packets, each in a network namespace of its own.
//!
//! Needs root (or CAP_NET_ADMIN and CAP_SYS_ADMIN); otherwise each test says that it is skipped. The host's own network
//! namespace is never touched: a thread leaves it before it opens a socket.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kernel::conntrack::Conntrack;
use kernel::nfnetlink::NfSocket;
use model::{
    Affinity, Change, Destination, Endpoint, Family, Frontend, LocalPods, Masquerade, Model, Outcome, Pool, PoolName,
    Protocol, Provenance, Role, Rule, Scope, Sources,
};
use nft::{Image, Options, State, encode, observe, plan, requests};
use nix::sched::{CloneFlags, unshare};

/// Runs a test in a network namespace of its own, with the loopback interface up.
fn in_namespace(name: &str, test: impl FnOnce() + Send + 'static) {
    let skipped = thread::spawn(move || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            return Some(errno);
        }
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "out", "type", "veth", "peer", "name", "in"]);
        run("ip", &["link", "set", "out", "up"]);
        run("ip", &["link", "set", "in", "up"]);
        test();
        None
    })
    .join();
    match skipped {
        Ok(None) => {}
        Ok(Some(errno)) => println!("SKIP: {name}: no network namespace: {errno}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A table in the kernel, and its Image.
struct Table {
    socket: NfSocket,
    image: Image,
}

impl Table {
    fn new(family: Family) -> Table {
        let mut socket = NfSocket::open().unwrap();
        let image = read(&mut socket, family);
        Table { socket, image }
    }

    fn change(&mut self, change: &Change) {
        let plan = plan(change, &self.image);
        assert_eq!(plan.report, [], "everything can be programmed");
        for batch in encode(&[&plan], &Options::default()) {
            if let Err(failure) = self.socket.send_batch(&batch.bytes) {
                let step = failure.message.and_then(|at| batch.steps.get(at)).map(|(_, step)| *step);
                let step = step.and_then(|step| plan.step_text(step)).unwrap_or_default();
                panic!("{failure}: {}\n{}", failure.source, step.lines().next().unwrap_or_default());
            }
        }
        self.image.apply(&plan);
    }

    /// Programs a Model, and checks that the kernel then holds it and nothing else.
    fn program(&mut self, model: &Model) {
        self.change(&Change::between(&self.image.model(), model));
        let observed = read(&mut self.socket, model.family);
        assert_eq!(observed.state(), &State::Ours);
        assert_eq!(observed.model(), *model);
        assert_eq!(observed.strays(), 0);
        assert!(observed == self.image, "observed\n{observed:#?}\napplied\n{:#?}", self.image);
        assert!(plan(&Change::default(), &observed).is_empty());
    }

    fn list(&self) -> String {
        let table = match self.image.family() {
            Family::V4 => ["list", "table", "ip", "maitred"],
            Family::V6 => ["list", "table", "ip6", "maitred"],
        };
        run("nft", &table)
    }
}

fn read(socket: &mut NfSocket, family: Family) -> Image {
    let (_, dumps) = socket.dump_all(&requests(family)).unwrap();
    observe(family, &dumps)
}

fn frontend(address: &str, protocol: Protocol, port: u16) -> Frontend {
    let destination = match address {
        "node" => Destination::Node,
        address => Destination::Address(address.parse().unwrap()),
    };
    Frontend { destination, protocol, port }
}

fn pool(service: &str, scope: Scope, endpoints: &[SocketAddr]) -> Outcome {
    let name = PoolName {
        namespace: "default".into(),
        service: service.into(),
        port: "http".into(),
        protocol: Protocol::Tcp,
        scope,
    };
    let mut endpoints: Vec<Endpoint> = endpoints
        .iter()
        .map(|socket| Endpoint { address: socket.ip(), port: socket.port(), local: false, weight: 1 })
        .collect();
    endpoints.sort_unstable();
    Outcome::Pool(Pool { name: Arc::new(name), endpoints: endpoints.into() })
}

fn rule(role: Role, outcome: Outcome) -> Rule {
    Rule {
        role,
        sources: Sources::Any,
        near: outcome.clone(),
        far: outcome,
        masquerade: Masquerade::Never,
        affinity: None,
        provenance: Provenance::default(),
    }
}

/// The addresses of a family that the tests use.
struct Addresses {
    family: Family,
    node: IpAddr,
    cluster_ip: &'static str,
    /// Unassigned, in the Service range.
    other_ip: &'static str,
    external_ip: &'static str,
    range: &'static str,
}

const FAMILIES: [Family; 2] = Family::ALL;

fn addresses(family: Family) -> Addresses {
    match family {
        Family::V4 => Addresses {
            family,
            node: [192, 0, 2, 1].into(),
            cluster_ip: "10.96.0.10",
            other_ip: "10.96.0.11",
            external_ip: "198.51.100.7",
            range: "10.96.0.0/16",
        },
        Family::V6 => Addresses {
            family,
            node: "fd00:1::1".parse().unwrap(),
            cluster_ip: "fd00:96::10",
            other_ip: "fd00:96::11",
            external_ip: "2001:db8::7",
            range: "fd00:96::/64",
        },
    }
}

impl Addresses {
    /// Gives the node an address, and a route to virtual addresses, without which no packet is made.
    fn route(&self) {
        let (version, prefix) = if self.family == Family::V4 { ("-4", "32") } else { ("-6", "128") };
        let node = self.node.to_string();
        run("ip", &[version, "address", "add", &format!("{node}/{prefix}"), "dev", "lo", "nodad"]);
        run("ip", &[version, "route", "add", "default", "dev", "out", "src", &node]);
    }

    fn model(&self) -> Model {
        Model { service_ranges: [self.range.parse().unwrap()].into(), ..Model::empty(self.family) }
    }

    fn socket(&self, address: &str, port: u16) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), port)
    }
}

/// A server that says its name to whoever connects.
fn tcp_server(address: IpAddr, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(name.as_bytes());
        }
    });
    at
}

fn udp_server(address: IpAddr, name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(name.as_bytes(), client);
        }
    });
    at
}

/// Who answers at an address, or how it fails.
fn knock(at: SocketAddr) -> Result<String, ErrorKind> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_millis(500)).map_err(|failure| failure.kind())?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut name = String::new();
    stream.read_to_string(&mut name).map_err(|failure| failure.kind())?;
    Ok(name)
}

fn ask(at: SocketAddr) -> Result<String, ErrorKind> {
    let local = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).unwrap();
    socket.connect(at).unwrap();
    ask_again(&socket)
}

fn ask_again(socket: &UdpSocket) -> Result<String, ErrorKind> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.send(b"?").map_err(|failure| failure.kind())?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).map_err(|failure| failure.kind())?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[test]
fn a_cluster_ip_leads_to_its_endpoints() {
    in_namespace("cluster ip", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let (one, two) = (tcp_server(at.node, "one"), tcp_server(at.node, "two"));
            let mut table = Table::new(family);
            let mut model = at.model();
            let cluster_ip = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(cluster_ip, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[one, two])));
            let dns = udp_server(at.node, "dns");
            let udp = frontend(at.cluster_ip, Protocol::Udp, 53);
            model.frontends.insert(udp, rule(Role::ClusterIp, pool("dns", Scope::Cluster, &[dns])));
            table.program(&model);

            let answers: BTreeSet<_> = (0..40).map(|_| knock(at.socket(at.cluster_ip, 80))).collect();
            assert_eq!(answers, BTreeSet::from([Ok("one".into()), Ok("two".into())]), "{family:?}");
            assert_eq!(ask(at.socket(at.cluster_ip, 53)), Ok("dns".into()));
            table.list();
        }
    });
}

#[test]
fn s311_without_endpoints_clients_are_refused_or_hear_nothing() {
    in_namespace("refused", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let mut model = at.model();
            let cluster_ip = |port| frontend(at.cluster_ip, Protocol::Tcp, port);
            model.frontends.insert(cluster_ip(80), rule(Role::ClusterIp, Outcome::Reject));
            model.frontends.insert(cluster_ip(81), rule(Role::ClusterIp, Outcome::Drop));
            let udp = frontend(at.cluster_ip, Protocol::Udp, 53);
            model.frontends.insert(udp, rule(Role::ClusterIp, Outcome::Reject));
            table.program(&model);

            assert_eq!(knock(at.socket(at.cluster_ip, 80)), Err(ErrorKind::ConnectionRefused), "{family:?}");
            assert_eq!(knock(at.socket(at.cluster_ip, 81)), Err(ErrorKind::TimedOut), "{family:?}");
            // The host's own packets are refused before they are sent, and then Linux says EPERM.
            assert_eq!(ask(at.socket(at.cluster_ip, 53)), Err(ErrorKind::PermissionDenied), "{family:?}");
        }
    });
}

#[test]
fn s341_an_unused_port_of_a_cluster_ip_is_refused_and_an_unassigned_address_is_silent() {
    in_namespace("unused", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let mut model = at.model();
            let server = tcp_server(at.node, "one");
            let cluster_ip = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(cluster_ip, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));
            let external = frontend(at.external_ip, Protocol::Tcp, 80);
            model.frontends.insert(external, rule(Role::ExternalIp, pool("a", Scope::Cluster, &[server])));
            table.program(&model);

            assert_eq!(knock(at.socket(at.external_ip, 80)), Ok("one".into()));
            assert_eq!(knock(at.socket(at.cluster_ip, 81)), Err(ErrorKind::ConnectionRefused), "{family:?}");
            assert_eq!(knock(at.socket(at.other_ip, 80)), Err(ErrorKind::TimedOut), "{family:?}");
        }
    });
}

#[test]
fn s319_a_node_port_answers_on_accepted_addresses_only() {
    in_namespace("node port", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let server = tcp_server(at.node, "one");
            let mut model = at.model();
            let node = frontend("node", Protocol::Tcp, 30080);
            model.frontends.insert(node, rule(Role::NodePort, pool("a", Scope::Cluster, &[server])));
            table.program(&model);
            let knock = || knock(SocketAddr::new(at.node, 30080));
            assert_eq!(knock(), Err(ErrorKind::ConnectionRefused), "{family:?}: no address is accepted yet");

            model.node_addresses = [at.node].into();
            table.program(&model);
            assert_eq!(knock(), Ok("one".into()), "{family:?}");

            model.node_addresses = BTreeSet::new();
            table.program(&model);
            assert_eq!(knock(), Err(ErrorKind::ConnectionRefused), "{family:?}");
        }
    });
}

#[test]
fn s313_near_and_far_clients_get_their_own_pools() {
    in_namespace("near and far", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let (near, far) = (tcp_server(at.node, "near"), tcp_server(at.node, "far"));
            let mut table = Table::new(family);
            let mut model = Model { node_addresses: [at.node].into(), ..at.model() };
            let local = Rule {
                far: pool("a", Scope::Local, &[far]),
                masquerade: Masquerade::OnlyHost,
                ..rule(Role::LoadBalancerIp, pool("a", Scope::Cluster, &[near]))
            };
            model.frontends.insert(frontend(at.external_ip, Protocol::Tcp, 80), local.clone());
            let node_port = Rule { role: Role::NodePort, ..local };
            model.frontends.insert(frontend("node", Protocol::Tcp, 30080), node_port.clone());
            // No far client can be had on one node without another namespace: the lab's tests have them.
            for detector in detectors(&at) {
                model.local_pods = detector;
                table.program(&model);
                assert_eq!(knock(at.socket(at.external_ip, 80)), Ok("near".into()), "{family:?}");
                assert_eq!(knock(SocketAddr::new(at.node, 30080)), Ok("near".into()), "{family:?}");
            }
            let empty = Rule { far: Outcome::Drop, near: Outcome::Reject, ..node_port };
            model.frontends.insert(frontend("node", Protocol::Tcp, 30080), empty);
            table.program(&model);
            assert_eq!(knock(SocketAddr::new(at.node, 30080)), Err(ErrorKind::ConnectionRefused), "{family:?}");
        }
    });
}

fn detectors(at: &Addresses) -> [LocalPods; 4] {
    [
        LocalPods::Ranges([at.range.parse().unwrap()].into()),
        LocalPods::Interface("cbr0".into()),
        LocalPods::InterfacePrefix("cali".into()),
        LocalPods::Unknown,
    ]
}

#[test]
fn s316_clients_outside_the_source_ranges_are_dropped() {
    in_namespace("guard", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let server = tcp_server(at.node, "one");
            let mut table = Table::new(family);
            let mut model = at.model();
            let key = frontend(at.external_ip, Protocol::Tcp, 80);
            let open = rule(Role::LoadBalancerIp, pool("a", Scope::Cluster, &[server]));
            let mut guarded = |sources: &[&str], rule: &Rule| {
                let ranges = sources.iter().map(|range| range.parse().unwrap()).collect();
                model.frontends.insert(key, Rule { sources: Sources::Only(ranges), ..rule.clone() });
                table.program(&model);
                knock(at.socket(at.external_ip, 80))
            };
            let node = format!("{}/{}", at.node, if at.node.is_ipv4() { 32 } else { 128 });
            assert_eq!(guarded(&[at.range, &node], &open), Ok("one".into()), "{family:?}");
            assert_eq!(guarded(&[at.range], &open), Err(ErrorKind::TimedOut), "{family:?}");
            assert_eq!(guarded(&[], &open), Err(ErrorKind::TimedOut), "{family:?}");
            // S-343: the guard speaks first.
            let empty = rule(Role::LoadBalancerIp, Outcome::Reject);
            assert_eq!(guarded(&[at.range], &empty), Err(ErrorKind::TimedOut), "{family:?}");
            assert_eq!(guarded(&[&node], &empty), Err(ErrorKind::ConnectionRefused), "{family:?}");
            let local = Rule { far: Outcome::Drop, masquerade: Masquerade::OnlyHost, ..open };
            assert_eq!(guarded(&[&node], &local), Ok("one".into()), "{family:?}");
        }
    });
}

#[test]
fn s324_a_client_stays_with_its_endpoint_and_chooses_anew_when_it_is_gone() {
    in_namespace("affinity", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let names = ["0", "1", "2", "3", "4", "5"];
            let servers = names.map(|name| tcp_server(at.node, name));
            let mut table = Table::new(family);
            let mut model = Model { node_addresses: [at.node].into(), ..at.model() };
            let mut set = |model: &mut Model, servers: &[SocketAddr], affinity| {
                let rule = Rule { affinity, ..rule(Role::ClusterIp, pool("a", Scope::Cluster, servers)) };
                model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, 80), rule.clone());
                let node_port = Rule { role: Role::NodePort, ..rule };
                model.frontends.insert(frontend("node", Protocol::Tcp, 30080), node_port);
                table.program(model);
            };
            let answers = || -> BTreeSet<String> {
                let both = [at.socket(at.cluster_ip, 80), SocketAddr::new(at.node, 30080)];
                (0..10).flat_map(|_| both.map(|at| knock(at).unwrap())).collect()
            };
            let affinity = Some(Affinity { timeout_s: 10800 });
            set(&mut model, &servers, affinity);
            let first = answers();
            assert_eq!(first.len(), 1, "{family:?}: both frontends share one memory");
            let mut left = servers.to_vec();
            left.remove(first.first().unwrap().parse::<usize>().unwrap());
            set(&mut model, &left, affinity);
            let second = answers();
            assert_eq!(second.len(), 1);
            assert_ne!(first, second);
            set(&mut model, &left, Some(Affinity { timeout_s: 60 }));
            assert_eq!(answers().len(), 1, "another timeout");
            set(&mut model, &left, None);
            assert!(answers().len() > 1, "S-326: without affinity the choice is random again");
        }
    });
}

#[test]
fn s310_every_endpoint_gets_connections_by_its_weight() {
    in_namespace("weights", || {
        let at = addresses(Family::V4);
        at.route();
        let (light, heavy) = (tcp_server(at.node, "light"), tcp_server(at.node, "heavy"));
        let mut table = Table::new(Family::V4);
        let mut model = at.model();
        let Outcome::Pool(mut pool) = pool("a", Scope::Cluster, &[light, heavy]) else { unreachable!() };
        pool.endpoints = pool
            .endpoints
            .iter()
            .map(|endpoint| Endpoint { weight: if endpoint.socket() == heavy { 9 } else { 1 }, ..*endpoint })
            .collect();
        model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, 80), rule(Role::ClusterIp, Outcome::Pool(pool)));
        table.program(&model);
        let heavy = (0..200).filter(|_| knock(at.socket(at.cluster_ip, 80)) == Ok("heavy".into())).count();
        // 180 are expected, with a standard deviation of 4.2.
        assert!((150..200).contains(&heavy), "{heavy} of 200");
    });
}

#[test]
fn s315_a_local_endpoint_reaches_itself() {
    in_namespace("hairpin", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let server = tcp_server(at.node, "self");
            let mut table = Table::new(family);
            let mut model = at.model();
            let Outcome::Pool(pool) = pool("a", Scope::Cluster, &[server]) else { unreachable!() };
            let endpoints = pool.endpoints.iter().map(|endpoint| Endpoint { local: true, ..*endpoint }).collect();
            let outcome = Outcome::Pool(Pool { endpoints, ..pool });
            for masquerade in [Masquerade::Never, Masquerade::Always, Masquerade::UnlessLocalPod, Masquerade::OnlyHost]
            {
                let rule = Rule { masquerade, ..rule(Role::ClusterIp, outcome.clone()) };
                model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, 80), rule);
                table.program(&model);
                assert_eq!(knock(at.socket(at.cluster_ip, 80)), Ok("self".into()), "{family:?} {masquerade:?}");
            }
        }
    });
}

#[test]
fn growing_and_shrinking_keeps_every_endpoint_reachable() {
    in_namespace("grow and shrink", || {
        let at = addresses(Family::V6);
        at.route();
        let servers = ["0", "1", "2", "3", "4"].map(|name| tcp_server(at.node, name));
        let mut table = Table::new(Family::V6);
        let mut model = at.model();
        let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
        for chosen in [&servers[..1], &servers[..4], &servers[1..4], &servers[3..], &servers[..], &servers[4..]] {
            model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, chosen)));
            table.program(&model);
            let answers: BTreeSet<_> = (0..60).map(|_| knock(at.socket(at.cluster_ip, 80)).unwrap()).collect();
            assert_eq!(answers.len(), chosen.len());
        }
        model.frontends.remove(&key);
        table.program(&model);
        assert_eq!(knock(at.socket(at.cluster_ip, 80)), Err(ErrorKind::TimedOut), "its address is unassigned again");
    });
}

#[test]
fn a_foreign_table_is_replaced_and_strays_are_swept() {
    in_namespace("foreign", || {
        let at = addresses(Family::V4);
        at.route();
        let server = tcp_server(at.node, "one");
        let mut model = at.model();
        let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
        model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));

        run("nft", &["add", "table", "ip", "maitred"]);
        run("nft", &["add", "chain", "ip", "maitred", "somebody"]);
        let mut table = Table::new(Family::V4);
        assert!(matches!(table.image.state(), State::Foreign(_)), "{:?}", table.image.state());
        table.program(&model);
        assert_eq!(knock(at.socket(at.cluster_ip, 80)), Ok("one".into()));

        // An operator deletes one endpoint, and adds one cluster IP.
        let listing = table.list();
        assert!(listing.contains("goto n1"), "{listing}");
        let row = format!("{{ {} . tcp . 80 . 0:0 }}", at.cluster_ip);
        run("nft", &["delete", "element", "ip", "maitred", "endpoints-10", &row]);
        run("nft", &["add", "element", "ip", "maitred", "cluster-ips", "{ 10.96.0.99 }"]);
        let mut table = Table::new(Family::V4);
        assert_eq!(table.image.state(), &State::Ours);
        assert!(table.image.model().frontends.is_empty(), "what isn't whole isn't claimed");
        assert!(table.image.strays() > 0);
        table.program(&model);
        assert_eq!(knock(at.socket(at.cluster_ip, 80)), Ok("one".into()));

        // A rule of somebody else makes the table foreign.
        run("nft", &["insert", "rule", "ip", "maitred", "services", "accept"]);
        let mut table = Table::new(Family::V4);
        assert!(matches!(table.image.state(), State::Foreign(_)), "{:?}", table.image.state());
        table.program(&model);
    });
}

#[test]
fn a_full_map_gets_more_room() {
    in_namespace("resize", || {
        let at = addresses(Family::V4);
        let mut table = Table::new(Family::V4);
        let mut model = at.model();
        table.program(&model);
        let server: SocketAddr = "10.0.0.1:80".parse().unwrap();
        for port in 1..6000 {
            let key = frontend(at.cluster_ip, Protocol::Tcp, port);
            model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));
        }
        table.program(&model);
        table.program(&at.model());
    });
}

#[test]
fn the_kernel_says_which_message_it_refuses_and_carries_out_nothing() {
    in_namespace("refused batch", || {
        let at = addresses(Family::V4);
        let mut table = Table::new(Family::V4);
        let mut model = at.model();
        table.program(&model);
        let server: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
        model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));
        let add = plan(&Change::between(&table.image.model(), &model), &table.image);
        // The same chain cannot be deleted twice, and the second message that tries it is named.
        let mut with = table.image.clone();
        with.apply(&add);
        let delete = plan(&Change::between(&model, &at.model()), &with);
        let batches = encode(&[&delete], &Options::default());
        let failure = table.socket.send_batch(&batches[0].bytes).unwrap_err();
        assert_eq!(failure.message, Some(0));
        assert_eq!(failure.source.errno(), Some(2), "ENOENT");
        assert_eq!(read(&mut table.socket, Family::V4), table.image);

        let (generation, _) = table.socket.dump_all(&requests(Family::V4)).unwrap();
        let stale = Options { generation: Some(generation - 1), ..Options::default() };
        let failure = table.socket.send_batch(&encode(&[&add], &stale)[0].bytes).unwrap_err();
        assert!(failure.source.is_stale_generation(), "{failure:?}");
        let fresh = Options { generation: Some(generation), ..Options::default() };
        table.socket.send_batch(&encode(&[&add], &fresh)[0].bytes).unwrap();
        assert_eq!(read(&mut table.socket, Family::V4).model(), model);
    });
}

#[test]
fn a_plan_that_is_cut_into_small_transactions_ends_the_same() {
    in_namespace("cut", || {
        let mut sockets = NfSocket::open().unwrap();
        for family in FAMILIES {
            let at = addresses(family);
            let mut model = at.model();
            let endpoints: Vec<SocketAddr> = (1..50).map(|port| SocketAddr::new(at.node, port)).collect();
            for port in 1..300 {
                let outcome = pool("a", Scope::Cluster, &endpoints[..usize::from(port % 40 + 1)]);
                model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, port), rule(Role::ClusterIp, outcome));
            }
            let empty = read(&mut sockets, family);
            let plan = plan(&Change::between(&Model::empty(family), &model), &empty);
            let options = Options { bytes_max: Some(100_000), ..Options::default() };
            let batches = encode(&[&plan], &options);
            assert!(batches.len() > 3);
            for batch in &batches {
                assert!(batch.bytes.len() <= 100_000);
                sockets.send_batch(&batch.bytes).unwrap();
            }
            assert_eq!(read(&mut sockets, family).model(), model);
        }
    });
}

#[test]
fn s331_an_entry_made_before_the_endpoint_existed_is_deleted() {
    in_namespace("conntrack", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let mut model = at.model();
            model.service_ranges.clear();
            let tcp = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(tcp, rule(Role::ClusterIp, Outcome::Reject));
            table.program(&model);
            // Nobody answers, but the connection is tracked.
            let client = UdpSocket::bind((at.node, 0)).unwrap();
            client.connect(at.socket(at.external_ip, 53)).unwrap();
            assert!(ask_again(&client).is_err());
            let dns = udp_server(at.node, "dns");
            let key = frontend(at.external_ip, Protocol::Udp, 53);
            model.frontends.insert(key, rule(Role::ExternalIp, pool("dns", Scope::Cluster, &[dns])));
            table.program(&model);
            assert!(ask_again(&client).is_err(), "{family:?}: the entry is still there");

            let mut conntrack = Conntrack::open().unwrap();
            let other = UdpSocket::bind((at.node, 0)).unwrap();
            other.connect(at.socket(at.external_ip, 53)).unwrap();
            assert_eq!(ask_again(&other), Ok("dns".into()));
            let entries = conntrack.udp_entries(family == Family::V6).unwrap();
            let stale: Vec<_> = entries
                .iter()
                .filter(|entry| entry.original.destination == at.socket(at.external_ip, 53))
                .filter(|entry| entry.reply.source != dns)
                .copied()
                .collect();
            assert_eq!(stale.len(), 1, "{entries:?}");
            assert_eq!(stale[0].original.source, client.local_addr().unwrap());
            assert_eq!(conntrack.delete(&stale).unwrap(), 1);
            assert_eq!(conntrack.delete(&stale).unwrap(), 0, "it is gone");
            assert_eq!(ask_again(&client), Ok("dns".into()), "{family:?}");
        }
    });
}
