//! Each case changes one fact of a good machine, and says which line that changes, and how.

use std::net::SocketAddr;

use ipnet::IpNet;
use kernel::chains::{Chain, FORWARD, Table, TableFamily};
use kernel::links::Route;

use super::*;
use crate::facts::Owner;
use crate::{Listen, passes};

fn net(text: &str) -> IpNet {
    text.parse().expect("a range")
}

fn wanted() -> Wanted {
    Wanted {
        service_ranges: vec![net("10.96.0.0/16"), net("fd00:10:96::/108")],
        pod_ranges: vec![net("10.244.0.0/16"), net("fd00:10:244::/56")],
        listens: vec![listen()],
        data_dir: Some("/var/lib/maitred".into()),
        runs_pods: true,
        tolerated: Default::default(),
    }
}

fn listen() -> Listen {
    let address: SocketAddr = "192.0.2.1:53".parse().expect("an address");
    let (option, address_option) = ("--dns-port".into(), "--node-ip".into());
    Listen { purpose: "DNS".into(), address, transport: Transport::Udp, option, address_option }
}

/// A machine with nothing in the way, though there is much on it: Docker's chains, a default route and both of its halves,
/// routes and links of maitred itself, another network.
fn good() -> Facts {
    let route = |to: &str| Route::new(net(to)).via([192, 0, 2, 9].into()).link("eth0");
    Facts {
        rules: [Trial::Works, Trial::Works],
        conntrack: Trial::Works,
        capabilities: Ok(u64::MAX),
        tables: Ok(vec![table(TableFamily::Ip, "filter")]),
        chains: Ok(vec![chain(TableFamily::Ip, "filter", "DOCKER-USER", None, false), forward(TableFamily::Ip, false)]),
        legacy_tables: Vec::new(),
        programmer: Ok(None),
        ipvs_services: 0,
        links: Ok(vec!["lo".into(), "eth0".into(), "docker0".into()]),
        bridges: vec!["docker0".into()],
        bridge_netfilter: [true, true],
        cilium_pins: Vec::new(),
        addresses: Ok(vec![
            ("lo".into(), net("127.0.0.1/8")),
            ("eth0".into(), net("192.0.2.1/24")),
            ("mt1f0c2a345b6d".into(), net("10.244.0.1/32")),
        ]),
        routes: Ok(vec![
            route("0.0.0.0/0"),
            route("0.0.0.0/1"),
            route("::/0"),
            Route { protocol: agent::ROUTE_PROTOCOL, ..route("10.244.1.0/24") },
            Route::new(net("10.244.0.7/32")).link("mt1f0c2a345b6d"),
            route("198.51.100.0/24"),
        ]),
        forwarding: [Some(false), Some(true)],
        ipv6: true,
        ports: vec![PortFact { listen: listen(), problem: None }],
        data_dir: Ok(()),
    }
}

fn table(family: TableFamily, name: &str) -> Table {
    Table { family, name: name.to_owned() }
}

fn chain(family: TableFamily, of: &str, name: &str, hook: Option<u32>, drops: bool) -> Chain {
    Chain { table: table(family, of), name: name.to_owned(), hook, drops }
}

fn forward(family: TableFamily, drops: bool) -> Chain {
    chain(family, "filter", "FORWARD", Some(FORWARD), drops)
}

fn taken(by: Option<(u32, &str)>) -> PortProblem {
    PortProblem::Taken { by: by.map(|(pid, name)| Owner { pid, name: name.to_owned() }) }
}

