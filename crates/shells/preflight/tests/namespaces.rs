//! Real machines, as far as a network namespace is one: with nothing on it, and with one thing in the way.

use std::net::{SocketAddr, TcpListener};

use kernel::chains::{FORWARD, Table, TableFamily};
use kernel::links::{Route, Scope, Veth};
use lab::{ForeignChain, Namespace, add_foreign_table};
use preflight::{Finding, Listen, Transport, Verdict, Wanted, check, passes};

fn wanted() -> Wanted {
    let listen = |purpose: &str, port, transport| Listen {
        purpose: purpose.to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        transport,
        option: "--listen".to_owned(),
        address_option: "--listen".to_owned(),
    };
    let ranges = |texts: [&str; 2]| texts.map(|text| text.parse().expect("a range")).to_vec();
    Wanted {
        service_ranges: ranges(["10.96.0.0/16", "fd00:10:96::/108"]),
        pod_ranges: ranges(["10.244.0.0/16", "fd00:10:244::/56"]),
        listens: vec![
            listen("the API", 6443, Transport::Tcp),
            listen("DNS", 53, Transport::Udp),
            listen("DNS", 53, Transport::Tcp),
        ],
        data_dir: Some(std::env::temp_dir()),
        runs_pods: true,
        tolerated: Default::default(),
    }
}

/// What is found in a new namespace after `prepare`, whose result is kept while it is looked at.
fn found<T: Send>(prepare: impl FnOnce() -> T + Send) -> Vec<Finding> {
    let namespace = Namespace::create().expect("a namespace");
    let looked = namespace.run(|| {
        let _kept = prepare();
        check(&wanted())
    });
    looked.expect("it is entered")
}

/// The one finding that is in the way.
fn one_bad(findings: &[Finding]) -> (&'static str, String, String) {
    let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
    let [finding] = bad[..] else { panic!("not exactly one ✗:\n{}", preflight::text(findings)) };
    (finding.name, finding.said.clone(), finding.remedy.clone().expect("each ✗ has a remedy"))
}

fn table(family: TableFamily, name: &str) -> Table {
    Table { family, name: name.to_owned() }
}

#[test]
fn a_clean_machine_passes_and_nothing_is_left_on_it() {
    lab::test(|| {
        let namespace = Namespace::create().expect("a namespace");
        let (findings, tables) = namespace
            .run(|| {
                let findings = check(&wanted());
                let mut socket = kernel::nfnetlink::NfSocket::open().expect("a socket");
                (findings, kernel::chains::tables(&mut socket).expect("a list"))
            })
            .expect("it is entered");
        assert!(passes(&findings), "{}", preflight::text(&findings));
        for name in ["privileges", "nftables", "conntrack", "proxies", "forward", "port", "service-range", "pod-range"]
        {
            let mut lines = findings.iter().filter(|finding| finding.name == name);
            assert!(lines.all(|line| line.verdict == Verdict::Good), "{}", preflight::text(&findings));
        }
        assert_eq!(tables, []);
        assert_eq!(namespace.links().links().expect("links").len(), 1);
    });
}

#[test]
fn a_table_of_kube_proxy_is_in_the_way() {
    lab::test(|| {
        let findings = found(|| add_foreign_table(&table(TableFamily::Ip, "kube-proxy"), &[]).expect("a table"));
        let (name, said, remedy) = one_bad(&findings);
        assert_eq!((name, said.as_str()), ("proxies", "rules of kube-proxy are at work (table ip kube-proxy)"));
        assert!(remedy.contains("kube-proxy --cleanup"), "{remedy}");
    });
}

