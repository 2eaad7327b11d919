//! The table of answers, each row over both transports.

use super::*;
use crate::{PodMode, answer_chased};

const SOA: &str = "cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 30";

/// What a reply says. Records within a section are compared without regard to order.
struct Says<'t> {
    rcode: u16,
    answer: &'t [&'t str],
    authority: &'t [&'t str],
    additional: &'t [&'t str],
}

fn has<'t>(answer: &'t [&'t str]) -> Says<'t> {
    Says { rcode: 0, answer, authority: &[], additional: &[] }
}

const NODATA: Says<'static> = Says { rcode: 0, answer: &[], authority: &[SOA], additional: &[] };
const NXDOMAIN: Says<'static> = Says { rcode: 3, answer: &[], authority: &[SOA], additional: &[] };

/// Checks one row. `question` is `name TYPE`; a name without a final dot is below cluster.local.
fn check(zone: &Still, id: &str, question: &str, says: &Says<'_>) {
    println!("case {id}");
    let (name, rtype) = question.split_once(' ').unwrap();
    let name = if name.ends_with('.') { name.to_owned() } else { format!("{name}.cluster.local.") };
    for client in [UDP, TCP] {
        let reply = zone.ask(&name, rtype, client);
        let id = format!("{id} {question} {:?}: {reply:#?}", client.transport);
        assert_eq!((reply.id, reply.rcode, reply.aa, reply.tc), (0x1234, says.rcode, true, false), "{id}");
        assert_eq!((reply.rd, reply.ra, reply.opt), (true, true, Some((1232, 0, false))), "{id}");
        assert_eq!(reply.question, format!("{name} {rtype}"), "{id}");
        for (section, expected) in
            [(reply.answer, says.answer), (reply.authority, says.authority), (reply.additional, says.additional)]
        {
            let mut section = section;
            let mut expected = expected.to_vec();
            section.sort_unstable();
            expected.sort_unstable();
            assert_eq!(section, expected, "{id}");
        }
    }
}

#[test]
fn s400_names_of_services_have_the_addresses_of_the_family_asked_for() {
    let zone = Still::new(config(), cluster());
    let check = |id: &str, question: &str, says: Says<'_>| check(&zone, id, question, &says);
    let web = "web.shop.svc.cluster.local. 30";
    check("s400-a", "web.shop.svc A", has(&[&format!("{web} A 10.96.0.20")]));
    check("s400-aaaa", "web.shop.svc AAAA", has(&[&format!("{web} AAAA fd00:96::20")]));
    check("s400-other-family", "v4.shop.svc AAAA", NODATA);
    check("s400-nxdomain-a", "absent.shop.svc A", NXDOMAIN);
    check("s400-nxdomain-aaaa", "absent.shop.svc AAAA", NXDOMAIN);
    check("s400-namespace-is-part-of-the-name", "web.empty.svc A", NXDOMAIN);
    for (id, rtype) in [("s402-txt", "TXT"), ("s402-mx", "MX"), ("s402-cname", "CNAME"), ("s402-any", "ANY")] {
        println!("case {id}");
        check(id, &format!("web.shop.svc {rtype}"), NODATA);
        check(id, &format!("absent.shop.svc {rtype}"), NXDOMAIN);
    }
    check("s402-ds-below", "web.shop.svc DS", NODATA);
}

#[test]
fn s400_a_reply_keeps_the_case_of_the_question() {
    let zone = Still::new(config(), cluster());
    let name = "WeB.sHOP.Svc.CLUSTER.local.";
    let reply = zone.ask(name, "A", UDP);
    assert_eq!(reply.question, format!("{name} A"));
    assert_eq!(reply.answer, [format!("{name} 30 A 10.96.0.20")]);
    let reply = zone.ask("No.sHOP.Svc.CLUSTER.local.", "A", UDP);
    let soa = "CLUSTER.local. 30 SOA ns.dns.CLUSTER.local. hostmaster.CLUSTER.local. 1700000000 7200 1800 86400 30";
    assert_eq!((reply.rcode, reply.authority), (3, vec![soa.to_owned()]));
}

#[test]
fn s401_empty_nodes_exist_and_other_names_do_not() {
    let zone = Still::new(config(), cluster());
    let check = |id: &str, name: &str, says: Says<'_>| {
        for rtype in ["A", "AAAA", "SRV", "TXT"] {
            check(&zone, id, &format!("{name} {rtype}"), &says);
        }
    };
    check("s401-apex", "cluster.local.", NODATA);
    check("s401-svc", "svc", NODATA);
    check("s401-pod", "pod", NODATA);
    check("s401-namespace", "shop.svc", NODATA);
    check("s401-empty-namespace", "empty.svc", NODATA);
    check("s401-namespace-pods", "empty.pod", NODATA);
    check("s401-unknown-namespace", "unknown.svc", NXDOMAIN);
    check("s401-unknown-namespace-pods", "unknown.pod", NXDOMAIN);
    check("s401-unknown-namespace-below", "web.unknown.svc", NXDOMAIN);
    check("s401-other-first-label", "nodes", NXDOMAIN);
    check("s401-other-first-label-below", "web.shop.nodes", NXDOMAIN);
    check("s401-too-many-labels", "a.b.c.web.shop.svc", NXDOMAIN);
    check("s401-too-many-pod-labels", "a.10-244-0-1.shop.pod", NXDOMAIN);
    check("s409-wildcard-service", "*.shop.svc", NXDOMAIN);
    check("s409-any-service", "any.shop.svc", NXDOMAIN);
    check("s409-wildcard-namespace", "web.*.svc", NXDOMAIN);
    check("s409-wildcard-endpoint", "*.web.shop.svc", NXDOMAIN);
    check("s409-wildcard-port", "_*._tcp.web.shop.svc", NXDOMAIN);
}

