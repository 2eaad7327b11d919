//! Objects, a packet, and what becomes of it. `*` marks a rewritten source (see `sample`).

use std::sync::Arc;

use model::{Affinity, Destination, Family, Frontend, Masquerade, Outcome, Protocol, Role, Rule, Sources};

use crate::sample::{
    HOST, OUTSIDE, POD, config, here_and_there, intent, intent_of, service_cidr, slice, svc, verdict, web,
};
use crate::{Config, Detector, Intent};

const CLUSTER_IP: &str = "10.96.0.10:80";
const EXTERNAL_IP: &str = "198.51.100.1:80";
const LOAD_BALANCER_IP: &str = "198.51.100.2:80";
const NODE_PORT: &str = "192.168.0.1:30080";

/// The table of section 3.3: every frontend, both policies, endpoints on this node, elsewhere or nowhere, each client.
#[test]
fn s312_s313_s314_every_cell_of_the_table_of_frontends() {
    let both = || here_and_there();
    let there = || slice("web-1", "web").on("10.1.1.6 node-b");
    let none = || slice("web-1", "web");
    let table = [
        // id, endpoints, internal policy, external policy, client, at the cluster IP, at each external frontend
        ("s314_pod", both(), "Cluster", "Cluster", POD, "→ 10.1.0.5 10.1.1.6", "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_host", both(), "Cluster", "Cluster", HOST, "→ 10.1.0.5* 10.1.1.6*", "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_outside", both(), "Cluster", "Cluster", OUTSIDE, "→ 10.1.0.5* 10.1.1.6*", "→ 10.1.0.5* 10.1.1.6*"),
        ("s313a_pod", both(), "Cluster", "Local", POD, "→ 10.1.0.5 10.1.1.6", "→ 10.1.0.5 10.1.1.6"),
        ("s313b_host", both(), "Cluster", "Local", HOST, "→ 10.1.0.5* 10.1.1.6*", "→ 10.1.0.5* 10.1.1.6*"),
        ("s313c_outside", both(), "Cluster", "Local", OUTSIDE, "→ 10.1.0.5* 10.1.1.6*", "→ 10.1.0.5"),
        ("s314_itp_local_pod", both(), "Local", "Cluster", POD, "→ 10.1.0.5", "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_itp_local_host", both(), "Local", "Cluster", HOST, "→ 10.1.0.5*", "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_itp_local_outside", both(), "Local", "Cluster", OUTSIDE, "→ 10.1.0.5*", "→ 10.1.0.5* 10.1.1.6*"),
        ("s313a_itp_is_not_asked", both(), "Local", "Local", POD, "→ 10.1.0.5", "→ 10.1.0.5 10.1.1.6"),
        ("s313b_itp_is_not_asked", both(), "Local", "Local", HOST, "→ 10.1.0.5*", "→ 10.1.0.5* 10.1.1.6*"),
        ("s313c_itp_is_not_asked", both(), "Local", "Local", OUTSIDE, "→ 10.1.0.5*", "→ 10.1.0.5"),
        ("s312_there", there(), "Cluster", "Cluster", OUTSIDE, "→ 10.1.1.6*", "→ 10.1.1.6*"),
        ("s313a_none_here", there(), "Cluster", "Local", POD, "→ 10.1.1.6", "→ 10.1.1.6"),
        ("s313b_none_here", there(), "Cluster", "Local", HOST, "→ 10.1.1.6*", "→ 10.1.1.6*"),
        ("s313c_none_here", there(), "Cluster", "Local", OUTSIDE, "→ 10.1.1.6*", "drop"),
        ("s311_itp_none_here_pod", there(), "Local", "Cluster", POD, "drop", "→ 10.1.1.6*"),
        ("s311_itp_none_here_host", there(), "Local", "Cluster", HOST, "drop", "→ 10.1.1.6*"),
        ("s311_itp_none_here_outside", there(), "Local", "Cluster", OUTSIDE, "drop", "→ 10.1.1.6*"),
        ("s313a_both_local_none_here", there(), "Local", "Local", POD, "drop", "→ 10.1.1.6"),
        ("s313b_both_local_none_here", there(), "Local", "Local", HOST, "drop", "→ 10.1.1.6*"),
        ("s313c_both_local_none_here", there(), "Local", "Local", OUTSIDE, "drop", "drop"),
        ("s311_none_pod", none(), "Cluster", "Cluster", POD, "reject", "reject"),
        ("s311_none_outside", none(), "Cluster", "Cluster", OUTSIDE, "reject", "reject"),
        ("s311_none_etp_local_pod", none(), "Cluster", "Local", POD, "reject", "reject"),
        ("s311_none_etp_local_host", none(), "Cluster", "Local", HOST, "reject", "reject"),
        ("s311_none_etp_local_outside", none(), "Cluster", "Local", OUTSIDE, "reject", "reject"),
        ("s311_none_itp_local", none(), "Local", "Cluster", POD, "reject", "reject"),
        ("s311_none_both_local_host", none(), "Local", "Local", HOST, "reject", "reject"),
        ("s311_none_both_local_outside", none(), "Local", "Local", OUTSIDE, "reject", "reject"),
    ];
    for (id, endpoints, internal, external, client, at_cluster_ip, outside) in table {
        println!("case {id}");
        let intent = intent([web().policies(internal, external).event(), endpoints.event()]);
        assert_eq!(verdict(&intent, client, CLUSTER_IP), at_cluster_ip, "{id}: cluster IP");
        for frontend in [EXTERNAL_IP, LOAD_BALANCER_IP, NODE_PORT] {
            assert_eq!(verdict(&intent, client, frontend), outside, "{id}: {frontend}");
        }
    }
}

