use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Destination, Family, Frontend, Outcome, Protocol, Rule};

use crate::sample::{
    HOST, OUTSIDE, POD, Svc, config, here_and_there, intent, intent_of, node, node_event, service_gone, slice,
    slice_gone, svc, verdict, web,
};
use crate::{Config, Event, Intent};

const CLUSTER_IP: &str = "10.96.0.10:80";
const NODE_PORT: &str = "192.168.0.1:30080";

fn frontend(socket: &str, protocol: Protocol) -> Frontend {
    let socket: std::net::SocketAddr = socket.parse().unwrap();
    Frontend { destination: Destination::Address(socket.ip()), protocol, port: socket.port() }
}

fn told(intent: &Intent) -> Vec<String> {
    intent.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn s300_which_services_are_ours() {
    let label = "service.kubernetes.io/service-proxy-name";
    let named = || Config { service_proxy_name: Some("mine".to_owned()), ..config() };
    let served = "→ 10.1.0.5 10.1.1.6";
    let headless = web().with(|service| service.spec.cluster_ip = "None".to_owned());
    let listed_headless = web().with(|service| service.spec.cluster_ips = vec!["None".to_owned()]);
    let external_name = web().with(|service| service.spec.r#type = "ExternalName".to_owned());
    let table = [
        ("s300_no_label", config(), web(), served),
        ("s300_label", config(), web().label(label, "other"), "not ours"),
        ("s300_empty_label", config(), web().label(label, ""), "not ours"),
        ("s300_our_name", named(), web().label(label, "mine"), served),
        ("s300_another_name", named(), web().label(label, "other"), "not ours"),
        ("s300_no_name", named(), web(), "not ours"),
        ("s300_headless", config(), headless, "not ours"),
        ("s300_headless_list", config(), listed_headless, "not ours"),
        ("s301_external_name", config(), external_name, "not ours"),
        ("s301_no_cluster_ip", config(), web().with(|service| service.spec.cluster_ips.clear()), "not ours"),
    ];
    for (id, config, service, expected) in table {
        println!("case {id}");
        let intent = intent_of(config, [service.event(), here_and_there().event()]);
        assert_eq!(verdict(&intent, POD, CLUSTER_IP), expected, "{id}");
        let node_port = if expected == served { "→ 10.1.0.5* 10.1.1.6*" } else { "not ours" };
        assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), node_port, "{id}");
    }
}

