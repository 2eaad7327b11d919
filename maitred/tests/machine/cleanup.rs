//! `maitred cleanup` takes away what is ours, and nothing else.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kernel::chains::{self, Chain, FORWARD, Table, TableFamily};
use kernel::links::{Route, Scope, Veth};
use kernel::nfnetlink::NfSocket;
use lab::{ForeignChain, Namespace, add_foreign_table};
use model::{Change, LocalPods};
use proxy::Dataplane as _;

use crate::Said;

const ROUTES_OF_OURS: [&str; 2] = ["10.244.3.0/24", "fd00:10:244:3::/64"];
const DEAD_LINK: &str = "mt0123456789ab";
const LIVE_UID: &str = "fedcba98-7654-4321-8765-43210fedcba9";
const LIVE_LINK: &str = "mtfedcba987654";

/// A machine that others use, too, and a run directory.
struct Machine {
    namespace: Namespace,
    run_dir: tempfile::TempDir,
}

/// Everything on it that cleanup could touch.
#[derive(Debug, PartialEq)]
struct Listing {
    tables: Vec<Table>,
    chains: Vec<Chain>,
    links: Vec<String>,
    routes: Vec<Route>,
}

impl Machine {
    /// With the tables, links and routes of others.
    fn new() -> Machine {
        let machine = Machine {
            namespace: Namespace::create().expect("a namespace"),
            run_dir: tempfile::tempdir().expect("a directory"),
        };
        machine.add_table(TableFamily::Ip, "filter");
        machine.add_table(TableFamily::Inet, "maitred");
        machine.add_table(TableFamily::Ip6, "maitred-two");
        for (name, peer) in [("eth0", "far0"), ("mtu0", "mtu1"), ("mt-0123456789", "mtx")] {
            machine.add_veth(name, peer);
        }
        let links = machine.namespace.links();
        for address in ["192.0.2.1/24", "2001:db8::1/64"] {
            links.add_address("eth0", net(address), Scope::Global).expect("an address");
        }
        for to in ["198.51.100.0/24", "0.0.0.0/0", "2001:db8:5::/48"] {
            links.replace_route(&route(to)).expect("a route");
        }
        machine
    }

    /// With what maitred leaves, too.
    fn with_ours() -> Machine {
        let machine = Machine::new();
        let programmed = machine.namespace.run(|| {
            let change = Change { local_pods: Some(LocalPods::Interface("eth0".to_owned())), ..Change::default() };
            let mut dataplane = proxy::Nftables::open()?;
            model::Family::ALL.iter().try_for_each(|family| dataplane.apply(*family, &change).map(drop))
        });
        programmed.expect("it is entered").expect("the kernel takes the rules");
        machine.add_table(TableFamily::Ip, "maitred-pods");
        machine.add_table(TableFamily::Ip6, "maitred-pods");
        for to in ROUTES_OF_OURS {
            let route = Route { protocol: agent::ROUTE_PROTOCOL, ..route(to) };
            machine.namespace.links().replace_route(&route).expect("a route");
        }
        machine.add_veth(DEAD_LINK, "dead0");
        machine
    }

    fn add_table(&self, family: TableFamily, name: &str) {
        let table = Table { family, name: name.to_owned() };
        let forward = ForeignChain { name: "FORWARD", hook: Some((FORWARD, false)) };
        let added = self.namespace.run(|| add_foreign_table(&table, &[forward]));
        added.expect("it is entered").expect("a table");
    }

    fn add_veth(&self, name: &str, peer_name: &str) {
        let veth = Veth { name, mac: None, peer_name, peer_mac: None, peer_namespace: None, mtu: None };
        self.namespace.links().add_veth(&veth).expect("a link");
        for end in [name, peer_name] {
            self.namespace.links().set_up(end, true).expect("it is there");
        }
    }