#[test]
fn a_chain_of_kube_proxys_iptables_mode_is_in_the_way_and_dockers_is_not() {
    lab::test(|| {
        let plain = |name| ForeignChain { name, hook: None };
        let nat = table(TableFamily::Ip, "nat");
        let docker =
            found(|| add_foreign_table(&nat, &[plain("DOCKER"), plain("KUBE-KUBELET-CANARY")]).expect("a table"));
        assert!(passes(&docker), "{}", preflight::text(&docker));
        let kube = found(|| add_foreign_table(&nat, &[plain("KUBE-SVC-TCOU7JCQXEZGVUNU")]).expect("a table"));
        let (name, said, _) = one_bad(&kube);
        assert_eq!(name, "proxies");
        assert!(said.contains("chain ip nat KUBE-SVC-TCOU7JCQXEZGVUNU"), "{said}");
    });
}

#[test]
fn a_forward_policy_of_drop_is_in_the_way_and_one_of_accept_is_not() {
    lab::test(|| {
        let filter = table(TableFamily::Ip, "filter");
        let forward = |drops| [ForeignChain { name: "FORWARD", hook: Some((FORWARD, drops)) }];
        let accepting = found(|| add_foreign_table(&filter, &forward(false)).expect("a table"));
        assert!(passes(&accepting), "{}", preflight::text(&accepting));
        let dropping = found(|| add_foreign_table(&filter, &forward(true)).expect("a table"));
        let (name, said, remedy) = one_bad(&dropping);
        assert_eq!(name, "forward");
        assert!(said.starts_with("`ip filter FORWARD` drops"), "{said}");
        assert!(remedy.starts_with("`iptables -P FORWARD ACCEPT`"), "{remedy}");
    });
}

#[test]
fn a_taken_port_is_in_the_way_and_its_process_is_named() {
    lab::test(|| {
        let findings = found(|| TcpListener::bind("0.0.0.0:6443").expect("a port"));
        let (name, said, remedy) = one_bad(&findings);
        assert_eq!(name, "port");
        assert!(said.starts_with("TCP 127.0.0.1:6443 for the API is taken by "), "{said}");
        assert!(said.ends_with(&format!("(pid {})", std::process::id())), "{said}");
        assert!(remedy.ends_with("choose another place by --listen"), "{remedy}");
    });
}

#[test]
fn a_resolver_on_another_loopback_address_is_not_in_the_way_of_dns() {
    lab::test(|| {
        let findings = found(|| std::net::UdpSocket::bind("127.0.0.53:53").expect("a port"));
        assert!(passes(&findings), "{}", preflight::text(&findings));
    });
}

#[test]
fn an_overlapping_route_and_an_overlapping_address_are_in_the_way_and_are_named() {
    lab::test(|| {
        let namespace = Namespace::create().expect("a namespace");
        let links = namespace.links();
        let veth = Veth { name: "eth0", mac: None, peer_name: "far0", peer_mac: None, peer_namespace: None, mtu: None };
        links.add_veth(&veth).expect("a link");
        for end in ["eth0", "far0"] {
            links.set_up(end, true).expect("it is there");
        }
        links.add_address("eth0", "192.0.2.1/24".parse().expect("a net"), Scope::Global).expect("an address");
        let look = || namespace.run(|| check(&wanted())).expect("it is entered");
        let route = |to: &str| Route::new(to.parse().expect("a net")).via([192, 0, 2, 9].into());
        links.replace_route(&route("0.0.0.0/0")).expect("a route");
        let ours = Route { protocol: agent::ROUTE_PROTOCOL, ..route("10.244.3.0/24") };
        links.replace_route(&ours).expect("a route");
        assert!(passes(&look()), "{}", preflight::text(&look()));

        links.replace_route(&route("10.96.64.0/20")).expect("a route");
        let (name, said, _) = one_bad(&look());
        assert_eq!(name, "service-range");
        assert_eq!(said, "10.96.0.0/16 overlaps the route to 10.96.64.0/20 via 192.0.2.9 dev eth0");
        links.remove_route(&route("10.96.64.0/20")).expect("it is there");

        links.add_address("eth0", "fd00:10:244:1::5/64".parse().expect("a net"), Scope::Global).expect("an address");
        let (name, said, _) = one_bad(&look());
        assert_eq!(name, "pod-range");
        assert_eq!(said, "fd00:10:244::/56 overlaps the address fd00:10:244:1::5/64 of eth0");
    });
}