#[test]
fn s402_dns_version_is_a_text() {
    let zone = Still::new(config(), cluster());
    check(&zone, "s402-txt", "dns-version TXT", &has(&["dns-version.cluster.local. 28800 TXT \"1.1.0\""]));
    check(&zone, "s402-a", "dns-version A", &NODATA);
    check(&zone, "s402-below", "x.dns-version TXT", &NXDOMAIN);
}

#[test]
fn s403_a_cluster_ip_answers_without_endpoints_unless_those_are_to_be_ignored() {
    let answer = ["v4.shop.svc.cluster.local. 30 A 10.96.0.21"];
    check(&Still::new(config(), cluster()), "s403-default", "v4.shop.svc A", &has(&answer));
    let ignoring = Still::new(Config { ignore_empty_services: true, ..config() }, cluster());
    check(&ignoring, "s403-ignore", "v4.shop.svc A", &NXDOMAIN);
    check(&ignoring, "s403-ignore-has", "web.shop.svc A", &has(&["web.shop.svc.cluster.local. 30 A 10.96.0.20"]));
}

#[test]
fn s404_headless_names_have_the_ready_endpoints() {
    let zone = Still::new(config(), cluster());
    let check = |id: &str, question: &str, says: Says<'_>| check(&zone, id, question, &says);
    let db = "db.shop.svc.cluster.local. 30";
    check("s404-a", "db.shop.svc A", has(&[&format!("{db} A 10.244.1.1"), &format!("{db} A 10.244.1.2")]));
    check("s404-aaaa", "db.shop.svc AAAA", has(&[&format!("{db} AAAA fd00:244::1")]));
    check("s404-other-family", "db4.shop.svc AAAA", NODATA);
    check("s404-without-ports", "db4.shop.svc A", has(&["db4.shop.svc.cluster.local. 30 A 10.244.1.1"]));
    for rtype in ["A", "AAAA", "SRV", "TXT"] {
        check("s404-none-ready", &format!("none.shop.svc {rtype}"), NXDOMAIN);
    }
}

#[test]
fn s404_equal_addresses_of_several_slices_collapse() {
    let mut events = cluster();
    let again = json!([{ "addresses": ["10.244.1.1"] }, { "addresses": ["10.244.1.1"], "hostname": "db-0" }]);
    events.push(slice("db-more", "db", "IPv4", json!([]), again));
    let db = "db.shop.svc.cluster.local. 30";
    let expected = [&*format!("{db} A 10.244.1.1"), &format!("{db} A 10.244.1.2")];
    check(&Still::new(config(), events), "s404-collapse", "db.shop.svc A", &has(&expected));
}