    fn listing(&self) -> Listing {
        let asked = self.namespace.run(|| {
            let mut socket = NfSocket::open().expect("a socket");
            (chains::tables(&mut socket).expect("tables"), chains::chains(&mut socket).expect("chains"))
        });
        let (tables, chains) = asked.expect("it is entered");
        let links = self.namespace.links();
        let mut names: Vec<String> = links.links().expect("links").into_iter().map(|link| link.name).collect();
        names.sort();
        let mut routes = links.routes().expect("routes");
        // The kernel gives each link one, and takes it away with the link.
        routes.retain(|route| route.to != net("fe80::/64"));
        Listing { tables, chains, links: names, routes }
    }

    fn cleanup(&self, flags: &[&str]) -> Said {
        let run_dir = self.run_dir.path().to_str().expect("a path in UTF-8");
        crate::maitred(&self.namespace, &[&["cleanup", "--run-dir", run_dir], flags].concat())
    }

    /// A Pod whose parent process lives and whose link is there.
    fn add_pod(&self) -> Pod {
        let dir = self.run_dir.path().join("pods").join(LIVE_UID);
        std::fs::create_dir_all(&dir).expect("a directory");
        let logs = self.run_dir.path().join("logs");
        let setup = serde_json::json!({ "log_dir": logs });
        std::fs::write(dir.join("setup.json"), setup.to_string()).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.arg("pod-parent").arg(&dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        kernel::detached::spawn_init(command, Some(&self.namespace), true).expect("a parent process");
        self.add_veth(LIVE_LINK, "live0");
        let pod = Pod { dir };
        let begun = Instant::now();
        while !pod.runs() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the parent does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        pod
    }
}

/// A Pod's directory; its parent is killed at the end.
struct Pod {
    dir: PathBuf,
}

impl Pod {
    fn runs(&self) -> bool {
        self.stream().is_some()
    }

    fn stream(&self) -> Option<UnixStream> {
        UnixStream::connect(self.dir.join("socket")).ok()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(peer) = self.stream().and_then(|stream| kernel::peer::of(&stream).ok()) {
            let _ = kernel::process::signal(peer.pid, 9);
        }
    }
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("a net")
}

/// A route by a neighbour on eth0.
fn route(to: &str) -> Route {
    let via = if net(to).addr().is_ipv4() { "192.0.2.9" } else { "2001:db8::9" };
    Route::new(net(to)).via(via.parse().expect("an address")).link("eth0")
}

#[test]
fn exactly_ours_is_removed_line_by_line_and_twice_is_as_once() {
    lab::test(|| {
        let others = Machine::new().listing();
        let machine = Machine::with_ours();
        let full = machine.listing();

        let dry = machine.cleanup(&["--dry-run"]);
        assert_eq!((dry.code, dry.err.as_str()), (Some(0), ""));
        assert_eq!(machine.listing(), full, "a dry run changes nothing");

        let real = machine.cleanup(&[]);
        assert_eq!((real.code, real.err.as_str()), (Some(0), ""));
        let mut lines: Vec<&str> = real.out.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "removed the Pod link mt0123456789ab",
                "removed the nftables table ip maitred",
                "removed the nftables table ip maitred-pods",
                "removed the nftables table ip6 maitred",
                "removed the nftables table ip6 maitred-pods",
                "removed the route to 10.244.3.0/24 via 192.0.2.9",
                "removed the route to fd00:10:244:3::/64 via 2001:db8::9",
            ]
        );
        assert_eq!(dry.out, real.out.replace("removed", "would remove"));
        assert_eq!(machine.listing(), others);

        let again = machine.cleanup(&[]);
        assert_eq!((again.code, again.out.as_str()), (Some(0), "nothing of maitred is here\n"));
        assert_eq!(machine.listing(), others);
    });
}

#[test]
fn a_process_that_holds_a_control_socket_is_named_and_nothing_is_touched_unless_forced() {
    lab::test(|| {
        let machine = Machine::with_ours();
        let full = machine.listing();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        let socket = machine.run_dir.path().join("agent.sock");
        let _held = control::serve(&socket, async |request: control::Request| request.unknown()).expect("it is free");
        drop(inside);

        let refused = machine.cleanup(&[]);
        let named = format!(
            "maitred: still running here: maitred agent (pid {}); stop it first, or say --force\n",
            std::process::id()
        );
        assert_eq!((refused.code, refused.out.as_str(), refused.err), (Some(1), "", named));
        assert_eq!(machine.listing(), full);

        let forced = machine.cleanup(&["--force"]);
        assert_eq!(forced.code, Some(0), "{}", forced.err);
        assert_eq!(machine.listing().tables.len(), full.tables.len() - 4);
        assert!(socket.exists(), "a living process keeps its socket");
    });
}