#[test]
fn s300_labels_that_come_and_go_behave_as_delete_and_add() {
    let mut intent = intent([web().event(), here_and_there().event()]);
    intent.apply(web().label("service.kubernetes.io/service-proxy-name", "other").event());
    let change = &intent.take_changes()[0];
    assert_eq!(change.frontends.len(), 4);
    assert!(change.frontends.values().all(Option::is_none));
    intent.apply(web().event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");

    let headless = here_and_there().with(|slice| {
        slice.metadata.labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    });
    intent.apply(headless.event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "reject");
    intent.apply(here_and_there().event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");
}

#[test]
fn s302_a_slice_belongs_to_the_service_of_its_label_and_namespace() {
    let other = svc("other").ip("10.96.0.11").port("http", 80);
    let mut intent = intent([web().event(), other.event(), here_and_there().event()]);
    assert_eq!(verdict(&intent, POD, "10.96.0.11:80"), "reject");
    let moved = slice("web-1", "other").on("10.1.0.5 node-a");
    intent.apply(moved.event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "reject");
    assert_eq!(verdict(&intent, POD, "10.96.0.11:80"), "→ 10.1.0.5");
    let elsewhere = moved.with(|slice| slice.metadata.namespace = "elsewhere".to_owned());
    intent.apply(slice_gone("web-1"));
    intent.apply(elsewhere.event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, "10.96.0.11:80"), "reject");
}

#[test]
fn slices_may_come_before_their_service_and_outlive_it() {
    let mut intent = intent([here_and_there().event()]);
    assert_eq!(intent.model(Family::V4).frontends.len(), 0);
    intent.apply(web().event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");
    intent.apply(service_gone("web"));
    assert_eq!(intent.take_changes()[0].frontends.len(), 4);
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "not ours");
    intent.apply(web().event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");
}

#[test]
fn nothing_is_kept_of_a_service_that_is_gone_with_its_slices() {
    let mut intent = intent([web().event(), here_and_there().event()]);
    intent.apply(service_gone("web"));
    intent.apply(slice_gone("web-1"));
    intent.take_changes();
    assert!(intent.services.is_empty());
    assert!(intent.slice_owners.is_empty());
    assert_eq!(intent.sides[0].claims, super::Claims::default());
}

#[test]
fn s301_a_dual_stack_service_has_rules_in_both_families() {
    let dual = svc("web").ip("10.96.0.10").ip("fd96::10").port("http", 80).node_port(30080);
    let v6 = slice("web-2", "web").v6().on("fd01::5 node-a");
    let intent = intent([dual.event(), here_and_there().event(), v6.event()]);
    assert_eq!(verdict(&intent, "fd01::9%veth1", "[fd96::10]:80"), "→ fd01::5");
    assert_eq!(verdict(&intent, "2001:db8::9%eth0", "[fd00::1]:30080"), "→ fd01::5*");
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");
}

#[test]
fn s301_a_single_stack_service_has_no_node_port_in_the_other_family() {
    let intent = intent([web().event(), here_and_there().event()]);
    assert_eq!(verdict(&intent, "2001:db8::9%eth0", "[fd00::1]:30080"), "not ours");
    assert!(intent.model(Family::V6).frontends.is_empty());
}

#[test]
fn s317_the_oldest_service_has_a_contested_frontend() {
    let claim = |name: &str| svc(name).ip(if name == "a" { "10.96.0.1" } else { "10.96.0.2" }).port("http", 80);
    let both = |a: Svc, b: Svc| [a.external("198.51.100.1"), b.external("198.51.100.1")];
    let uid = |service: Svc, uid: &str| {
        let uid = uid.to_owned();
        service.with(|service| service.metadata.uid = uid)
    };
    let unborn = |service: Svc| service.with(|service| service.metadata.creation_timestamp = None);
    let table = [
        ("s317_older_a", both(claim("a").born(1), claim("b").born(2)), "→ 10.1.0.1*"),
        ("s317_older_b", both(claim("a").born(2), claim("b").born(1)), "→ 10.1.0.2*"),
        ("s317_lower_uid_a", both(uid(claim("a"), "1"), uid(claim("b"), "2")), "→ 10.1.0.1*"),
        ("s317_lower_uid_b", both(uid(claim("a"), "2"), uid(claim("b"), "1")), "→ 10.1.0.2*"),
        ("s317_age_before_uid", both(uid(claim("a").born(2), "1"), uid(claim("b").born(1), "2")), "→ 10.1.0.2*"),
        ("s317_without_age_is_youngest", both(unborn(claim("a")), claim("b").born(31)), "→ 10.1.0.2*"),
    ];
    for (id, [a, b], expected) in table {
        println!("case {id}");
        let slices = [slice("a-1", "a").on("10.1.0.1 node-a"), slice("b-1", "b").on("10.1.0.2 node-a")];
        let events = [a.event(), b.event(), slices[0].event(), slices[1].event()];
        for events in [events.to_vec(), events.iter().rev().cloned().collect()] {
            let intent = intent(events);
            assert_eq!(verdict(&intent, OUTSIDE, "198.51.100.1:80"), expected, "{id}");
            let (winner, loser) = if expected.contains("0.1*") { ("a", "b") } else { ("b", "a") };
            let problem = format!(
                "Service default/{loser} does not get 198.51.100.1:80/tcp: the older Service default/{winner} has it"
            );
            assert_eq!(told(&intent), [problem], "{id}");
        }
    }
}

#[test]
fn s317_frontends_of_all_kinds_may_be_contested() {
    let other = || svc("other").ip("10.96.0.11").port("http", 80).born(2);
    let (owned, older) = ("it is the cluster IP of Service default/web", "the older Service default/web has it");
    let table = [
        ("s317_cluster_ip_and_external_ip", other().external("10.96.0.10"), "10.96.0.10:80/tcp", owned),
        ("s317_cluster_ip_twice", svc("other").ip("10.96.0.10").port("http", 80).born(2), "10.96.0.10:80/tcp", owned),
        ("s317_load_balancer_ip_and_external_ip", other().external("198.51.100.2"), "198.51.100.2:80/tcp", older),
        ("s317_external_ip_and_load_balancer_ip", other().ingress("198.51.100.1"), "198.51.100.1:80/tcp", older),
        ("s317_node_port", other().node_port(30080), "node:30080/tcp", older),
    ];
    for (id, other, contested, why) in table {
        println!("case {id}");
        let intent = intent([other.event(), web().born(1).event()]);
        assert_eq!(told(&intent), [format!("Service default/other does not get {contested}: {why}")], "{id}");
    }
}

#[test]
fn s317_no_age_takes_another_services_cluster_ip() {
    let thief = |name: &str| svc(name).ip("10.96.0.11").port("http", 80).born(1);
    let table = [
        ("s317_as_external_ip", thief("thief").external("10.96.0.10")),
        ("s317_as_load_balancer_ip", thief("thief").ingress("10.96.0.10")),
    ];
    for (id, thief) in table {
        println!("case {id}");
        let owner = web().born(2);
        let slices = [here_and_there(), slice("thief-1", "thief").on("10.1.0.9 node-a")];
        let events = [thief.event(), slices[1].event(), owner.event(), slices[0].event()];
        for events in [events.to_vec(), events.iter().rev().cloned().collect()] {
            let mut intent = intent(events);
            assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6", "{id}");
            let problem =
                "Service default/thief does not get 10.96.0.10:80/tcp: it is the cluster IP of Service default/web";
            assert_eq!(told(&intent), [problem], "{id}");
            // Where nobody has a cluster IP any more, it is an external IP like any other.
            intent.apply(service_gone("web"));
            intent.take_changes();
            assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.9*", "{id}");
        }
    }
}

#[test]
fn s324_a_pool_that_only_changes_its_name_is_a_change_where_clients_are_remembered() {
    let renamed = |service: Svc| service.with(|service| service.spec.ports[0].name = "web".to_owned());
    let ports = |slice: crate::sample::Slice| {
        let port = api::EndpointPort { name: Some("web".to_owned()), port: Some(8080), ..Default::default() };
        slice.with(|slice| slice.ports.push(port))
    };
    let plain = svc("web").ip("10.96.0.10").port("http", 80);
    for (service, changed) in [(plain.clone(), 0), (plain.affinity(None), 1)] {
        let mut intent = intent([service.event(), ports(here_and_there()).event()]);
        intent.apply(renamed(service).event());
        let [change, _] = intent.take_changes();
        assert_eq!(change.frontends.len(), changed);
        let rules = intent.model(Family::V4).frontends.values();
        let port = |rule: &Rule| match &rule.near {
            Outcome::Pool(pool) => pool.name.port.clone(),
            other => other.to_string(),
        };
        assert_eq!(rules.map(port).collect::<Vec<_>>(), ["web"], "the Model has the new name in any case");
    }
}

#[test]
fn s356_a_health_check_port_is_told_of_as_long_as_there_is_one() {
    let with_port = |number| web().with(|service| service.spec.health_check_node_port = number);
    let mut intent = intent([with_port(31000).event()]);
    let text = "health check node port 31000 of Service default/web is not served yet: a load balancer that asks there \
                takes every node for unhealthy";
    assert_eq!(told(&intent), [text]);
    intent.apply(with_port(0).event());
    intent.take_changes();
    assert_eq!(told(&intent), [""; 0]);
}

#[test]
fn s322_only_a_detector_by_the_nodes_ranges_lacks_them() {
    let without = || {
        let mut node = node();
        node.spec.pod_cidrs.clear();
        Event::Node(Arc::new(node))
    };
    let by_node = Config { detector: crate::Detector::NodeCidr, ..config() };
    let table = [
        ("s322_before_the_node", by_node.clone(), None, true),
        ("s322_node_without_ranges", by_node.clone(), Some(without()), true),
        ("s322_node_with_ranges", by_node.clone(), Some(node_event()), false),
        ("s322_no_detector", Config { detector: crate::Detector::None, ..config() }, Some(without()), false),
    ];
    for (id, config, node, lacks) in table {
        println!("case {id}");
        let mut intent = Intent::new(config);
        node.into_iter().for_each(|node| intent.apply(node));
        assert_eq!(intent.lacks_pod_ranges(), lacks, "{id}");
    }
}

#[test]
fn s317_another_port_or_protocol_is_no_conflict() {
    let other = || svc("other").ip("10.96.0.11");
    let port = other().port("http", 81).external("198.51.100.1");
    let protocol = other().port("http", 80).node_port(30080).udp().external("198.51.100.1");
    assert_eq!(told(&intent([web().event(), port.event()])), [""; 0]);
    assert_eq!(told(&intent([web().event(), protocol.event()])), [""; 0]);
}

#[test]
fn s317_when_the_winner_goes_the_losers_rule_appears() {
    let winner = svc("a").ip("10.96.0.1").port("http", 80).external("198.51.100.1").born(1);
    let loser = svc("b").ip("10.96.0.2").port("http", 80).external("198.51.100.1").born(2);
    let mut intent = intent([
        winner.event(),
        loser.event(),
        slice("a-1", "a").on("10.1.0.1 node-a").event(),
        slice("b-1", "b").on("10.1.0.2 node-a").event(),
    ]);
    let contested = frontend("198.51.100.1:80", Protocol::Tcp);
    intent.apply(service_gone("a"));
    let change = intent.take_changes()[0].clone();
    let touched: Vec<Frontend> = change.frontends.keys().copied().collect();
    assert_eq!(touched, [frontend("10.96.0.1:80", Protocol::Tcp), contested]);
    assert!(change.frontends[&contested].is_some());
    assert_eq!(verdict(&intent, OUTSIDE, "198.51.100.1:80"), "→ 10.1.0.2*");
    assert_eq!(told(&intent), [""; 0]);

    intent.apply(winner.event());
    intent.take_changes();
    assert_eq!(verdict(&intent, OUTSIDE, "198.51.100.1:80"), "→ 10.1.0.1*");
}

#[test]
fn s317_an_endpoint_of_the_loser_does_not_touch_the_winners_rule() {
    let winner = svc("a").ip("10.96.0.1").port("http", 80).external("198.51.100.1").born(1);
    let loser = svc("b").ip("10.96.0.2").port("http", 80).external("198.51.100.1").born(2);
    let mut intent = intent([winner.event(), loser.event(), slice("a-1", "a").on("10.1.0.1 node-a").event()]);
    intent.apply(slice("b-1", "b").on("10.1.0.2 node-a").event());
    let change = intent.take_changes()[0].clone();
    assert_eq!(change.frontends.into_keys().collect::<Vec<_>>(), [frontend("10.96.0.2:80", Protocol::Tcp)]);
}

#[test]
fn one_changed_slice_changes_the_frontends_of_its_service_only() {
    let many = (1..=200u8).flat_map(|number| {
        let name = format!("s{number}");
        let service = svc(&name).ip(&format!("10.96.1.{number}")).port("http", 80);
        [service.event(), slice(&name, &name).on("10.1.0.5 node-a").event()]
    });
    let mut intent = intent(many);
    intent.apply(slice("s7", "s7").on("10.1.0.6 node-a").event());
    assert_eq!(intent.touched.len(), 1);
    let [v4, v6] = intent.take_changes();
    assert_eq!(v4.frontends.into_keys().collect::<Vec<_>>(), [frontend("10.96.1.7:80", Protocol::Tcp)]);
    assert!(v6.is_empty());
}

#[test]
fn equal_objects_again_are_no_change_but_provenance_follows() {
    let mut intent = intent([web().event(), here_and_there().event()]);
    intent.apply(node_event());
    intent.apply(here_and_there().event());
    intent.apply(web().with(|service| service.metadata.resource_version = "8".to_owned()).event());
    let changes = intent.take_changes();
    assert!(changes.iter().all(model::Change::is_empty), "{changes:?}");
    let rule = &intent.model(Family::V4).frontends[&frontend(CLUSTER_IP, Protocol::Tcp)];
    assert_eq!(rule.provenance.to_string(), "Service default/web spec.clusterIPs[0] @8");
}

#[test]
fn a_node_that_only_reports_touches_no_service() {
    let mut intent = intent([web().event(), here_and_there().event()]);
    let mut reported = node();
    reported.metadata.resource_version = "99".to_owned();
    intent.apply(Event::Node(Arc::new(reported)));
    intent.apply(Event::HostAddresses(vec!["192.168.0.1".parse().unwrap()]));
    assert!(intent.touched.is_empty());
}

#[test]
fn s362_the_own_nodes_zone_ranges_and_addresses_take_effect_later_too() {
    let hinted = slice("web-1", "web").on("10.1.0.5 node-a ready zone=west").on("10.1.1.6 node-b ready zone=east");
    let mut intent = Intent::new(config());
    intent.apply(web().event());
    intent.apply(hinted.event());
    intent.take_changes();
    assert_eq!(verdict(&intent, POD, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");
    assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), "not ours");

    let mut stranger = node();
    stranger.metadata.name = "node-b".to_owned();
    intent.apply(Event::Node(Arc::new(stranger)));
    assert!(intent.take_changes().iter().all(model::Change::is_empty));

    intent.apply(node_event());
    intent.take_changes();
    assert_eq!(verdict(&intent, OUTSIDE, CLUSTER_IP), "→ 10.1.1.6*");
    assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), "→ 10.1.1.6*");

    intent.apply(Event::NodeGone { name: "node-a".to_owned() });
    intent.take_changes();
    assert_eq!(verdict(&intent, OUTSIDE, CLUSTER_IP), "→ 10.1.0.5 10.1.1.6");
    assert_eq!(verdict(&intent, HOST, NODE_PORT), "not ours");
}

