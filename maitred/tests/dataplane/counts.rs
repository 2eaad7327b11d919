//! What a change costs, counted: messages and bytes to the kernel, whatever else it holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use intent::{Event, Intent};
use kernel::nfnetlink::NfSocket;
use lab::{Lab, LabConfig, Sessions};
use model::Family;
use proxy::{Applied, Dataplane};
use serde_json::{from_value, json};

use crate::objects::{cluster_ip, exposed, service, slices};
use crate::scene::{Node, Scene, config, program};
use crate::wire::{Message, attribute, nest, text, transact};

/// What kind of Services there are many of.
#[derive(Clone, Copy, Debug)]
struct Many {
    family: Family,
    protocol: &'static str,
}

impl Many {
    /// An address with these last four bytes.
    fn address(self, prefix: [u8; 2], high: u8, low: u8) -> IpAddr {
        let [first, second] = prefix;
        match self.family {
            Family::V4 => Ipv4Addr::new(first, second, high, low).into(),
            Family::V6 => Ipv6Addr::from([0xfd, 0, first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]).into(),
        }
    }

    /// Service number `number`: a cluster IP and two endpoints.
    fn one(self, number: u32, endpoints: [u8; 2]) -> [Event; 2] {
        let [_, _, high, low] = number.to_be_bytes();
        let name = format!("s{number}");
        let object = json!({
            "metadata": {"namespace": "default", "name": name, "uid": name},
            "spec": {
                "clusterIPs": [self.address([10, 97], high, low)],
                "ports": [{"port": 80, "protocol": self.protocol}],
            },
        });
        let endpoint = |last| json!({"addresses": [self.address([10, 245], high ^ last, low)], "nodeName": "node-1"});
        let slice = json!({
            "metadata": {"namespace": "default", "name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": format!("IP{}", format!("{:?}", self.family).to_lowercase()),
            "endpoints": endpoints.map(endpoint),
            "ports": [{"name": "", "port": 8080, "protocol": self.protocol}],
        });
        [service(object), Event::Slice(Arc::new(from_value(slice).unwrap()))]
    }
}

#[test]
fn a_changed_endpoint_costs_the_same_among_10_and_1000_and_10000_services() {
    lab::test(|| {
        for many in [
            Many { family: Family::V4, protocol: "TCP" },
            Many { family: Family::V6, protocol: "TCP" },
            Many { family: Family::V4, protocol: "UDP" },
        ] {
            let costs: Vec<Applied> = [10, 1_000, 10_000].into_iter().map(|count| cost_among(many, count)).collect();
            println!("{many:?}: {} messages, {} bytes for one endpoint", costs[0].messages, costs[0].bytes);
            assert!(costs[0].messages > 0);
            assert_eq!(costs[1], costs[0], "among 1,000");
            assert_eq!(costs[2], costs[0], "among 10,000");
            // A slot is deleted and added; a batch has a beginning and an end.
            assert!(costs[0].messages <= 2 && costs[0].bytes < 700, "{:?}", costs[0]);
        }
    });
}

/// What it costs to exchange one endpoint among so many Services; a restart in between costs nothing.
fn cost_among(many: Many, services: u32) -> Applied {
    let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() }).unwrap();
    let open = || lab.node(0).run(proxy::Nftables::open).unwrap().unwrap();
    let mut intent = Intent::new(config());
    let mut dataplane = open();
    (1..=services).flat_map(|number| many.one(number, [0, 64])).for_each(|event| intent.apply(event));
    program(&mut dataplane, &intent.take_changes()).unwrap();

    let mut dataplane = open();
    let observed = dataplane.observe().unwrap();
    Family::ALL.into_iter().for_each(|family| dataplane.recognize(intent.model(family)));
    let [v4, v6] = observed.each_ref().map(|seen| model::Change::between(seen, intent.model(seen.family)));
    assert!(v4.is_empty() && v6.is_empty(), "among {services}");
    assert_eq!(program(&mut dataplane, &[v4, v6]).unwrap(), Applied::default(), "a restart writes nothing");

    many.one(services / 2, [0, 128]).into_iter().for_each(|event| intent.apply(event));
    let before = dataplane.counters();
    let applied = program(&mut dataplane, &intent.take_changes()).unwrap();
    let sent = dataplane.counters();
    assert_eq!(sent.bytes - before.bytes, applied.bytes as u64, "what is reported is what went over the socket");
    let observed = open().observe_family(many.family).unwrap();
    assert_eq!(model::compare(intent.model(many.family), &observed).to_string(), "", "among {services}");
    applied
}