#[test]
fn s309_itp_local_alone_still_knows_of_endpoints_elsewhere() {
    let only_cluster_ip = svc("web").ip("10.96.0.10").port("http", 80).policies("Local", "");
    let table = [
        ("s309_ready_elsewhere", "10.1.1.6 node-b", "drop"),
        ("s309_draining_elsewhere", "10.1.1.6 node-b draining", "drop"),
        ("s309_down_elsewhere", "10.1.1.6 node-b down", "reject"),
    ];
    for (id, endpoint, expected) in table {
        println!("case {id}");
        let intent = intent([only_cluster_ip.event(), slice("web-1", "web").on(endpoint).event()]);
        assert_eq!(verdict(&intent, POD, CLUSTER_IP), expected, "{id}");
    }
}

#[test]
fn s308_topology_holds_for_near_clients_under_etp_local_and_never_for_the_local_set() {
    let hinted = slice("web-1", "web").on("10.1.0.5 node-a ready zone=west").on("10.1.1.6 node-b ready zone=east");
    let intent = intent([web().policies("Cluster", "Local").event(), hinted.event()]);
    assert_eq!(verdict(&intent, POD, NODE_PORT), "→ 10.1.1.6");
    assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), "→ 10.1.0.5");
}

#[test]
fn s307_a_draining_endpoint_here_keeps_serving_under_etp_local() {
    let draining = slice("web-1", "web").on("10.1.0.5 node-a draining").on("10.1.1.6 node-b");
    let intent = intent([web().policies("Cluster", "Local").event(), draining.event()]);
    assert_eq!(verdict(&intent, OUTSIDE, NODE_PORT), "→ 10.1.0.5");
    assert_eq!(verdict(&intent, POD, NODE_PORT), "→ 10.1.1.6");
}

