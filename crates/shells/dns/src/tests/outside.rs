//! Names that are not ours: forwarded, chased or refused.

use super::upstream::Upstream;
use super::*;
use crate::upstreams;

const FOUND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

#[test]
fn s423_other_names_are_forwarded_with_ids_of_our_own() {
    let upstream = Upstream::start();
    let running = Running::start(upstream.config(), cluster());
    for (count, ask) in [Running::udp, Running::tcp].into_iter().enumerate() {
        let reply = ask(&running, &query(77, "www.example.com", 1));
        assert_eq!(summary(&reply), Summary { id: 77, aa: false, tc: false, rcode: 0, answers: 1 });
        assert_eq!(last_address(&reply), FOUND);
        assert_eq!(upstream.counts(), [count + 1, 0]);
    }
}

#[test]
fn s423_only_the_reply_to_our_query_counts() {
    let upstream = Upstream::start();
    let running = Running::start(upstream.config(), cluster());
    let reply = running.udp(&query(78, "spoofed.example.com", 1));
    assert_eq!(summary(&reply), Summary { id: 78, aa: false, tc: false, rcode: 0, answers: 1 });
}

#[test]
fn s423_a_cut_reply_is_asked_for_again_over_tcp() {
    let upstream = Upstream::start();
    let running = Running::start(upstream.config(), cluster());
    let big = query(79, "big.example.com", 1);
    let whole = running.tcp(&big);
    assert_eq!(summary(&whole), Summary { id: 79, aa: false, tc: false, rcode: 0, answers: 100 });
    assert_eq!(upstream.counts(), [1, 1]);
    let cut = running.udp(&big);
    assert_eq!(summary(&cut), Summary { id: 79, aa: false, tc: true, rcode: 0, answers: 0 });
}

#[test]
fn s423_without_a_reply_the_query_fails() {
    let upstream = Upstream::start();
    let running = Running::start(upstream.config(), cluster());
    for ask in [Running::udp, Running::tcp] {
        let reply = ask(&running, &query(80, "silent.example.com", 1));
        assert_eq!(summary(&reply), Summary { id: 80, aa: false, tc: false, rcode: 2, answers: 0 });
    }
}

#[test]
fn s423_an_upstream_that_fails_is_passed_over_and_comes_back() {
    let upstream = Upstream::start();
    // Nothing listens there: the kernel says so at once.
    let unused = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = unused.local_addr().unwrap();
    drop(unused);
    let running = Running::start(Config { upstreams: vec![dead, upstream.address], ..upstream.config() }, cluster());
    for id in 0..20 {
        let reply = running.udp(&query(id, "www.example.com", 1));
        assert_eq!((summary(&reply).id, last_address(&reply)), (id, FOUND));
    }
    let revived = UdpSocket::bind(dead).unwrap();
    revived.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut probe = [0; 512];
    let (length, peer) = revived.recv_from(&mut probe).expect("a probe of the upstream that is down");
    assert_eq!(&probe[2..length], b"\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01", "a query for the root's name servers");
    probe[2] = 0x81;
    revived.send_to(&probe[..length], peer).unwrap();
    eventually("the upstream is asked again", || {
        running.udp(&query(1, "www.example.com", 1));
        revived.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        revived.recv_from(&mut probe).is_ok_and(|(length, _)| probe[12..length].starts_with(b"\x03www"))
    });
}

#[test]
fn s423_too_many_waiting_queries_are_refused() {
    let upstream = Upstream::start();
    let running = Running::start(Config { forward_max: 1, ..upstream.config() }, cluster());
    let mut stream = running.connect();
    let queries = [query(1, "silent.example.com", 1), query(2, "www.example.com", 1)];
    stream.write_all(&queries.iter().flat_map(|query| framed(query)).collect::<Vec<u8>>()).unwrap();
    let (first, second) = (summary(&read_framed(&mut stream)), summary(&read_framed(&mut stream)));
    assert_eq!([(first.id, first.rcode), (second.id, second.rcode)], [(2, 5), (1, 2)]);
}

