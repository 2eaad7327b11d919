//! SCTP's first packets between hosts, through the kernel's connection tracking.

use std::net::SocketAddr;
use std::time::Duration;

use lab::{Lab, LabConfig, Outcome, SctpServer, sctp_ask};

const PATIENCE: Duration = Duration::from_secs(5);
const PORT: u16 = 38_412;

#[test]
fn an_init_is_answered_by_the_pod_it_reaches_and_shows_the_clients_port() {
    lab::test(|| {
        let lab = Lab::new(LabConfig { nodes: 2, ..LabConfig::default() }).unwrap();
        let client = lab.add_pod(0, "client-pod", lab.pod_ips(0, 0)).unwrap();
        let server = lab.add_pod(1, "server-pod", lab.pod_ips(1, 0)).unwrap();
        let _server = SctpServer::start(&server, PORT).unwrap();
        for (source, destination) in client.ips().iter().zip(server.ips().iter()) {
            let to = SocketAddr::new(destination, PORT);
            let outcome = sctp_ask(client.namespace(), to, 20_001, PATIENCE).unwrap();
            let answer = outcome.answer().unwrap_or_else(|| panic!("{to}: {outcome}"));
            assert_eq!((answer.pod.as_str(), answer.server), ("server-pod", to));
            assert_eq!(answer.client, SocketAddr::new(source, 20_001));
        }
    });
}

#[test]
fn an_init_to_a_host_without_a_server_is_not_answered() {
    lab::test(|| {
        let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() }).unwrap();
        for ip in lab.node(0).ips().iter() {
            let to = SocketAddr::new(ip, PORT);
            let outcome = sctp_ask(lab.client().namespace(), to, 0, Duration::from_millis(500)).unwrap();
            // Without SCTP the kernel says "protocol unreachable" over IPv4 and "unknown header" over IPv6; with it, ABORT.
            assert!(!matches!(outcome, Outcome::Answer { .. } | Outcome::Stranger(_)), "{to}: {outcome}");
        }
    });
}
