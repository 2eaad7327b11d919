//! ICMP errors about a translated flow come back translated: the client hears of the address that it asked (S-355).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use model::{Family, Protocol};
use serde_json::json;
use tokio::net::UdpSocket;

use crate::judge::PATIENCE;
use crate::objects::{cluster_ip, endpoint, exposed, external_ip, node_port, service, slice, slices};
use crate::probe::{Question, Reply, ask_all};
use crate::scene::{Asker, Node, Scene, address, config};

/// The first port at which no endpoint listens.
const CLOSED: u16 = 9;

#[test]
fn s355_a_port_unreachable_of_an_endpoint_reaches_the_client_as_the_services() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        let ports = json!([{"name": "udp", "protocol": "UDP", "port": CLOSED}]);
        let slice_of = |name: &str, family| {
            let endpoints = [endpoint(&scene, name, family)];
            slice(&format!("s1-{family:?}").to_lowercase(), "s1", family, &endpoints, ports.clone())
        };
        // One endpoint is on this node, the other behind another one.
        for pod in ["a1", "b0"] {
            let slices = Family::ALL.map(|family| slice_of(pod, family));
            node.hear([service(exposed(1))].into_iter().chain(slices));
            let questions: Vec<Question> = Family::ALL
                .into_iter()
                .flat_map(|family| {
                    let cluster = SocketAddr::new(cluster_ip(1, family), 80);
                    let external = SocketAddr::new(external_ip(1, family), 80);
                    let on_node = SocketAddr::new(scene.node_address(family), node_port(1));
                    [
                        // The source is kept.
                        (Asker::LocalPod, cluster),
                        // The source is rewritten too.
                        (Asker::Host, cluster),
                        (Asker::Outside, external),
                        (Asker::Outside, on_node),
                        (Asker::RemotePod, external),
                    ]
                })
                .map(|(asker, to)| Question { asker, protocol: Protocol::Udp, to, patience: PATIENCE })
                .collect();
            // A connected UDP socket hears only of errors about a datagram to the address that it is connected to.
            for (question, reply) in questions.iter().zip(ask_all(&scene, &questions)) {
                assert_eq!(reply, Reply::Refused, "{question} with endpoint {pod}");
            }
        }
    });
}

/// How large a packet may be on the last link before the endpoint: as small as IPv6 allows.
const NARROW: u32 = 1280;
/// More than that, and less than all other links take.
const DATAGRAM: usize = 1400;

/// Sends a datagram again and again until it is answered; says how often.
async fn insist(to: SocketAddr, patience: Duration) -> Option<usize> {
    let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).await.unwrap();
    socket.connect(to).await.unwrap();
    let started = Instant::now();
    let mut buffer = [0; 4096];
    let mut sent = 0;
    while started.elapsed() < patience {
        sent += 1;
        // The first ones may end in "message too long", as the sender's kernel is told of the narrow link.
        let _ = socket.send(&[b'x'; DATAGRAM]).await;
        match tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await {
            Ok(Ok(length)) if length > DATAGRAM => return Some(sent),
            _ => {}
        }
    }
    None
}

#[test]
fn s355_a_narrow_link_before_the_endpoint_is_told_to_the_client_as_the_services() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        node.hear([service(exposed(1))].into_iter().chain(slices(&scene, 1, &["a1"])));
        let endpoint = scene.endpoint("a1");
        let octets = endpoint.ips().v4.unwrap().octets();
        scene.lab.node(0).links().set_mtu(&format!("pod{}-{}", octets[2], octets[3]), NARROW).unwrap();
        endpoint.links().set_mtu("eth0", NARROW).unwrap();
        for family in Family::ALL {
            let direct = SocketAddr::new(address(endpoint.ips(), family), crate::scene::TARGET_PORTS[0]);
            let tries = [
                (Asker::RemotePod, direct),
                (Asker::LocalPod, SocketAddr::new(cluster_ip(1, family), 80)),
                (Asker::Outside, SocketAddr::new(external_ip(1, family), 80)),
            ];
            for (asker, to) in tries {
                let run = || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(insist(to, PATIENCE))
                };
                let sent = scene.asker(asker).run(run).unwrap();
                println!("{asker:?} → {to}: answered after {sent:?} datagrams");
                // The first is lost at the narrow link; a client that isn't told of it would lose all others as well.
                assert!(sent.is_some_and(|sent| sent > 1), "{asker:?} → {to}: {sent:?}");
            }
        }
    });
}