#[test]
fn s420_a_slow_upstream_holds_up_nobody_on_the_same_connection() {
    let upstream = Upstream::start();
    let running = Running::start(upstream.config(), cluster());
    let mut stream = running.connect();
    let queries = [query(1, "silent.example.com", 1), query(2, "www.example.com", 1), query(3, WEB, 1)];
    stream.write_all(&queries.iter().flat_map(|query| framed(query)).collect::<Vec<u8>>()).unwrap();
    let mut early = [summary(&read_framed(&mut stream)).id, summary(&read_framed(&mut stream)).id];
    early.sort_unstable();
    assert_eq!(early, [2, 3]);
    assert_eq!(summary(&read_framed(&mut stream)).rcode, 2);
}

#[test]
fn s408_aliases_of_other_names_are_chased() {
    let upstream = Upstream::start();
    let events = cluster().into_iter().chain([
        service("mute", json!({ "type": "ExternalName", "externalName": "silent.example.com" })),
        service("many", json!({ "type": "ExternalName", "externalName": "big.example.com" })),
    ]);
    let running = Running::start(upstream.config(), events.collect());
    for ask in [Running::udp, Running::tcp] {
        let reply = ask(&running, &query(90, "far.shop.svc.cluster.local", 1));
        assert_eq!(summary(&reply), Summary { id: 90, aa: true, tc: false, rcode: 0, answers: 2 });
        assert_eq!(last_address(&reply), FOUND);
    }
    let failed = running.udp(&query(91, "mute.shop.svc.cluster.local", 1));
    assert_eq!(summary(&failed), Summary { id: 91, aa: true, tc: false, rcode: 0, answers: 0 });
    let many = running.tcp(&query(92, "many.shop.svc.cluster.local", 1));
    assert_eq!(summary(&many), Summary { id: 92, aa: true, tc: false, rcode: 0, answers: 101 });
}

#[test]
fn s419_strangers_are_answered_about_the_zone_only() {
    let upstream = Upstream::start();
    let strangers = Config { recursion: vec!["192.0.2.0/24".parse().unwrap()], ..upstream.config() };
    let running = Running::start(strangers, cluster());
    for ask in [Running::udp, Running::tcp] {
        assert_eq!(summary(&ask(&running, &query(1, "www.example.com", 1))).rcode, 5);
        assert_eq!(summary(&ask(&running, &query(2, WEB, 1))).answers, 1);
        // The alias alone.
        assert_eq!(summary(&ask(&running, &query(3, "far.shop.svc.cluster.local", 1))).answers, 1);
    }
    assert_eq!(upstream.counts(), [0, 0]);
    let without = Running::start(config(), cluster());
    assert_eq!(summary(&without.udp(&query(1, "www.example.com", 1))).rcode, 5, "s419-no-upstreams");
}

#[test]
fn s423_a_hosts_name_servers_are_used_except_ourselves() {
    let check = |id: &str, text: &str, listen: &[&str], expected: &[&str]| {
        let listen: Vec<SocketAddr> = listen.iter().map(|address| address.parse().unwrap()).collect();
        let expected: Vec<SocketAddr> = expected.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(upstreams(&zone::ResolvConf::parse(text), &listen), expected, "{id}");
    };
    let host = "nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver nonsense\n";
    check("s423-all", host, &["10.0.0.1:53"], &["127.0.0.53:53", "192.0.2.1:53", "[2001:db8::1]:53"]);
    check("s423-own", host, &["192.0.2.1:53"], &["127.0.0.53:53", "[2001:db8::1]:53"]);
    check("s423-wildcard", host, &["0.0.0.0:53"], &["192.0.2.1:53", "[2001:db8::1]:53"]);
    check("s423-other-port", host, &["0.0.0.0:5353"], &["127.0.0.53:53", "192.0.2.1:53", "[2001:db8::1]:53"]);
    let many: String = (1..=20).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
    assert_eq!(upstreams(&zone::ResolvConf::parse(&many), &[]).len(), 15, "s423-fifteen");
}