#[test]
fn s405_endpoints_are_called_by_host_name_pod_name_or_address() {
    let pod = |name: &str| json!({ "kind": "Pod", "namespace": "shop", "name": name });
    let endpoints = json!([
        { "addresses": ["10.244.2.1"], "hostname": "host", "targetRef": pod("pod-1") },
        { "addresses": ["10.244.2.2"], "targetRef": pod("pod-2") },
        { "addresses": ["10.244.2.3"], "targetRef": pod(&"x".repeat(64)) },
        { "addresses": ["10.244.2.4"], "hostname": "host" },
    ]);
    let v6 = json!([{ "addresses": ["fd00:244::"] }, { "addresses": ["fd00:244::9"] }]);
    let mut events = cluster();
    events.push(service("names", json!({ "clusterIP": "None" })));
    events.push(slice("names-4", "names", "IPv4", json!([]), endpoints));
    events.push(slice("names-6", "names", "IPv6", json!([]), v6));
    let check = |zone: &Still, id: &str, label: &str, rtype: &str, addresses: &[&str]| {
        let owner = format!("{label}.names.shop.svc.cluster.local.");
        let answer: Vec<String> = addresses.iter().map(|address| format!("{owner} 30 {rtype} {address}")).collect();
        let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
        let says = if answer.is_empty() { NXDOMAIN } else { has(&answer) };
        check(zone, id, &format!("{owner} {rtype}"), &says);
    };
    let plain = Still::new(config(), events.clone());
    check(&plain, "s405-hostname-shared", "host", "A", &["10.244.2.1", "10.244.2.4"]);
    check(&plain, "s405-hostname-hides-address", "10-244-2-1", "A", &[]);
    check(&plain, "s405-address", "10-244-2-2", "A", &["10.244.2.2"]);
    check(&plain, "s405-no-pod-name", "pod-2", "A", &[]);
    check(&plain, "s405-ipv6", "fd00-244--9", "AAAA", &["fd00:244::9"]);
    check(&plain, "s405-ipv6-zero", "fd00-244--0", "AAAA", &["fd00:244::"]);
    let pods = Still::new(Config { endpoint_pod_names: true, ..config() }, events);
    check(&pods, "s405-pod-name", "pod-2", "A", &["10.244.2.2"]);
    check(&pods, "s405-pod-name-hides-address", "10-244-2-2", "A", &[]);
    check(&pods, "s405-hostname-first", "pod-1", "A", &[]);
    check(&pods, "s405-pod-name-too-long", "10-244-2-3", "A", &["10.244.2.3"]);
}

#[test]
fn s406_endpoints_of_cluster_ip_services_have_names_too() {
    let zone = Still::new(config(), cluster());
    let check = |id: &str, question: &str, says: Says<'_>| check(&zone, id, question, &says);
    check("s406-a", "named.web.shop.svc A", has(&["named.web.shop.svc.cluster.local. 30 A 10.244.0.2"]));
    check("s406-other-family", "named.web.shop.svc AAAA", NODATA);
    check("s406-dashed", "10-244-0-1.web.shop.svc A", has(&["10-244-0-1.web.shop.svc.cluster.local. 30 A 10.244.0.1"]));
    let srv = Says {
        answer: &["named.web.shop.svc.cluster.local. 30 SRV 0 100 8080 named.web.shop.svc.cluster.local."],
        additional: &["named.web.shop.svc.cluster.local. 30 A 10.244.0.2"],
        ..NODATA
    };
    check("s406-srv", "named.web.shop.svc SRV", Says { authority: &[], ..srv });
    check("s406-missing", "other.web.shop.svc A", NXDOMAIN);
    check("s404-not-ready", "db-2.db.shop.svc A", NXDOMAIN);
    check("s406-both-families", "db-0.db.shop.svc A", has(&["db-0.db.shop.svc.cluster.local. 30 A 10.244.1.1"]));
    check("s406-both-families", "db-0.db.shop.svc AAAA", has(&["db-0.db.shop.svc.cluster.local. 30 AAAA fd00:244::1"]));
}

