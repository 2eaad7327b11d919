//! The same through a client that others wrote.

use std::process::Command;

use super::upstream::Upstream;
use super::*;

/// What dig prints for some arguments, without its comments.
fn dig(server: SocketAddr, arguments: &str) -> Option<Vec<String>> {
    let output = Command::new("dig")
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "+time=5", "+tries=1", "+nosearch"])
        .args(arguments.split(' '))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

#[test]
fn s400_dig_reads_our_answers() {
    let upstream = Upstream::start();
    let running = Running::start(upstream.config(), cluster());
    let check = |id: &str, arguments: &str, expected: &[&str]| {
        let Some(lines) = dig(running.address, arguments) else {
            println!("SKIP: dig is not installed");
            return;
        };
        for line in expected {
            assert!(lines.iter().any(|other| other.contains(line)), "{id} {arguments}: {line:?} in {lines:#?}");
        }
        // dig warns of malformed messages and of any name below .local.
        let is_warning = |line: &&String| line.contains("WARNING") && !line.contains("reserved for Multicast DNS");
        assert_eq!(lines.iter().find(is_warning), None, "{id} {arguments}: {lines:#?}");
    };
    for over in ["+notcp", "+tcp", "+noedns", "+edns=0 +dnssec +nocookie"] {
        let ask = |name: &str| format!("{over} {name}");
        let a = "web.shop.svc.cluster.local. 30 IN A 10.96.0.20";
        check("s400-a", &ask("web.shop.svc.cluster.local A"), &["status: NOERROR", "flags: qr aa rd ra;", a]);
        check("s400-case", &ask("WEB.shop.svc.cluster.local A"), &["WEB.shop.svc.cluster.local. 30 IN A 10.96.0.20"]);
        let soa = "cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local.";
        check("s400-nodata", &ask("web.shop.svc.cluster.local AAAA"), &["status: NOERROR", "ANSWER: 0", soa]);
        check("s400-nxdomain", &ask("no.shop.svc.cluster.local AAAA"), &["status: NXDOMAIN", "ANSWER: 0", soa]);
        let srv = "_http._tcp.web.shop.svc.cluster.local. 30 IN SRV 0 100 80 web.shop.svc.cluster.local.";
        check("s407-srv", &ask("_http._tcp.web.shop.svc.cluster.local SRV"), &[srv, a]);
        let ptr = "20.0.96.10.in-addr.arpa. 30 IN PTR web.shop.svc.cluster.local.";
        check("s410-ptr", &ask("-x 10.96.0.20"), &[ptr]);
        let alias = "far.shop.svc.cluster.local. 30 IN CNAME www.example.com.";
        check("s408-alias", &ask("far.shop.svc.cluster.local A"), &[alias, "www.example.com. 60 IN A 192.0.2.1"]);
        check("s402-version", &ask("dns-version.cluster.local TXT"), &["28800 IN TXT \"1.1.0\""]);
        check("s423-forward", &ask("www.example.com A"), &["www.example.com. 60 IN A 192.0.2.1"]);
    }
    check("s420-opt", "+bufsize=1400 +nocookie web.shop.svc.cluster.local A", &["EDNS: version: 0, flags:; udp: 1400"]);
    check("s420-do", "+dnssec +nocookie web.shop.svc.cluster.local A", &["EDNS: version: 0, flags: do;"]);
    check("s419-badvers", "+edns=1 +noednsnegotiation web.shop.svc.cluster.local A", &["status: BADVERS"]);
    check("s419-class", "-c CH version.bind TXT", &["status: REFUSED"]);
    check("s416-axfr", "+tcp cluster.local AXFR", &["Transfer failed."]);
}