#[test]
fn s314_masquerade_of_the_cluster_ip_follows_the_settings() {
    let with = |detector, masquerade_all| Config { detector, masquerade_all, ..config() };
    let everywhere = Detector::ClusterCidr(vec!["10.1.0.0/16".parse().unwrap()]);
    let table = [
        ("s314_all_pod", with(Detector::NodeCidr, true), POD, "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_all_without_detector", with(Detector::None, true), OUTSIDE, "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_no_detector_pod", with(Detector::None, false), POD, "→ 10.1.0.5 10.1.1.6"),
        ("s314_no_detector_host", with(Detector::None, false), HOST, "→ 10.1.0.5 10.1.1.6"),
        ("s314_no_detector_outside", with(Detector::None, false), OUTSIDE, "→ 10.1.0.5 10.1.1.6"),
        ("s314_interface_pod", with(Detector::InterfacePrefix("veth".into()), false), POD, "→ 10.1.0.5 10.1.1.6"),
        ("s314_interface_outside", with(Detector::Interface("cni0".into()), false), OUTSIDE, "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_another_nodes_pod", with(everywhere, false), "10.1.1.9%eth0", "→ 10.1.0.5 10.1.1.6"),
    ];
    for (id, config, client, expected) in table {
        println!("case {id}");
        let intent = intent_of(config, [web().event(), here_and_there().event()]);
        assert_eq!(verdict(&intent, client, CLUSTER_IP), expected, "{id}");
    }
}

#[test]
fn s313_without_a_detector_pods_are_outside_and_masquerade_all_is_for_cluster_ips() {
    let objects = || [web().policies("Cluster", "Local").event(), here_and_there().event()];
    let without = intent_of(Config { detector: Detector::None, ..config() }, objects());
    assert_eq!(verdict(&without, POD, NODE_PORT), "→ 10.1.0.5");
    assert_eq!(verdict(&without, HOST, NODE_PORT), "→ 10.1.0.5* 10.1.1.6*");
    let all = intent_of(Config { masquerade_all: true, ..config() }, objects());
    assert_eq!(verdict(&all, POD, NODE_PORT), "→ 10.1.0.5 10.1.1.6");
    assert_eq!(verdict(&all, OUTSIDE, NODE_PORT), "→ 10.1.0.5");
}

#[test]
fn s315_an_endpoint_that_reaches_itself_is_masqueraded() {
    let intent = intent([web().policies("Cluster", "Local").event(), here_and_there().event()]);
    for frontend in [CLUSTER_IP, EXTERNAL_IP, LOAD_BALANCER_IP, NODE_PORT] {
        assert_eq!(verdict(&intent, "10.1.0.5%veth0", frontend), "→ 10.1.0.5* 10.1.1.6", "{frontend}");
    }
}

#[test]
fn s316_source_ranges_guard_load_balancer_addresses_only() {
    let guarded = web().range("203.0.113.0/24").policies("Cluster", "Cluster");
    let open = "→ 10.1.0.5* 10.1.1.6*";
    let stranger = "203.0.114.9%eth0";
    let table = [
        ("s316_in_range", guarded.clone(), OUTSIDE, LOAD_BALANCER_IP, open),
        ("s316_out_of_range", guarded.clone(), stranger, LOAD_BALANCER_IP, "drop"),
        ("s316_pods_too", guarded.clone(), POD, LOAD_BALANCER_IP, "drop"),
        ("s316_the_host_too", guarded.clone(), HOST, LOAD_BALANCER_IP, "drop"),
        ("s316_not_the_external_ip", guarded.clone(), stranger, EXTERNAL_IP, open),
        ("s316_not_the_node_port", guarded.clone(), stranger, NODE_PORT, open),
        ("s316_not_the_cluster_ip", guarded.clone(), stranger, CLUSTER_IP, open),
        ("s316_everybody", guarded.clone().range("0.0.0.0/0"), stranger, LOAD_BALANCER_IP, open),
        ("s316_no_range_of_the_family", web().range("2001:db8::/32"), stranger, LOAD_BALANCER_IP, open),
        ("s316_spaces", web().range(" 203.0.113.0/24 "), stranger, LOAD_BALANCER_IP, "drop"),
        ("s316_vip_as_source", guarded.clone(), "198.51.100.2", LOAD_BALANCER_IP, "drop"),
        ("s316_vip_as_source_node", guarded.range("192.168.0.0/24"), "198.51.100.2", LOAD_BALANCER_IP, open),
    ];
    for (id, service, client, frontend, expected) in table {
        println!("case {id}");
        let intent = intent([service.event(), here_and_there().event()]);
        assert_eq!(verdict(&intent, client, frontend), expected, "{id}");
    }
}