#[test]
fn the_control_socket_of_a_dead_process_goes() {
    lab::test(|| {
        let machine = Machine::new();
        let socket = machine.run_dir.path().join("proxy.sock");
        drop(UnixListener::bind(&socket).expect("a socket"));
        let said = machine.cleanup(&[]);
        assert_eq!(said.out, format!("removed the control socket {} of a dead process\n", socket.display()));
        assert!(!socket.exists());
    });
}

#[test]
fn files_by_which_processes_know_of_each_other_go_with_the_last_of_what_they_are_for() {
    lab::test(|| {
        let machine = Machine::new();
        let pod = machine.add_pod();
        let (run_dir, pods) = (machine.run_dir.path(), machine.run_dir.path().join("pods"));
        let files = [pods.join("lock"), pods.join("owner.json"), run_dir.join(".lock")];
        files.iter().for_each(|file| std::fs::write(file, "").expect("a file"));

        let said = machine.cleanup(&[]);
        assert!(files.iter().all(|file| file.exists()), "a Pod runs on: {}", said.out);
        let said = machine.cleanup(&["--pods"]);
        assert!(!pod.runs(), "{said:?}");
        for file in &files {
            assert!(said.out.contains(&format!("removed the file {}\n", file.display())), "{}", said.out);
            assert!(!file.exists());
        }
        assert_eq!(machine.cleanup(&[]).out, "nothing of maitred is here\n");
    });
}

#[test]
fn running_pods_and_their_links_stay_unless_asked_for() {
    lab::test(|| {
        let machine = Machine::with_ours();
        let pod = machine.add_pod();
        let dead = machine.run_dir.path().join("pods/0123456789ab");
        std::fs::create_dir(&dead).expect("a directory");

        let said = machine.cleanup(&[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.out.contains("removed the Pod link mt0123456789ab\n"), "{}", said.out);
        assert!(said.out.ends_with("1 Pod runs on; `maitred cleanup --pods` ends it\n"), "{}", said.out);
        assert!(pod.runs(), "the Pod was ended");
        assert!(machine.listing().links.iter().any(|link| link == LIVE_LINK), "its link was removed");
        assert!(dead.exists(), "a Pod's state was removed");

        let said = machine.cleanup(&["--pods"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        let ended = format!("removed Pod {LIVE_UID} and its processes\n");
        for line in [&*ended, "removed the state of Pod 0123456789ab\n", &format!("removed the Pod link {LIVE_LINK}\n")]
        {
            assert!(said.out.contains(line), "{line} is not in\n{}", said.out);
        }
        assert!(!pod.runs(), "the Pod runs on");
        assert!(is_empty(&machine.run_dir.path().join("pods")), "state was left");
        assert!(machine.run_dir.path().join("logs").exists(), "the Pods' output is theirs");
        assert!(!machine.listing().links.iter().any(|link| link == LIVE_LINK));
    });
}

#[test]
fn a_pod_whose_parent_process_does_not_answer_is_ended_all_the_same() {
    const SIGSTOP: i32 = 19;
    lab::test(|| {
        let machine = Machine::new();
        let pod = machine.add_pod();
        let parent = kernel::peer::of(&pod.stream().expect("it listens")).expect("its number").pid;
        kernel::process::signal(parent, SIGSTOP).expect("it is stopped");
        let said = machine.cleanup(&["--pods"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
        assert!(said.out.contains(&format!("removed Pod {LIVE_UID} and its processes\n")), "{}", said.out);
        assert!(!machine.run_dir.path().join("pods").join(LIVE_UID).exists());
        let status = std::fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
        assert!(status.is_empty() || status.contains(") Z "), "it lives: {status}");
    });
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("a directory").next().is_none()
}