#[test]
fn s319_node_addresses_follow_the_host() {
    let config = Config { node_port_addresses: crate::NodePortAddresses::All, ..config() };
    let mut intent = intent_of(config, [web().event(), here_and_there().event()]);
    assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), "not ours");
    intent.apply(Event::HostAddresses(vec!["192.168.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()]));
    let change = &intent.take_changes()[0];
    assert_eq!(change.node_addresses, Some(BTreeSet::from(["192.168.0.1".parse().unwrap()])));
    assert!(change.frontends.is_empty());
    assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), "→ 10.1.0.5* 10.1.1.6*");
    assert_eq!(verdict(&intent, HOST, "127.0.0.1:30080"), "not ours");
}

#[test]
fn s341_service_ranges_come_and_go() {
    let mut intent = intent([crate::sample::service_cidr("a", &["10.96.0.0/16"])]);
    assert_eq!(verdict(&intent, POD, "10.96.0.1:80"), "drop");
    intent.apply(Event::ServiceCidrGone { name: "a".to_owned() });
    assert_eq!(intent.take_changes()[0].service_ranges, Some(BTreeSet::new()));
    assert_eq!(verdict(&intent, POD, "10.96.0.1:80"), "not ours");
}

#[test]
fn s330_serving_ignores_policy_topology_and_termination() {
    let dns = svc("dns").ip("10.96.0.53").port("dns", 53).udp().node_port(30053).policies("Local", "Local");
    let endpoints = slice("dns-1", "dns")
        .with(|slice| {
            slice.ports[0].name = Some("dns".to_owned());
            slice.ports[0].protocol = api::Protocol::Udp;
        })
        .on("10.1.0.1 node-a ready zone=west")
        .on("10.1.0.2 node-b ready zone=east")
        .on("10.1.0.3 node-b draining")
        .on("10.1.0.4 node-b down")
        .on("10.1.0.5 node-b published");
    let intent = intent([dns.event(), endpoints.event()]);
    let cluster_ip = frontend("10.96.0.53:53", Protocol::Udp);
    let node_port = Frontend { destination: Destination::Node, protocol: Protocol::Udp, port: 30053 };
    let table = [
        ("s330_here", "10.1.0.1:8080", true),
        ("s330_elsewhere", "10.1.0.2:8080", true),
        ("s330_terminating", "10.1.0.3:8080", true),
        ("s330_not_serving", "10.1.0.4:8080", false),
        ("s330_published_is_in_the_pool", "10.1.0.5:8080", true),
        ("s330_gone", "10.1.0.9:8080", false),
        ("s330_another_port", "10.1.0.1:8081", false),
        ("s330_another_family", "[fd01::1]:8080", false),
    ];
    for (id, endpoint, expected) in table {
        println!("case {id}");
        for frontend in [cluster_ip, node_port] {
            let serving = intent.serving(Family::V4, &frontend);
            assert_eq!(serving.contains(&endpoint.parse().unwrap()), expected, "{id} {frontend}");
        }
    }
    let unknown = frontend("10.96.0.54:53", Protocol::Udp);
    assert!(intent.serving(Family::V4, &unknown).is_empty());
    assert_eq!(intent.serving(Family::V4, &cluster_ip).len(), 4);
}