/// What one changed fact turns: the line's name, its verdict, and parts of what it says and advises.
struct Case {
    change: fn(&mut Facts),
    line: (&'static str, Verdict),
    said: &'static str,
    remedy: &'static str,
}

const fn case(
    change: fn(&mut Facts),
    name: &'static str,
    verdict: Verdict,
    said: &'static str,
    remedy: &'static str,
) -> Case {
    Case { change, line: (name, verdict), said, remedy }
}

use Verdict::{Bad, Warning};

const CASES: &[Case] = &[
    case(|facts| facts.capabilities = Ok(1 << 21), "privileges", Bad, "missing: CAP_NET_ADMIN (", "run as root"),
    case(|facts| facts.capabilities = Ok(1 << 12), "privileges", Bad, "missing: CAP_SYS_ADMIN (", "run as root"),
    case(
        |facts| facts.capabilities = Ok(0),
        "privileges",
        Bad,
        "CAP_NET_ADMIN (to write rules, links and routes) and CAP_SYS",
        "root",
    ),
    case(
        |facts| facts.capabilities = Err("/proc: gone".into()),
        "privileges",
        Warning,
        "not judged: /proc: gone",
        "as root",
    ),
    case(
        |facts| facts.rules[0] = Trial::Fails("no masq".into()),
        "nftables",
        Bad,
        "IPv4: no masq",
        "modprobe nf_tables",
    ),
    case(
        |facts| facts.rules[1] = Trial::Fails("no masq".into()),
        "nftables",
        Bad,
        "IPv6: no masq",
        "modprobe nf_tables",
    ),
    case(|facts| facts.rules[0] = Trial::Untried("EPERM".into()), "nftables", Warning, "not judged: EPERM", "as root"),
    case(
        |facts| facts.programmer = Ok(Some(control::Found { pid: Some(7), may_program: true })),
        "proxies",
        Warning,
        "a maitred that keeps Service rules (pid 7) is here already",
        "nothing, unless a second one",
    ),
    case(|facts| facts.conntrack = Trial::Fails("no such".into()), "conntrack", Bad, "no such", "nf_conntrack_netlink"),
    case(|facts| facts.conntrack = Trial::Untried("EPERM".into()), "conntrack", Warning, "not judged", "as root"),
    case(
        |facts| facts.tables.as_mut().unwrap().push(table(TableFamily::Ip6, "kube-proxy")),
        "proxies",
        Bad,
        "kube-proxy are at work (table ip6 kube-proxy)",
        "kube-proxy --cleanup",
    ),
    case(
        |facts| facts.chains.as_mut().unwrap().push(chain(TableFamily::Ip, "nat", "KUBE-SERVICES", None, false)),
        "proxies",
        Bad,
        "(chain ip nat KUBE-SERVICES)",
        "kube-proxy --cleanup",
    ),
    case(
        |facts| facts.chains.as_mut().unwrap().push(chain(TableFamily::Ip, "nat", "KUBE-SVC-ABCDEFGH", None, false)),
        "proxies",
        Bad,
        "(chain ip nat KUBE-SVC-ABCDEFGH)",
        "kube-proxy --cleanup",
    ),
    case(|facts| facts.ipvs_services = 3, "proxies", Warning, "IPVS serves 3 addresses", "ipvsadm"),
    case(
        |facts| facts.links.as_mut().unwrap().push("kube-ipvs0".into()),
        "proxies",
        Bad,
        "kube-proxy's IPVS mode",
        "kube-proxy --cleanup",
    ),
    case(
        |facts| facts.links.as_mut().unwrap().push("cilium_host".into()),
        "proxies",
        Bad,
        "(link cilium_host)",
        "remove Cilium",
    ),
    case(
        |facts| facts.cilium_pins.push("/sys/fs/bpf/cilium".into()),
        "proxies",
        Bad,
        "(/sys/fs/bpf/cilium)",
        "remove Cilium",
    ),
    case(|facts| facts.tables = Err("EPERM".into()), "proxies", Warning, "not judged: EPERM", "as root"),
    case(
        |facts| facts.legacy_tables = vec!["ip filter".into()],
        "iptables-legacy",
        Warning,
        "(ip filter)",
        "iptables-legacy -S FORWARD",
    ),
    case(
        |facts| facts.chains.as_mut().unwrap().push(forward(TableFamily::Ip, true)),
        "forward",
        Bad,
        "`ip filter FORWARD` drops",
        "`iptables -P FORWARD ACCEPT`",
    ),
    case(
        |facts| facts.chains.as_mut().unwrap().push(forward(TableFamily::Ip6, true)),
        "forward",
        Bad,
        "`ip6 filter FORWARD` drops",
        "`ip6tables -P FORWARD ACCEPT`",
    ),
    case(
        |facts| facts.chains.as_mut().unwrap().push(chain(TableFamily::Inet, "fw", "fwd", Some(FORWARD), true)),
        "forward",
        Bad,
        "`inet fw fwd` drops",
        "`nft 'chain inet fw fwd { policy accept; }'`",
    ),
    case(
        |facts| facts.ports[0].problem = Some(taken(Some((77, "dnsmasq")))),
        "port",
        Bad,
        "UDP 192.0.2.1:53 for DNS is taken by dnsmasq (pid 77)",
        "stop dnsmasq, or choose another place by --dns-port",
    ),
    case(|facts| facts.ports[0].problem = Some(taken(None)), "port", Bad, "is taken by another process", "`ss -lunp`"),
    case(
        |facts| facts.ports[0].problem = Some(taken(Some((7, "maitred")))),
        "port",
        Warning,
        "by maitred itself (pid 7)",
        "nothing",
    ),
    case(
        |facts| facts.ports[0].problem = Some(PortProblem::NoSuchAddress),
        "port",
        Bad,
        "no such address",
        "by --node-ip",
    ),
    case(
        |facts| facts.ports[0].problem = Some(PortProblem::NotAllowed),
        "port",
        Bad,
        "may not listen",
        "CAP_NET_BIND_SERVICE",
    ),
    case(
        |facts| facts.addresses.as_mut().unwrap().push(("eth1".into(), net("10.96.1.5/24"))),
        "service-range",
        Bad,
        "10.96.0.0/16 overlaps the address 10.96.1.5/24 of eth1",
        "--service-cluster-ip-range",
    ),
    case(
        |facts| {
            facts.routes.as_mut().unwrap().push(Route::new(net("10.0.0.0/9")).via([192, 0, 2, 8].into()).link("tun0"))
        },
        "service-range",
        Bad,
        "10.96.0.0/16 overlaps the route to 10.0.0.0/9 via 192.0.2.8 dev tun0",
        "give up what overlaps",
    ),
    case(
        |facts| facts.routes.as_mut().unwrap().push(Route::new(net("10.244.9.0/24")).link("cni0")),
        "pod-range",
        Bad,
        "10.244.0.0/16 overlaps the route to 10.244.9.0/24 dev cni0",
        "--cluster-cidr",
    ),
    case(
        |facts| facts.bridge_netfilter[0] = false,
        "bridges",
        Warning,
        "docker0",
        "net.bridge.bridge-nf-call-iptables=1",
    ),
    case(|facts| facts.data_dir = Err("cannot write in /var/lib".into()), "data-dir", Bad, "/var/lib", "--data-dir"),
];

#[test]
fn a_machine_with_nothing_in_the_way_gets_a_tick_on_each_line() {
    let findings = judge(&good(), &wanted());
    assert!(
        findings.iter().all(|finding| finding.verdict == Verdict::Good && finding.remedy.is_none()),
        "{findings:#?}"
    );
    let names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
    let ranges = ["service-range", "service-range", "pod-range", "pod-range"];
    let before = ["privileges", "nftables", "conntrack", "proxies", "forward", "forwarding", "port"];
    assert_eq!(names, [&before[..], &ranges, &["bridges", "data-dir"]].concat());
}

#[test]
fn where_the_kernel_lacks_nftables_what_it_would_show_waits_for_it() {
    let lacks = "nftables cannot be read: this kernel has no nf_tables";
    let facts = Facts {
        rules: [Trial::Fails(lacks.into()), Trial::Fails(lacks.into())],
        tables: Err(lacks.into()),
        chains: Err(lacks.into()),
        ..good()
    };
    let findings = judge(&facts, &wanted());
    for name in ["proxies", "forward"] {
        let finding = findings.iter().find(|finding| finding.name == name).expect("each is told of");
        let expected = Finding::warning(name, format!("not judged: {lacks}"), "do first what `nftables` asks for");
        assert_eq!(*finding, expected);
    }
}

#[test]
fn each_thing_in_the_way_turns_its_own_line_and_says_what_to_do() {
    let clean = judge(&good(), &wanted());
    for case in CASES {
        let mut facts = good();
        (case.change)(&mut facts);
        let findings = judge(&facts, &wanted());
        let changed: Vec<&Finding> = findings.iter().filter(|finding| !clean.contains(finding)).collect();
        let [finding] = changed[..] else { panic!("{}: {changed:#?}", case.said) };
        assert_eq!((finding.name, finding.verdict), case.line, "{finding}");
        assert!(finding.said.contains(case.said), "{finding}");
        assert!(finding.remedy.as_ref().is_some_and(|remedy| remedy.contains(case.remedy)), "{finding}");
        assert_eq!(passes(&findings), finding.verdict != Verdict::Bad);
    }
}

#[test]
fn what_a_family_that_is_not_wanted_lacks_is_in_nobodys_way() {
    let mut facts = good();
    facts.rules[1] = Trial::Fails("no IPv6".to_owned());
    facts.ipv6 = false;
    facts.bridge_netfilter[1] = false;
    facts.chains.as_mut().expect("chains").push(forward(TableFamily::Ip6, true));
    let mut wanted = wanted();
    for ranges in [&mut wanted.service_ranges, &mut wanted.pod_ranges] {
        ranges.retain(|range| range.addr().is_ipv4());
    }
    let findings = judge(&facts, &wanted);
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
}

#[test]
fn ipv6_that_is_wanted_and_switched_off_is_a_warning_only() {
    let facts = Facts { ipv6: false, rules: [Trial::Works, Trial::Fails("no IPv6".to_owned())], ..good() };
    let findings = judge(&facts, &wanted());
    let warnings: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict != Verdict::Good).collect();
    let [warning] = warnings[..] else { panic!("{warnings:#?}") };
    assert_eq!((warning.name, warning.verdict), ("ipv6", Verdict::Warning));
    assert!(passes(&findings));
}