#[test]
fn s407_srv_records_lead_to_services_and_endpoints() {
    let zone = Still::new(config(), cluster());
    let check = |id: &str, question: &str, says: Says<'_>| check(&zone, id, question, &says);
    let web = &["web.shop.svc.cluster.local. 30 A 10.96.0.20", "web.shop.svc.cluster.local. 30 AAAA fd00:96::20"];
    let one = |answer| Says { rcode: 0, answer, authority: &[], additional: web };
    let http = ["_http._tcp.web.shop.svc.cluster.local. 30 SRV 0 100 80 web.shop.svc.cluster.local."];
    check("s407-cluster-ip", "_http._tcp.web.shop.svc SRV", one(&http));
    let dns = ["_dns._udp.web.shop.svc.cluster.local. 30 SRV 0 100 53 web.shop.svc.cluster.local."];
    check("s407-udp", "_dns._udp.web.shop.svc SRV", one(&dns));
    let all = [
        "web.shop.svc.cluster.local. 30 SRV 0 50 80 web.shop.svc.cluster.local.",
        "web.shop.svc.cluster.local. 30 SRV 0 50 53 web.shop.svc.cluster.local.",
    ];
    check("s407-all-ports", "web.shop.svc SRV", one(&all));
    let unnamed = Says {
        rcode: 0,
        answer: &["v4.shop.svc.cluster.local. 30 SRV 0 100 80 v4.shop.svc.cluster.local."],
        authority: &[],
        additional: &["v4.shop.svc.cluster.local. 30 A 10.96.0.21"],
    };
    check("s407-unnamed-at-the-service", "v4.shop.svc SRV", unnamed);
    let db = Says {
        rcode: 0,
        answer: &[
            "_http._tcp.db.shop.svc.cluster.local. 30 SRV 0 50 8080 db-0.db.shop.svc.cluster.local.",
            "_http._tcp.db.shop.svc.cluster.local. 30 SRV 0 50 8080 db-1.db.shop.svc.cluster.local.",
        ],
        authority: &[],
        additional: &[
            "db-0.db.shop.svc.cluster.local. 30 A 10.244.1.1",
            "db-0.db.shop.svc.cluster.local. 30 AAAA fd00:244::1",
            "db-1.db.shop.svc.cluster.local. 30 A 10.244.1.2",
        ],
    };
    check("s407-headless", "_http._tcp.db.shop.svc SRV", db);
    check("s407-other-type", "_http._tcp.db.shop.svc A", NODATA);
    check("s407-unmatched-port", "_https._tcp.db.shop.svc SRV", NXDOMAIN);
    check("s407-unmatched-protocol", "_http._udp.web.shop.svc SRV", NXDOMAIN);
    check("s407-unknown-protocol", "_http._quic.web.shop.svc SRV", NXDOMAIN);
    check("s407-without-underscores", "http.tcp.web.shop.svc SRV", NXDOMAIN);
    check("s407-headless-without-ports", "db4.shop.svc SRV", NODATA);
    check("s407-none-ready", "_http._tcp.none.shop.svc SRV", NXDOMAIN);
}

#[test]
fn s408_aliases_within_the_zone_are_followed() {
    let zone = Still::new(config(), cluster());
    let check = |id: &str, question: &str, says: Says<'_>| check(&zone, id, question, &says);
    let alias = "near.shop.svc.cluster.local. 30 CNAME web.shop.svc.cluster.local.";
    check("s408-cname", "near.shop.svc CNAME", has(&[alias]));
    check("s408-a", "near.shop.svc A", has(&[alias, "web.shop.svc.cluster.local. 30 A 10.96.0.20"]));
    check("s408-aaaa", "near.shop.svc AAAA", has(&[alias, "web.shop.svc.cluster.local. 30 AAAA fd00:96::20"]));
    check("s408-srv", "near.shop.svc SRV", NODATA);
    check("s408-txt", "near.shop.svc TXT", NODATA);
    check("s408-below", "x.near.shop.svc A", NXDOMAIN);
    check("s408-port-below", "_http._tcp.near.shop.svc SRV", NXDOMAIN);
    check("s408-leads-to-nothing", "nothing.shop.svc A", NODATA);
    check("s408-self", "itself.shop.svc A", NODATA);
    check("s408-loop", "ping.shop.svc A", NODATA);
    check("s408-address-literal", "literal.shop.svc A", NXDOMAIN);
    check("s408-external-cname", "far.shop.svc CNAME", has(&["far.shop.svc.cluster.local. 30 CNAME www.example.com."]));
}

