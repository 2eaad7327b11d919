//! What the clients record, against servers whose behaviour is known.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::{Burst, Host, Lab, LabConfig, Outcome, Request, SctpServer, Server, Sessions, Transport, UdpFlow, burst};

const PATIENCE: Duration = Duration::from_secs(5);
const PORT: u16 = 8080;

fn small_lab() -> (Lab, Arc<Host>) {
    let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() }).unwrap();
    let pod = lab.add_pod(0, "pod", lab.pod_ips(0, 0)).unwrap();
    (lab, pod)
}

fn v4(host: &Host) -> SocketAddr {
    SocketAddr::new(host.ips().v4.unwrap().into(), PORT)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "not {what} in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_burst_counts_every_connection_once() {
    lab::test(|| {
        let (lab, pod) = small_lab();
        let (_server, _sctp) = (Server::start(&pod, PORT).unwrap(), SctpServer::start(&pod, PORT).unwrap());
        let to_pod = Burst { transport: Transport::Tcp, to: v4(&pod), connections: 500, at_once: 8, timeout: PATIENCE };
        let tally = burst(lab.node(0).namespace(), &to_pod).unwrap();
        assert_eq!(tally.counts(&["pod", "other"]), [500, 0]);
        assert_eq!(tally.sources, [IpAddr::V4(lab.node(0).ips().v4.unwrap())].into());
        assert!(tally.failures.is_empty(), "{tally:?}");
        for transport in [Transport::Udp, Transport::Sctp] {
            let same = burst(lab.node(0).namespace(), &Burst { transport, ..to_pod }).unwrap();
            assert_eq!(same, tally, "{transport:?}");
        }

        let refused = burst(lab.node(0).namespace(), &Burst { to: v4(lab.node(0)), ..to_pod }).unwrap();
        assert_eq!(refused.failures, [("refused".to_owned(), 500)].into());
    });
}

#[test]
fn a_request_comes_from_the_port_it_was_given() {
    lab::test(|| {
        let (lab, pod) = small_lab();
        let _server = Server::start(&pod, PORT).unwrap();
        for ip in lab.node(0).ips().iter() {
            let from = SocketAddr::new(ip, 40_000);
            let to = SocketAddr::new(pod.ips().iter().find(|to| to.is_ipv4() == ip.is_ipv4()).unwrap(), PORT);
            let request = Request { from: Some(from), ..Request::new(to, PATIENCE) };
            let outcome = request.send(lab.node(0).namespace()).unwrap();
            assert_eq!(outcome.answer().unwrap().client, from);
        }
    });
}

#[test]
fn a_datagram_flow_keeps_its_port_and_records_when_its_server_is_away() {
    lab::test(|| {
        let (lab, pod) = small_lab();
        let server = Server::start(&pod, PORT).unwrap();
        let flow = UdpFlow::start(lab.node(0).namespace(), v4(&pod), Duration::from_millis(10)).unwrap();
        let local = flow.local();
        std::thread::sleep(Duration::from_millis(200));
        server.stop();
        std::thread::sleep(Duration::from_millis(200));
        let _again = Server::start(&pod, PORT).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let record = flow.stop();

        let refused = record.iter().filter(|datagram| datagram.outcome == Outcome::Refused).count();
        assert!(refused > 0, "{record:?}");
        for outcome in [record.first(), record.last()].map(|datagram| &datagram.unwrap().outcome) {
            assert_eq!(outcome.pod(), Some("pod"), "{record:?}");
            assert_eq!(outcome.answer().unwrap().client.port(), local.port());
        }
        assert!(record.is_sorted_by_key(|datagram| datagram.sent));
    });
}

#[test]
fn sessions_exchange_lines_until_their_server_dies_and_each_break_is_counted() {
    lab::test(|| {
        let (lab, pod) = small_lab();
        let server = Server::start(&pod, PORT).unwrap();
        let namespace = lab.node(0).namespace();
        let sessions = Sessions::open(namespace, v4(&pod), 5, Duration::from_millis(5), PATIENCE).unwrap();
        assert_eq!(sessions.report().pods, [("pod".to_owned(), 5)].into());
        let before = sessions.report().exchanges;
        wait_until("exchanging", || sessions.report().exchanges > before + 50);
        assert_eq!(sessions.report().breaks, []);

        server.stop();
        wait_until("broken", || sessions.report().breaks.len() == 5);
        for end in sessions.close().breaks {
            assert_eq!((end.pod.as_deref(), &end.outcome), (Some("pod"), &Outcome::Reset));
        }

        let none = Sessions::open(namespace, v4(&pod), 2, Duration::from_millis(5), PATIENCE).unwrap().close();
        let outcomes: Vec<_> = none.breaks.into_iter().map(|end| (end.pod, end.outcome)).collect();
        assert_eq!(outcomes, [(None, Outcome::Refused), (None, Outcome::Refused)]);
    });
}

#[test]
fn programs_see_their_host_and_their_output_is_kept() {
    lab::test(|| {
        let config = LabConfig {
            nodes: 2,
            resolv_conf: Some("nameserver 10.96.0.10\nsearch default.svc.cluster.local\n".to_owned()),
            ..LabConfig::default()
        };
        let lab = Lab::new(config).unwrap();
        let run = |host: &Host, script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            host.spawn(shell).unwrap()
        };
        let mut first = run(lab.node(0), "cat /etc/resolv.conf; echo mine > /run/state; echo done >&2; exit 3");
        assert_eq!(first.wait(PATIENCE).unwrap().code(), Some(3));
        assert_eq!(first.output(), "nameserver 10.96.0.10\nsearch default.svc.cluster.local\ndone\n");
        let mut second = run(lab.node(0), "cat /run/state");
        assert!(second.wait(PATIENCE).unwrap().success());
        assert_eq!(second.output(), "mine\n");
        assert_eq!(std::fs::read_to_string(lab.node(0).root().unwrap().join("run/state")).unwrap(), "mine\n");
        let mut elsewhere = run(lab.node(1), "cat /run/state");
        assert!(!elsewhere.wait(PATIENCE).unwrap().success());
    });
}

#[test]
fn a_program_can_be_waited_for_signalled_and_killed() {
    lab::test(|| {
        let (lab, _pod) = small_lab();
        let script = "trap 'echo stopping; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let start = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            let mut program = lab.node(0).spawn(shell).unwrap();
            program.wait_for_output("ready", PATIENCE).unwrap();
            program
        };
        let mut polite = start();
        assert!(polite.is_running());
        assert!(polite.stop(PATIENCE).unwrap().success());
        assert_eq!(polite.output(), "ready\nstopping\n");
        let mut killed = start();
        killed.kill();
        assert!(!killed.is_running());
        assert_eq!(killed.output(), "ready\n");

        let late = start().wait_for_output("never", Duration::from_millis(20)).unwrap_err().to_string();
        assert!(late.contains("did not write 'never'") && late.ends_with("ready\n"), "{late}");
        let mut gone = lab.node(0).spawn(Command::new("true")).unwrap();
        let ended = gone.wait_for_output("never", PATIENCE).unwrap_err().to_string();
        assert!(ended.contains("but ended"), "{ended}");
    });
}