#[test]
fn ranges_that_overlap_each_other_are_refused() {
    let wanted = Wanted { pod_ranges: vec![net("10.96.128.0/17")], ..wanted() };
    let findings = judge(&good(), &wanted);
    let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).collect();
    assert_eq!(bad.len(), 1, "{bad:#?}");
    assert_eq!(bad[0].said, "10.96.128.0/17 overlaps the other wanted range 10.96.0.0/16");
}

#[test]
fn what_the_operator_has_seen_to_is_a_warning() {
    let mut facts = good();
    facts.chains.as_mut().expect("chains").push(forward(TableFamily::Ip, true));
    let wanted = Wanted { tolerated: ["forward".to_owned()].into(), ..wanted() };
    let findings = judge(&facts, &wanted);
    let line = findings.iter().find(|finding| finding.name == "forward").expect("a line");
    assert_eq!(line.verdict, Verdict::Warning);
    assert!(passes(&findings));
}

#[test]
fn findings_are_told_with_a_sign_and_a_remedy_and_as_json() {
    let findings =
        [Finding::good("a", "fine"), Finding::warning("b", "hm", "look"), Finding::bad("c", "no", "do this")];
    assert_eq!(crate::text(&findings), "✓ a: fine\n! b: hm\n    → look\n✗ c: no\n    → do this\n");
    let expected = serde_json::json!({"ok": false, "checks": [
        {"name": "a", "verdict": "good", "said": "fine"},
        {"name": "b", "verdict": "warning", "said": "hm", "remedy": "look"},
        {"name": "c", "verdict": "bad", "said": "no", "remedy": "do this"},
    ]});
    assert_eq!(crate::json(&findings), expected);
}