#[test]
fn s408_aliases_of_other_names_are_chased_through_the_upstreams() {
    let zone = Still::new(config(), cluster());
    let asked = query("far.shop.svc.cluster.local.", 1, Some(1232));
    let mut out = Vec::new();
    let target = crate::Name::parse("www.example.com").unwrap();
    assert_eq!(answer(&asked, UDP, &zone, 7, &mut out), Answer::Chase(target.clone()));

    // The reply an upstream would give: www.example.com CNAME edge.example.com, and the address of that, compressed.
    let mut sent = Vec::new();
    crate::chase_query(&target, 1, 0xabcd, &mut sent);
    assert_eq!(sent, [&b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01"[..]].concat());
    let mut upstream = sent;
    upstream[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2]);
    upstream.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x64\0\x07\x04edge\xc0\x10");
    upstream.extend_from_slice(b"\xc0\x2d\0\x01\0\x01\0\0\0\x0a\0\x04\xc0\0\x02\x01");

    let chased = |upstream: Option<&[u8]>, client: Client| {
        let mut out = Vec::new();
        assert_eq!(answer_chased(&asked, client, &zone, 7, upstream, &mut out), Answer::Reply);
        Message::decode(&out)
    };
    let alias = "far.shop.svc.cluster.local. 30 CNAME www.example.com.";
    let reply = chased(Some(&upstream), UDP);
    let expected = [alias, "www.example.com. 100 CNAME edge.example.com.", "edge.example.com. 10 A 192.0.2.1"];
    assert_eq!((reply.rcode, reply.aa, reply.answer.as_slice()), (0, true, &expected.map(str::to_owned)[..]));

    let mut nothing = upstream[..33].to_vec();
    nothing[2..8].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0]);
    assert_eq!(chased(Some(&nothing), UDP).answer, [alias], "s408-nothing-came-back");
    let mut failed = nothing.clone();
    failed[3] = 0x82;
    for (id, upstream) in [("s408-no-reply", None), ("s408-failed", Some(&failed[..])), ("s408-garbage", Some(b"x"))] {
        println!("case {id}");
        let reply = chased(upstream, UDP);
        assert_eq!((reply.rcode, reply.answer.len(), reply.authority), (0, 0, vec![SOA.to_owned()]), "{id}");
    }
    let stranger = Client { may_recurse: false, ..UDP };
    let reply = zone.ask("far.shop.svc.cluster.local.", "A", stranger);
    assert_eq!((reply.rcode, reply.ra, reply.answer), (0, false, vec![alias.to_owned()]), "s408-no-recursion");
}

#[test]
fn s410_addresses_lead_back_to_names() {
    let zone = Still::new(config(), cluster());
    let soa = |zone: &str| {
        format!("{zone} 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 30")
    };
    let check = |id: &str, question: &str, says: Says<'_>| check(&zone, id, question, &says);
    let ptr = |owner: &str, target: &str| format!("{owner} 30 PTR {target}.cluster.local.");
    let cluster_ip = "20.0.96.10.in-addr.arpa.";
    check("s410-cluster-ip", &format!("{cluster_ip} PTR"), has(&[&ptr(cluster_ip, "web.shop.svc")]));
    let v6 = "0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa.";
    check("s410-cluster-ip-v6", &format!("{v6} PTR"), has(&[&ptr(v6, "web.shop.svc")]));
    let named = "2.0.244.10.in-addr.arpa.";
    check("s410-endpoint", &format!("{named} PTR"), has(&[&ptr(named, "named.web.shop.svc")]));
    let shared = "1.1.244.10.in-addr.arpa.";
    let both = [&*ptr(shared, "db-0.db.shop.svc"), &ptr(shared, "10-244-1-1.db4.shop.svc")];
    check("s410-one-per-service", &format!("{shared} PTR"), has(&both));
    let pod_zone = soa("244.10.in-addr.arpa.");
    let pod_zone = [pod_zone.as_str()];
    check("s410-other-type", &format!("{shared} A"), Says { authority: &pod_zone, ..NODATA });
    let miss = |question: &str| check("s410-miss", question, Says { authority: &pod_zone, ..NXDOMAIN });
    miss("9.9.244.10.in-addr.arpa. PTR");
    miss("9.1.244.10.in-addr.arpa. PTR");
    miss("300.1.244.10.in-addr.arpa. PTR");
    miss("01.1.244.10.in-addr.arpa. PTR");
    miss("x.1.1.244.10.in-addr.arpa. PTR");
    check("s410-prefix", "1.244.10.in-addr.arpa. PTR", Says { authority: &pod_zone, ..NODATA });
    check("s410-apex", "244.10.in-addr.arpa. SOA", has(&pod_zone));
    let ns = ["244.10.in-addr.arpa. 30 NS ns.dns.cluster.local."];
    check("s410-apex-ns", "244.10.in-addr.arpa. NS", has(&ns));
    // 10.96.0.0/12 is the sixteen zones 96.10 to 111.10.
    let last = soa("111.10.in-addr.arpa.");
    check("s410-expanded", "1.1.111.10.in-addr.arpa. PTR", Says { authority: &[&last], ..NXDOMAIN });
    // fd00:244::/62 ends within a nibble: four zones of 64 bits.
    let nibbles = "3.0.0.0.0.0.0.0.4.4.2.0.0.0.d.f.ip6.arpa.";
    check("s410-nibbles", &format!("{nibbles} SOA"), has(&[&soa(nibbles)]));
}

