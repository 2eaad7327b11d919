//! Names of the zone over real sockets.

use super::*;

#[test]
fn s400_services_are_answered_over_udp_and_tcp_of_both_families() {
    for listen in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        if UdpSocket::bind(listen).is_err() {
            println!("SKIP: {listen} cannot be bound on this machine");
            continue;
        }
        let mut running = Running::start(Config { listen: vec![listen.parse().unwrap()], ..config() }, cluster());
        if running.address.ip().is_unspecified() {
            running.address.set_ip("127.0.0.3".parse().unwrap());
        }
        for reply in [running.udp(&query(7, WEB, 1)), running.tcp(&query(7, WEB, 1))] {
            assert_eq!(summary(&reply), Summary { id: 7, aa: true, tc: false, rcode: 0, answers: 1 }, "{listen}");
            assert_eq!(last_address(&reply), Ipv4Addr::new(10, 96, 0, 20), "{listen}");
        }
        let nodata = summary(&running.udp(&query(8, WEB, 28)));
        assert_eq!(nodata, Summary { id: 8, aa: true, tc: false, rcode: 0, answers: 0 }, "{listen}");
    }
}

#[test]
fn s400_an_absent_name_is_nxdomain_for_a_and_aaaa() {
    let running = Running::start(config(), cluster());
    for rtype in [1, 28] {
        for reply in [
            running.udp(&query(9, "absent.shop.svc.cluster.local", rtype)),
            running.tcp(&query(9, "absent.shop.svc.cluster.local", rtype)),
        ] {
            assert_eq!(summary(&reply), Summary { id: 9, aa: true, tc: false, rcode: 3, answers: 0 }, "{rtype}");
        }
    }
}

#[test]
fn s404_answers_follow_the_objects() {
    let running = Running::start(config(), cluster());
    let db = query(1, "db.shop.svc.cluster.local", 1);
    assert_eq!(summary(&running.udp(&db)).answers, 1);
    running.tell(Input::Event(slice("db-1", "db", &["10.244.1.1", "10.244.1.2", "10.244.1.3"])));
    eventually("three endpoints", || summary(&running.udp(&db)).answers == 3);
    running.tell(Input::Event(Event::SliceGone { namespace: "shop".into(), name: "db-1".into() }));
    eventually("no endpoints", || summary(&running.udp(&db)).rcode == 3);
}

#[test]
fn s414_before_the_first_sync_answers_are_failures_and_afterwards_not() {
    let config = Config { startup: Duration::ZERO, ..config() };
    let running = Running::start_unsynced(config, cluster());
    let absent = query(1, "absent.shop.svc.cluster.local", 1);
    assert_eq!(summary(&running.udp(&absent)).rcode, 2);
    eventually("what is known is answered", || summary(&running.udp(&query(1, WEB, 1))).answers == 1);
    assert_eq!(summary(&running.udp(&absent)).rcode, 2);
    (0..3).for_each(|_| running.tell(Input::Synced));
    eventually("synced", || summary(&running.udp(&absent)).rcode == 3);
}

#[test]
fn s414_at_the_start_answers_wait_for_the_sync() {
    let running = Running::start_unsynced(config(), cluster());
    let (asked, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let running = &running;
        for ask in [Running::udp, Running::tcp] {
            let asked = asked.clone();
            scope.spawn(move || asked.send(summary(&ask(running, &query(1, "no.shop.svc.cluster.local", 1))).rcode));
        }
        let early = told.recv_timeout(Duration::from_millis(100));
        (0..3).for_each(|_| running.tell(Input::Synced));
        assert!(early.is_err(), "an answer before the sync");
        assert_eq!([told.recv().unwrap(), told.recv().unwrap()], [3, 3]);
    });
}

