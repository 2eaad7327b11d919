//! A lab carries what dataplanes do: rules written by hand translate, masquerade, refuse and drop, and the clients
//! tell which. Also the promise about sources: masqueraded packets carry the node's LAN address.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::{Host, Lab, LabConfig, Outcome, SctpServer, Server, Transport, ask};

const PATIENCE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(300);

/// Port 80 leads to the Pod's port 8080 (TCP, UDP) or 80 (SCTP), from outside and from the Pod itself under the node's
/// address; 81 is refused, 82 dropped.
const RULES: &str = "
table inet lab {
  chain choose {
    ip daddr 10.96.0.1 meta l4proto { tcp, udp } th dport 80 dnat ip to 10.244.1.2:8080
    ip daddr 10.96.0.1 meta l4proto sctp th dport 80 dnat ip to 10.244.1.2:80
    ip6 daddr fd00:10:96::1 meta l4proto { tcp, udp } th dport 80 dnat ip6 to [fd00:10:244:1::2]:8080
    ip6 daddr fd00:10:96::1 meta l4proto sctp th dport 80 dnat ip6 to [fd00:10:244:1::2]:80
  }
  chain prerouting { type nat hook prerouting priority -100; jump choose; }
  chain output { type nat hook output priority -100; jump choose; }
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 172.31.0.200 masquerade
    ip6 saddr fd00:31::c8 masquerade
    ip saddr 10.244.1.2 ip daddr 10.244.1.2 masquerade
    ip6 saddr fd00:10:244:1::2 ip6 daddr fd00:10:244:1::2 masquerade
  }
  chain refuse {
    type filter hook prerouting priority -110;
    meta l4proto { tcp, udp } th dport 81 reject
    meta l4proto { tcp, udp } th dport 82 drop
  }
}
";

fn load_rules(node: &Host) {
    let mut nft = Command::new("nft");
    nft.arg(RULES);
    let mut loaded = node.spawn(nft).unwrap();
    assert!(loaded.wait(PATIENCE).unwrap().success(), "{}", loaded.output());
}

fn source_seen(outcome: &Outcome) -> IpAddr {
    outcome.answer().unwrap_or_else(|| panic!("{outcome}")).client.ip()
}

#[test]
fn hand_written_rules_translate_masquerade_refuse_and_drop() {
    if Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIP: hand_written_rules_translate_masquerade_refuse_and_drop: there is no nft program");
        return;
    }
    lab::test(|| {
        let services = ["10.96.0.0/16".parse().unwrap(), "fd00:10:96::/112".parse().unwrap()];
        let lab =
            Lab::new(LabConfig { client_routes: services.map(|range| (range, 1)).to_vec(), ..LabConfig::default() })
                .unwrap();
        let endpoint = lab.add_pod(1, "endpoint", lab.pod_ips(1, 0)).unwrap();
        let neighbour = lab.add_pod(1, "neighbour", lab.pod_ips(1, 1)).unwrap();
        let (_server, _sctp) = (Server::start(&endpoint, 8080).unwrap(), SctpServer::start(&endpoint, 80).unwrap());
        load_rules(lab.node(1));

        let node = lab.node(1);
        let service = ["10.96.0.1", "fd00:10:96::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        for (family, ip) in service.into_iter().enumerate() {
            let of = |host: &Host| host.ips().iter().nth(family).unwrap();
            let to = |port| SocketAddr::new(ip, port);
            let cases =
                [(&neighbour, of(&neighbour)), (node, of(node)), (lab.client(), of(node)), (&endpoint, of(node))];
            for (from, source) in cases {
                for transport in [Transport::Tcp, Transport::Udp, Transport::Sctp] {
                    let outcome = ask(from.namespace(), transport, to(80), PATIENCE).unwrap();
                    assert_eq!(source_seen(&outcome), source, "{transport:?} from {}", from.name());
                }
            }
            for from in [&neighbour, lab.client()] {
                for transport in [Transport::Tcp, Transport::Udp] {
                    let outcome = |port, timeout| ask(from.namespace(), transport, to(port), timeout).unwrap();
                    assert_eq!(outcome(81, PATIENCE), Outcome::Refused, "{transport:?} from {}", from.name());
                    assert_eq!(outcome(82, SHORT), Outcome::Timeout, "{transport:?} from {}", from.name());
                }
            }
        }
    });
}