#[test]
fn s410_names_outside_the_ranges_are_forwarded() {
    let zone = Still::new(config(), cluster());
    let forwarded =
        |zone: &Still, name: &str| answer(&query(name, 12, None), UDP, zone, 7, &mut Vec::new()) == Answer::Forward;
    for name in [
        "112.10.in-addr.arpa.",
        "1.0.112.10.in-addr.arpa.",
        "10.in-addr.arpa.",
        "in-addr.arpa.",
        "1.2.0.192.in-addr.arpa.",
        "4.0.0.0.0.0.0.0.4.4.2.0.0.0.d.f.ip6.arpa.",
    ] {
        assert!(forwarded(&zone, name), "{name}");
    }
    let falling = Still::new(Config { reverse_fallthrough: true, ..config() }, cluster());
    assert!(forwarded(&falling, "9.9.244.10.in-addr.arpa."));
    assert!(!forwarded(&falling, "1.1.244.10.in-addr.arpa."));
}

#[test]
fn s410_a_cluster_ip_hides_endpoints_with_its_address() {
    let mut events = cluster();
    events.push(slice("odd", "db", "IPv4", json!([]), json!([{ "addresses": ["10.96.0.20"] }])));
    let owner = "20.0.96.10.in-addr.arpa.";
    let expected = format!("{owner} 30 PTR web.shop.svc.cluster.local.");
    check(&Still::new(config(), events), "s410-precedence", &format!("{owner} PTR"), &has(&[&expected]));
}