#[test]
fn s316_ranges_that_hold_everybody_are_no_guard() {
    let table = [
        ("s316_no_range", web(), false),
        ("s316_range", web().range("203.0.113.0/24"), true),
        ("s316_everybody", web().range("203.0.113.0/24").range("0.0.0.0/0"), false),
        ("s316_everybody_of_another_family", web().range("203.0.113.0/24").range("::/0"), true),
        ("s316_only_another_family", web().range("::/0"), false),
    ];
    for (id, service, guarded) in table {
        println!("case {id}");
        let intent = intent([service.event()]);
        assert_eq!(rule_at(&intent, LOAD_BALANCER_IP).sources != Sources::Any, guarded, "{id}");
        for frontend in [CLUSTER_IP, EXTERNAL_IP] {
            assert_eq!(rule_at(&intent, frontend).sources, Sources::Any, "{id}: {frontend}");
        }
    }
}

#[test]
fn s129_the_annotation_counts_only_while_the_field_is_empty() {
    let annotated = |service: crate::sample::Svc| {
        service.with(|service| {
            let key = "service.beta.kubernetes.io/load-balancer-source-ranges".to_owned();
            service.metadata.annotations.insert(key, "203.0.113.0/24, 192.0.2.0/24".to_owned());
        })
    };
    let alone = intent([annotated(web()).event(), here_and_there().event()]);
    assert_eq!(verdict(&alone, OUTSIDE, LOAD_BALANCER_IP), "→ 10.1.0.5* 10.1.1.6*");
    assert_eq!(verdict(&alone, "192.0.2.1%eth0", LOAD_BALANCER_IP), "→ 10.1.0.5* 10.1.1.6*");
    assert_eq!(verdict(&alone, POD, LOAD_BALANCER_IP), "drop");
    let beside = intent([annotated(web().range("10.1.0.0/24")).event(), here_and_there().event()]);
    assert_eq!(verdict(&beside, OUTSIDE, LOAD_BALANCER_IP), "drop");
}

#[test]
fn s343_the_guard_speaks_before_no_endpoint() {
    let guarded = web().range("203.0.113.0/24");
    let table = [
        ("s343_none_in_range", "Cluster", slice("web-1", "web"), OUTSIDE, "reject"),
        ("s343_none_out_of_range", "Cluster", slice("web-1", "web"), "203.0.114.9%eth0", "drop"),
        ("s343_none_here_pod_out_of_range", "Local", slice("web-1", "web").on("10.1.1.6 node-b"), POD, "drop"),
        ("s343_none_here_in_range", "Local", slice("web-1", "web").on("10.1.1.6 node-b"), OUTSIDE, "drop"),
    ];
    for (id, policy, endpoints, client, expected) in table {
        println!("case {id}");
        let intent = intent([guarded.clone().policies("Cluster", policy).event(), endpoints.event()]);
        assert_eq!(verdict(&intent, client, LOAD_BALANCER_IP), expected, "{id}");
    }
}

#[test]
fn s341_what_no_service_has_does_not_leave_the_service_ranges() {
    let ranges = service_cidr("kubernetes", &["10.96.0.0/16", "fd96::/112"]);
    let more = service_cidr("more", &["10.97.0.0/16"]);
    let dual = svc("web").ip("10.96.0.10").ip("fd96::10").port("http", 80);
    let intent = intent([ranges, more, dual.event(), svc("far").ip("10.200.0.1").port("", 1).event()]);
    let table = [
        ("s341_unused_port", "10.96.0.10:81", "reject"),
        ("s341_unused_protocol", "10.96.0.10:80/udp", "reject"),
        ("s341_unused_port_v6", "[fd96::10]:81", "reject"),
        ("s341_unused_port_outside_the_ranges", "10.200.0.1:81", "reject"),
        ("s341_unassigned", "10.96.0.11:80", "drop"),
        ("s341_unassigned_second_range", "10.97.3.4:80", "drop"),
        ("s341_unassigned_v6", "[fd96::11]:80", "drop"),
        ("s341_elsewhere", "10.98.0.1:80", "not ours"),
        ("s341_elsewhere_v6", "[fd97::1]:80", "not ours"),
    ];
    for (id, to, expected) in table {
        println!("case {id}");
        for client in [POD, HOST, OUTSIDE] {
            assert_eq!(verdict(&intent, client, to), expected, "{id} from {client}");
        }
    }
}