#[test]
fn a_restart_brings_back_what_was_deleted_by_hand_and_nothing_else_while_connections_stay_open() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        let all = (1..=5)
            .flat_map(|number| [service(exposed(number))].into_iter().chain(slices(&scene, number, &["a1", "b0"])));
        node.hear(all);
        let vip = SocketAddr::new(cluster_ip(3, Family::V4), 80);
        let namespace = scene.asker(crate::scene::Asker::LocalPod).namespace();
        let every = Duration::from_millis(10);
        let sessions = Sessions::open(namespace, vip, 20, every, Duration::from_secs(5)).unwrap();

        assert_eq!(node.restart(&scene), Applied::default(), "nothing was changed, nothing is written");
        for (set, key, line) in by_hand(vip) {
            delete_element(&scene, set, &key);
            assert_ne!(node.difference(&scene), "", "{set} lacks an element");
            assert_eq!(repair(&scene, &node), line);
            assert_eq!(node.restart(&scene).messages, 1, "{set}");
            assert_eq!(node.difference(&scene), "", "{set}");
        }
        assert_eq!(node.restart(&scene), Applied::default());

        let before = sessions.report().exchanges;
        std::thread::sleep(every * 5);
        let report = sessions.close();
        assert_eq!(report.breaks, []);
        assert!(report.exchanges > before, "the connections still speak");
    });
}

/// Elements of a frontend: set, key (address . protocol . port . slot) and the step that brings it back.
fn by_hand(vip: SocketAddr) -> [(&'static str, Vec<u8>, &'static str); 3] {
    let IpAddr::V4(address) = vip.ip() else { panic!("IPv4 here") };
    let [high, low] = vip.port().to_be_bytes();
    let frontend = [&address.octets()[..], &[6, 0, 0, 0], &[high, low, 0, 0]].concat();
    let slot = [&frontend[..], &1u32.to_ne_bytes()].concat();
    [
        ("cluster-ips", address.octets().to_vec(), "add element ip maitred cluster-ips { 10.96.0.3 }\n"),
        ("frontends", frontend, "add element ip maitred frontends { 10.96.0.3 . tcp . 80 : 8000:2 }\n"),
        (
            "endpoints-3",
            slot,
            "add element ip maitred endpoints-3 { 10.96.0.3 . tcp . 80 . 0:1 : 10.244.1.2 . 8080 }\n",
        ),
    ]
}

/// What a restart would write, in IPv4.
fn repair(scene: &Scene, node: &Node) -> String {
    let mut socket = scene.lab.node(0).run(NfSocket::open).unwrap().unwrap();
    let (_, dumps) = socket.dump_all(&nft::requests(Family::V4)).unwrap();
    let mut image = nft::observe(Family::V4, &dumps);
    let change = model::Change::between(&image.model(), node.model(Family::V4));
    image.name_pools(node.model(Family::V4));
    nft::plan(&change, &image).to_string()
}

/// Deletes one element of `ip maitred`, as `nft delete element` would.
fn delete_element(scene: &Scene, set: &str, key: &[u8]) {
    const DELETE_ELEMENT: u16 = 14;
    let element = nest(1, &[nest(1, &[attribute(1, key)])]);
    let body = [text(1, "maitred"), text(2, set), nest(3, &[element])].concat();
    transact(scene, &[Message { kind: DELETE_ELEMENT, flags: 0, family: 2, body }]);
}
