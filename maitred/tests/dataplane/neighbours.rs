//! Services that another proxy serves, in the same ServiceCIDR (S-300 beside S-341).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kernel::links::Scope;
use lab::Server;
use model::{Family, Protocol};
use serde_json::json;

use crate::judge::{PATIENCE, SILENCE};
use crate::objects::{cluster_ip, internal, service, slices};
use crate::probe::{Question, Reply, ask_all};
use crate::scene::{Asker, Node, Scene, TARGET_PORTS, address, config, unassigned};
use crate::wire::{APPEND, CREATE, Message, attribute, nest, number, text, transact};

/// The Service with a proxy of its own.
const FOREIGN: u16 = 9;

/// `table NAME other`: at priority dstnat, where kube-proxy stands as well, an address leads to an endpoint.
fn other_proxy(vip: IpAddr, endpoint: SocketAddr) -> Vec<Message> {
    const NEW_TABLE: u16 = 0;
    const NEW_CHAIN: u16 = 3;
    const NEW_RULE: u16 = 6;
    const DSTNAT: i32 = -100;
    let family = if vip.is_ipv4() { 2 } else { 10 };
    let create = |kind, flags, body| Message { kind, flags: CREATE | flags, family, body };
    let mut messages = vec![create(NEW_TABLE, 0, text(1, "other"))];
    for (name, hook) in [("prerouting", 0), ("output", 3)] {
        let hook = nest(4, &[number(1, hook), number(2, DSTNAT as u32)]);
        let chain = [text(1, "other"), text(3, name), hook, text(7, "nat")].concat();
        let rule = [text(1, "other"), text(2, name), nest(4, &dnat(vip, endpoint))].concat();
        messages.extend([create(NEW_CHAIN, 0, chain), create(NEW_RULE, APPEND, rule)]);
    }
    messages
}

/// `ip daddr VIP dnat to ENDPOINT`
fn dnat(vip: IpAddr, endpoint: SocketAddr) -> [Vec<u8>; 5] {
    let (octets, offset, family) = match vip {
        IpAddr::V4(address) => (address.octets().to_vec(), 16, 2),
        IpAddr::V6(address) => (address.octets().to_vec(), 24, 10),
    };
    let target = match endpoint.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let expression = |name, data: &[Vec<u8>]| nest(1, &[text(1, name), nest(2, data)]);
    let value = |kind, bytes: &[u8]| nest(kind, &[attribute(1, bytes)]);
    [
        expression("payload", &[number(1, 1), number(2, 1), number(3, offset), number(4, octets.len() as u32)]),
        expression("cmp", &[number(1, 1), number(2, 0), value(3, &octets)]),
        expression("immediate", &[number(1, 1), value(2, &target)]),
        expression("immediate", &[number(1, 2), value(2, &endpoint.port().to_be_bytes())]),
        expression("nat", &[number(1, 1), number(2, family), number(3, 1), number(5, 2)]),
    ]
}

fn ask(scene: &Scene, to: SocketAddr, patience: Duration) -> Vec<Reply> {
    let askers = [Asker::LocalPod, Asker::Host, Asker::Outside];
    ask_all(scene, &askers.map(|asker| Question { asker, protocol: Protocol::Tcp, to, patience }))
}

#[test]
fn s300_a_service_of_another_proxy_is_left_to_it_though_its_address_is_in_our_range() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        let mut foreign = internal(FOREIGN);
        foreign["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "another"});
        let endpoints = slices(&scene, FOREIGN, &["a1"]);
        node.hear([service(internal(1)), service(foreign)].into_iter().chain(endpoints));
        for family in Family::ALL {
            let to = SocketAddr::new(cluster_ip(FOREIGN, family), 80);
            assert_eq!(ask(&scene, to, SILENCE), [const { Reply::Silence }; 3], "nobody serves it yet (S-341)");

            let server = SocketAddr::new(address(scene.endpoint("a1").ips(), family), TARGET_PORTS[0]);
            transact(&scene, &other_proxy(to.ip(), server));
            let answers = [Asker::LocalPod, Asker::Host, Asker::Outside]
                .map(|asker| Reply::Answered { server, source: scene.source(asker, family) });
            assert_eq!(ask(&scene, to, PATIENCE), answers, "the other proxy leads there");

            let unused = SocketAddr::new(cluster_ip(1, family), 81);
            assert_eq!(ask(&scene, unused, PATIENCE), [const { Reply::Refused }; 3], "ours is as before");
        }
        assert_eq!(node.difference(&scene), "");
    });
}

#[test]
fn s341_an_address_that_the_node_itself_has_is_reached_though_it_lies_in_a_service_range() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        node.hear([service(internal(1))]);
        let host = scene.asker(Asker::Host);
        for family in Family::ALL {
            let own = unassigned(family);
            host.links().add_address("lo", own.into(), Scope::Global).expect("an address");
            let _server = Server::start_as(host, "host", [own], TARGET_PORTS[0]).expect("a server");
            let server = SocketAddr::new(own, TARGET_PORTS[0]);
            for asker in [Asker::LocalPod, Asker::Outside] {
                let question = Question { asker, protocol: Protocol::Tcp, to: server, patience: PATIENCE };
                let answered = Reply::Answered { server, source: scene.source(asker, family) };
                assert_eq!(ask_all(&scene, &[question]), [answered], "{asker:?}");
            }
        }
    });
}