#[test]
fn s414_the_last_known_zone_stays_when_the_feed_ends() {
    let (inputs, receiver) = mpsc::channel(1024);
    let (stop, stopped) = watch::channel(false);
    cluster().into_iter().for_each(|event| inputs.blocking_send(Input::Event(event)).unwrap());
    (0..3).for_each(|_| inputs.blocking_send(Input::Synced).unwrap());
    let server = start(config(), receiver, stopped).unwrap();
    let (unused, _) = mpsc::channel(1);
    drop(inputs);
    let running = Running { address: server.addresses()[0], inputs: unused, stop, server: Some(server) };
    assert_eq!(last_address(&running.udp(&query(1, WEB, 1))), Ipv4Addr::new(10, 96, 0, 20));
}

#[test]
fn s420_many_datagrams_at_once_are_all_answered() {
    let running = Running::start(config(), cluster());
    running.udp(&query(0, WEB, 1));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(running.address).unwrap();
    for id in 0..200 {
        socket.send(&query(id, WEB, 1)).unwrap();
    }
    // What is no query is dropped without harm to its neighbours.
    socket.send(b"?").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 200 {
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).unwrap();
        assert_eq!(last_address(&reply[..length]), Ipv4Addr::new(10, 96, 0, 20));
        seen.insert(summary(&reply[..length]).id);
    }
}

#[test]
fn s420_a_long_answer_is_cut_over_udp_and_whole_over_tcp() {
    let addresses: Vec<String> = (0..200).map(|n| format!("10.244.7.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let events = cluster().into_iter().chain([slice("db-many", "db", &addresses)]);
    let running = Running::start(config(), events.collect());
    let db = query(1, "db.shop.svc.cluster.local", 1);
    let cut = running.udp(&db);
    assert!(summary(&cut).tc && cut.len() <= 512);
    assert_eq!(summary(&running.tcp(&db)), Summary { id: 1, aa: true, tc: false, rcode: 0, answers: 201 });
}

#[test]
fn s420_queries_on_one_connection_are_pipelined() {
    let running = Running::start(config(), cluster());
    let mut stream = running.connect();
    // In one write, the last cut in the middle.
    let mut bytes: Vec<u8> = (0..300).flat_map(|id| framed(&query(id, WEB, 1))).collect();
    let rest = bytes.split_off(bytes.len() - 5);
    stream.write_all(&bytes).unwrap();
    for id in 0..299 {
        assert_eq!(summary(&read_framed(&mut stream)).id, id);
    }
    stream.write_all(&rest).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(summary(&read_framed(&mut stream)).id, 299);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed after the client has closed");
}

#[test]
fn s420_silent_and_slow_connections_are_closed() {
    let quick = Duration::from_millis(50);
    let running = Running::start(Config { tcp_idle: quick, tcp_read: quick, ..config() }, cluster());
    running.udp(&query(0, WEB, 1));
    for (id, bytes) in [
        ("s420-idle", &b""[..]),
        ("s420-half-a-length", b"\0"),
        ("s420-half-a-query", b"\0\x20ab"),
        ("s420-short", b"\0\x01x"),
    ] {
        println!("case {id}");
        let mut stream = running.connect();
        stream.write_all(bytes).unwrap();
        let end = stream.read(&mut [0]);
        let reset = |kind| kind == std::io::ErrorKind::ConnectionReset;
        assert!(matches!(&end, Ok(0)) || end.as_ref().is_err_and(|error| reset(error.kind())), "{id}: {end:?}");
    }
}

#[test]
fn s420_connections_beyond_the_limit_are_closed_and_later_ones_served() {
    let running = Running::start(Config { tcp_connections_max: 1, ..config() }, cluster());
    let mut first = running.connect();
    first.write_all(&framed(&query(1, WEB, 1))).unwrap();
    read_framed(&mut first);
    let mut second = running.connect();
    assert!(matches!(second.read(&mut [0]), Ok(0) | Err(_)), "the second is closed");
    drop(first);
    eventually("a place is free again", || {
        let mut third = running.connect();
        let mut length = [0; 2];
        third.write_all(&framed(&query(2, WEB, 1))).is_ok() && third.read_exact(&mut length).is_ok()
    });
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_inputs, receiver) = mpsc::channel(1);
    let (_stop, stopped) = watch::channel(false);
    let error = start(Config { listen: vec![address], ..config() }, receiver, stopped).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot serve DNS over TCP on {address}"));
}