#[test]
fn s356_local_ready_counts_addresses_on_this_node() {
    let admin = slice("web-2", "web").with(|slice| slice.ports[0].name = Some("admin".to_owned()));
    let intent = intent([
        web().port("admin", 81).event(),
        slice("web-1", "web").on("10.1.0.1 node-a").on("10.1.0.2 node-b").on("10.1.0.3 node-a draining").event(),
        admin.on("10.1.0.1 node-a").on("10.1.0.4 node-a").event(),
    ]);
    assert_eq!(intent.local_ready("default", "web"), 2);
    assert_eq!(intent.local_ready("default", "nobody"), 0);
}

#[test]
fn s301_problems_of_objects_come_and_go_with_them() {
    let broken = web().external("198.51.100");
    let mut intent = intent([broken.event(), slice("web-1", "web").on("10.1 node-a").event()]);
    let expected = [
        "EndpointSlice default/web-1: endpoints[0].addresses[0] is ignored: \"10.1\" is no address or range",
        "Service default/web: spec.externalIPs[1] is ignored: \"198.51.100\" is no address or range",
    ];
    assert_eq!(told(&intent), expected);
    intent.apply(web().event());
    intent.apply(here_and_there().event());
    intent.take_changes();
    assert_eq!(told(&intent), [""; 0]);
}