#[test]
fn s411_pods_have_names_by_mode() {
    let pod = |name: &str, ip: &str, deleted: Option<&str>| {
        let pod = json!({
            "metadata": { "name": name, "namespace": "shop", "deletionTimestamp": deleted },
            "status": { "podIP": ip, "podIPs": [{ "ip": ip }], "phase": "Running" },
        });
        Event::Pod(Arc::new(serde_json::from_value(pod).unwrap()))
    };
    let mut events = cluster();
    events.push(pod("a", "10.244.0.1", None));
    events.push(pod("b", "fd00:244::1", None));
    events.push(pod("c", "10.244.0.3", Some("2024-01-01T00:00:00Z")));
    let mode = |pods| Still::new(Config { pods, ..config() }, events.clone());
    let a = |name: &str, address: &str| format!("{name}.cluster.local. 30 {address}");

    let insecure = mode(PodMode::Insecure);
    let check_v4 = |zone: &Still, id: &str, says: Says<'_>| check(zone, id, "10-244-0-1.shop.pod A", &says);
    check_v4(&insecure, "s411-insecure", has(&[&a("10-244-0-1.shop.pod", "A 10.244.0.1")]));
    check(&insecure, "s411-echo", "192-0-2-9.shop.pod A", &has(&[&a("192-0-2-9.shop.pod", "A 192.0.2.9")]));
    check(&insecure, "s411-v6", "fd00-244--1.shop.pod AAAA", &has(&[&a("fd00-244--1.shop.pod", "AAAA fd00:244::1")]));
    check(&insecure, "s411-family", "10-244-0-1.shop.pod AAAA", &NODATA);
    check(&insecure, "s411-family-v6", "fd00-244--1.shop.pod A", &NODATA);
    for name in ["10-244-0-1.unknown.pod A", "10-244-0.shop.pod A", "10-244-0-256.shop.pod A", "web.shop.pod A"] {
        check(&insecure, "s411-no-address", name, &NXDOMAIN);
    }
    check_v4(&mode(PodMode::Disabled), "s411-disabled", NXDOMAIN);

    let verified = mode(PodMode::Verified);
    check_v4(&verified, "s411-verified", has(&[&a("10-244-0-1.shop.pod", "A 10.244.0.1")]));
    check(
        &verified,
        "s411-verified-v6",
        "fd00-244--1.shop.pod AAAA",
        &has(&[&a("fd00-244--1.shop.pod", "AAAA fd00:244::1")]),
    );
    check(&verified, "s411-verified-family", "10-244-0-1.shop.pod AAAA", &NODATA);
    check(&verified, "s411-unknown", "10-244-0-9.shop.pod A", &NXDOMAIN);
    check(&verified, "s411-deleting", "10-244-0-3.shop.pod A", &NXDOMAIN);
    check(&verified, "s411-other-namespace", "10-244-0-1.empty.pod A", &NXDOMAIN);
    let gone = events.into_iter().chain([Event::PodGone { namespace: "shop".into(), name: "a".into() }]);
    check_v4(&Still::new(Config { pods: PodMode::Verified, ..config() }, gone), "s411-gone", NXDOMAIN);
}

#[test]
fn s412_the_zone_has_an_soa_and_a_name_server() {
    let zone = Still::new(config(), cluster());
    let glue = ["ns.dns.cluster.local. 30 A 10.96.0.10", "ns.dns.cluster.local. 30 AAAA fd00:96::a"];
    check(&zone, "s412-soa", "cluster.local. SOA", &has(&[SOA]));
    let ns = Says { additional: &glue, ..has(&["cluster.local. 30 NS ns.dns.cluster.local."]) };
    check(&zone, "s412-ns", "cluster.local. NS", &ns);
    check(&zone, "s412-a", "ns.dns A", &has(&glue[..1]));
    check(&zone, "s412-aaaa", "ns.dns AAAA", &has(&glue[1..]));
    check(&zone, "s412-txt", "ns.dns TXT", &NODATA);
    let local = Config { local_addresses: vec!["0.0.0.0".parse().unwrap(), "192.0.2.53".parse().unwrap()], ..config() };
    let alone = Still::new(local, []);
    check(&alone, "s412-local", "ns.dns A", &has(&["ns.dns.cluster.local. 30 A 192.0.2.53"]));
    check(&alone, "s412-local-family", "ns.dns AAAA", &NODATA);
}

#[test]
fn s413_all_records_share_the_configured_ttl() {
    let zone = Still::new(config().with_ttl(5).unwrap(), cluster());
    check(&zone, "s413-a", "web.shop.svc A", &has(&["web.shop.svc.cluster.local. 5 A 10.96.0.20"]));
    let soa = "cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 5";
    check(&zone, "s413-soa", "no.shop.svc A", &Says { authority: &[soa], ..NXDOMAIN });
    assert!(config().with_ttl(3601).is_err());
}

#[test]
fn s414_before_the_first_sync_nothing_is_said_to_be_missing() {
    let zone = Still { is_synced: false, ..Still::new(config(), cluster()) };
    for name in
        ["absent.shop.svc.cluster.local.", "x.cluster.local.", "9.9.244.10.in-addr.arpa.", "v4.shop.svc.cluster.local."]
    {
        let reply = zone.ask(name, "AAAA", UDP);
        assert_eq!((reply.rcode, reply.aa, reply.authority.len()), (2, false, 0), "{name}");
    }
    check(&zone, "s414-known", "web.shop.svc A", &has(&["web.shop.svc.cluster.local. 30 A 10.96.0.20"]));
    check(&zone, "s414-apex", "cluster.local. SOA", &has(&[SOA]));
}
