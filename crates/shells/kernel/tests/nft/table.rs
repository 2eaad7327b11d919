//! A table in a kernel, and Models for it.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use kernel::nfnetlink::NfSocket;
use model::{
    Change, Destination, Endpoint, Family, Frontend, Masquerade, Model, Outcome, Pool, PoolName, Protocol, Provenance,
    Role, Rule, Scope, Sources,
};
use nft::{Image, Options, State, encode, observe, plan, requests};
use nix::sched::{CloneFlags, unshare};

/// Runs a test in a network namespace of its own, with the loopback interface up.
pub fn in_namespace(name: &str, test: impl FnOnce() + Send + 'static) {
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

/// Whether the `nft` program is here, by which some tests play somebody else.
pub fn has_nft(test: &str) -> bool {
    let found = Command::new("nft").arg("--version").output().is_ok();
    if !found {
        println!("SKIP: {test}: there is no nft program");
    }
    found
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A table in the kernel, and its Image.
pub struct Table {
    pub socket: NfSocket,
    pub image: Image,
}

impl Table {
    pub fn new(family: Family) -> Table {
        let mut socket = NfSocket::open().unwrap();
        let image = read(&mut socket, family);
        Table { socket, image }
    }

    pub fn change(&mut self, change: &Change) {
        let plan = plan(change, &self.image);
        assert_eq!(plan.report, [], "everything can be programmed");
        let options = Options { bytes_max: self.socket.batch_bytes_max().unwrap(), generation: None };
        for batch in encode(&[&plan], &options) {
            if let Err(failure) = self.socket.send_batch(&batch.bytes) {
                let step = failure.message.and_then(|at| batch.steps.get(at)).map(|(_, step)| *step);
                let step = step.and_then(|step| plan.step_text(step)).unwrap_or_default();
                panic!("{failure}: {}\n{}", failure.source, step.lines().next().unwrap_or_default());
            }
        }
        self.image.apply(&plan);
    }

    /// Programs a Model, and checks that the kernel then holds it and nothing else.
    pub fn program(&mut self, model: &Model) {
        self.change(&Change::between(&self.image.model(), model));
        let observed = read(&mut self.socket, model.family);
        assert_eq!(observed.state(), &State::Ours);
        assert_eq!(observed.model(), *model);
        assert_eq!(observed.strays(), 0);
        assert!(observed == self.image, "observed\n{observed:#?}\napplied\n{:#?}", self.image);
        assert!(plan(&Change::default(), &observed).is_empty());
    }

    pub fn list(&self) -> String {
        let table = match self.image.family() {
            Family::V4 => ["list", "table", "ip", "maitred"],
            Family::V6 => ["list", "table", "ip6", "maitred"],
        };
        run("nft", &table)
    }
}

pub fn read(socket: &mut NfSocket, family: Family) -> Image {
    let (_, dumps) = socket.dump_all(&requests(family)).unwrap();
    observe(family, &dumps)
}

pub fn frontend(address: &str, protocol: Protocol, port: u16) -> Frontend {
    let destination = match address {
        "node" => Destination::Node,
        address => Destination::Address(address.parse().unwrap()),
    };
    Frontend { destination, protocol, port }
}

pub fn pool(service: &str, scope: Scope, endpoints: &[SocketAddr]) -> Outcome {
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

pub fn rule(role: Role, outcome: Outcome) -> Rule {
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
pub struct Addresses {
    pub family: Family,
    pub node: IpAddr,
    pub cluster_ip: &'static str,
    /// Unassigned, in the Service range.
    pub other_ip: &'static str,
    pub external_ip: &'static str,
    pub range: &'static str,
}

pub const FAMILIES: [Family; 2] = Family::ALL;

pub fn addresses(family: Family) -> Addresses {
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
    pub fn route(&self) {
        let (version, prefix) = if self.family == Family::V4 { ("-4", "32") } else { ("-6", "128") };
        let node = self.node.to_string();
        run("ip", &[version, "address", "add", &format!("{node}/{prefix}"), "dev", "lo", "nodad"]);
        run("ip", &[version, "route", "add", "default", "dev", "out", "src", &node]);
    }

    pub fn model(&self) -> Model {
        Model { service_ranges: [self.range.parse().unwrap()].into(), ..Model::empty(self.family) }
    }

    pub fn socket(&self, address: &str, port: u16) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), port)
    }
}