#[test]
fn s301_ingresses_in_mode_proxy_and_names_are_not_programmed() {
    let mode = |mode: Option<&str>| {
        let mode = mode.map(str::to_owned);
        web().with(|service| service.status.load_balancer.ingress[0].ip_mode = mode)
    };
    let name = web().with(|service| {
        service.status.load_balancer.ingress[0].ip.clear();
        service.status.load_balancer.ingress[0].hostname = "lb.example".to_owned();
    });
    let table = [
        ("s301_no_mode", mode(None), "→ 10.1.0.5* 10.1.1.6*"),
        ("s301_vip", mode(Some("VIP")), "→ 10.1.0.5* 10.1.1.6*"),
        ("s301_proxy", mode(Some("Proxy")), "not ours"),
        ("s301_name", name, "not ours"),
    ];
    for (id, service, expected) in table {
        println!("case {id}");
        let intent = intent([service.event(), here_and_there().event()]);
        assert_eq!(verdict(&intent, OUTSIDE, LOAD_BALANCER_IP), expected, "{id}");
        assert_eq!(verdict(&intent, OUTSIDE, EXTERNAL_IP), "→ 10.1.0.5* 10.1.1.6*", "{id}");
    }
}

#[test]
fn s306_each_external_frontend_alone_makes_etp_local_count() {
    let bare = || svc("web").ip("10.96.0.10").port("http", 80).policies("Cluster", "Local");
    let table = [
        ("s306_external_ip", bare().external("198.51.100.1"), EXTERNAL_IP),
        ("s306_load_balancer_ip", bare().ingress("198.51.100.2"), LOAD_BALANCER_IP),
        ("s306_node_port", bare().node_port(30080), NODE_PORT),
    ];
    for (id, service, frontend) in table {
        println!("case {id}");
        let intent = intent([service.event(), here_and_there().event()]);
        assert_eq!(verdict(&intent, OUTSIDE, frontend), "→ 10.1.0.5", "{id}");
        assert_eq!(verdict(&intent, POD, frontend), "→ 10.1.0.5 10.1.1.6", "{id}");
    }
}

#[test]
fn s324_affinity_is_on_every_frontend_and_has_a_default() {
    let table = [
        ("s324_timeout", web().affinity(Some(60)), Some(60)),
        ("s111_default", web().affinity(None), Some(10_800)),
        ("s324_none", web(), None),
        ("s324_no_config", web().with(|service| service.spec.session_affinity = "ClientIP".to_owned()), Some(10_800)),
    ];
    for (id, service, timeout_s) in table {
        println!("case {id}");
        let intent = intent([service.event(), here_and_there().event()]);
        let rules = &intent.model(Family::V4).frontends;
        assert_eq!(rules.len(), 4, "{id}");
        for (frontend, rule) in rules {
            assert_eq!(rule.affinity, timeout_s.map(|timeout_s| Affinity { timeout_s }), "{id}: {frontend}");
        }
    }
}

