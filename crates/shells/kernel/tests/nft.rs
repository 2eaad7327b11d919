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

use kernel::nfnetlink::NfSocket;
use model::{
    Change, Destination, Endpoint, Family, Frontend, Masquerade, Model, Outcome, Pool, PoolName, Protocol, Provenance,
    Role, Rule, Scope, Sources,
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
                panic!("{failure}: {}\n{step}", failure.source);
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
    range: &'static str,
}

const FAMILIES: [Family; 2] = Family::ALL;

fn addresses(family: Family) -> Addresses {
    match family {
        Family::V4 => {
            Addresses { family, node: [192, 0, 2, 1].into(), cluster_ip: "10.96.0.10", range: "10.96.0.0/16" }
        }
        Family::V6 => {
            Addresses { family, node: "fd00:1::1".parse().unwrap(), cluster_ip: "fd00:96::10", range: "fd00:96::/64" }
        }
    }
}

impl Addresses {
    /// Gives the node an address, and a route to virtual addresses, without which no packet is made.
    fn route(&self) {
        let (version, prefix) = if self.family == Family::V4 { ("-4", "32") } else { ("-6", "128") };
        let node = self.node.to_string();
        run("ip", &[version, "address", "add", &format!("{node}/{prefix}"), "dev", "lo"]);
        run("ip", &[version, "route", "add", "default", "dev", "lo", "src", &node]);
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