#[test]
fn s324_frontends_of_a_port_share_their_pools_and_ports_do_not() {
    let two_ports = web().affinity(None).policies("Local", "Local").port("admin", 81).node_port(30081);
    let admin =
        slice("web-2", "web").with(|slice| slice.ports[0].name = Some("admin".to_owned())).on("10.1.0.5 node-a");
    let intent = intent([two_ports.event(), here_and_there().event(), admin.event()]);
    let pools = |port: u16, node_port: u16| {
        let rules = intent.model(Family::V4).frontends.iter();
        let of_port = rules.filter(move |(frontend, _)| [port, node_port].contains(&frontend.port));
        let outcomes = of_port.flat_map(|(_, rule)| [&rule.near, &rule.far]);
        let mut pools: Vec<_> = outcomes
            .map(|outcome| match outcome {
                Outcome::Pool(pool) => (pool.name.to_string(), Arc::as_ptr(&pool.endpoints).addr()),
                other => panic!("{other:?}"),
            })
            .collect();
        pools.sort();
        pools.dedup();
        pools.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(pools(80, 30080), ["Cluster pool of default/web:http/tcp", "Local pool of default/web:http/tcp"]);
    assert_eq!(pools(81, 30081), ["Cluster pool of default/web:admin/tcp", "Local pool of default/web:admin/tcp"]);
}

#[test]
fn s326_a_change_of_affinity_is_a_change_of_every_frontend() {
    let mut intent = intent([web().event(), here_and_there().event()]);
    intent.apply(web().affinity(Some(60)).event());
    assert_eq!(intent.take_changes()[0].frontends.len(), 4);
    intent.apply(web().affinity(Some(61)).event());
    assert_eq!(intent.take_changes()[0].frontends.len(), 4);
    intent.apply(web().event());
    let change = &intent.take_changes()[0];
    assert!(change.frontends.values().all(|rule| rule.as_ref().is_some_and(|rule| rule.affinity.is_none())));
}

#[test]
fn a_rule_that_leads_nowhere_says_nothing_of_masquerade_and_affinity() {
    let intent = intent([web().affinity(None).policies("Cluster", "Local").event()]);
    for rule in intent.model(Family::V4).frontends.values() {
        assert_eq!((rule.masquerade, rule.affinity), (Masquerade::Never, None));
    }
}

#[test]
fn every_frontend_names_its_field() {
    let intent = intent([web().event(), here_and_there().event()]);
    let table = [
        (CLUSTER_IP, Role::ClusterIp, "Service default/web spec.clusterIPs[0] @7"),
        (EXTERNAL_IP, Role::ExternalIp, "Service default/web spec.externalIPs[0] @7"),
        (LOAD_BALANCER_IP, Role::LoadBalancerIp, "Service default/web status.loadBalancer.ingress[0].ip @7"),
    ];
    for (frontend, role, expected) in table {
        let rule = rule_at(&intent, frontend);
        assert_eq!((rule.role, rule.provenance.to_string().as_str()), (role, expected));
    }
    let node_port = Frontend { destination: Destination::Node, protocol: Protocol::Tcp, port: 30080 };
    let rule = &intent.model(Family::V4).frontends[&node_port];
    assert_eq!(rule.role, Role::NodePort);
    assert_eq!(rule.provenance.to_string(), "Service default/web spec.ports[0].nodePort @7");
}

#[test]
fn within_a_service_the_cluster_ip_comes_first_then_the_guarded_address() {
    let service = web().external("198.51.100.2").external("10.96.0.10").ingress("10.96.0.10").range("203.0.113.0/24");
    let intent = intent([service.event(), here_and_there().event()]);
    assert_eq!(rule_at(&intent, CLUSTER_IP).role, Role::ClusterIp);
    assert_eq!(rule_at(&intent, LOAD_BALANCER_IP).role, Role::LoadBalancerIp);
    assert_ne!(rule_at(&intent, LOAD_BALANCER_IP).sources, Sources::Any);
    assert_eq!(intent.problems(), []);
}

fn rule_at<'a>(intent: &'a Intent, frontend: &str) -> &'a Rule {
    let socket: std::net::SocketAddr = frontend.parse().unwrap();
    let destination = Destination::Address(socket.ip());
    &intent.model(Family::V4).frontends[&Frontend { destination, protocol: Protocol::Tcp, port: socket.port() }]
}
