//! What a process of the node itself reaches.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use kernel::conntrack::Conntrack;
use model::{
    Affinity, Endpoint, Family, LocalPods, Masquerade, Model, Outcome, Pool, Protocol, Role, Rule, Scope, Sources,
};

use crate::servers::{ask, ask_again, knock, tcp_server, udp_server};
use crate::table::{Addresses, FAMILIES, Table, addresses, frontend, has_nft, in_namespace, pool, rule};

#[test]
fn a_cluster_ip_leads_to_its_endpoints() {
    in_namespace("cluster ip", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let (one, two) = (tcp_server(at.node, "one"), tcp_server(at.node, "two"));
            let mut table = Table::new(family);
            let mut model = at.model();
            let cluster_ip = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(cluster_ip, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[one, two])));
            let dns = udp_server(at.node, "dns");
            let udp = frontend(at.cluster_ip, Protocol::Udp, 53);
            model.frontends.insert(udp, rule(Role::ClusterIp, pool("dns", Scope::Cluster, &[dns])));
            table.program(&model);

            let answers: BTreeSet<_> = (0..40).map(|_| knock(at.socket(at.cluster_ip, 80))).collect();
            assert_eq!(answers, BTreeSet::from([Ok("one".into()), Ok("two".into())]), "{family:?}");
            assert_eq!(ask(at.socket(at.cluster_ip, 53)), Ok("dns".into()));
            if has_nft("listing after packets") {
                table.list();
            }
        }
    });
}

#[test]
fn s311_without_endpoints_clients_are_refused_or_hear_nothing() {
    in_namespace("refused", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let mut model = at.model();
            let cluster_ip = |port| frontend(at.cluster_ip, Protocol::Tcp, port);
            model.frontends.insert(cluster_ip(80), rule(Role::ClusterIp, Outcome::Reject));
            model.frontends.insert(cluster_ip(81), rule(Role::ClusterIp, Outcome::Drop));
            let udp = frontend(at.cluster_ip, Protocol::Udp, 53);
            model.frontends.insert(udp, rule(Role::ClusterIp, Outcome::Reject));
            table.program(&model);

            assert_eq!(knock(at.socket(at.cluster_ip, 80)), Err(ErrorKind::ConnectionRefused), "{family:?}");
            assert_eq!(knock(at.socket(at.cluster_ip, 81)), Err(ErrorKind::TimedOut), "{family:?}");
            // The host's own packets are refused before they are sent, and then Linux says EPERM.
            assert_eq!(ask(at.socket(at.cluster_ip, 53)), Err(ErrorKind::PermissionDenied), "{family:?}");
        }
    });
}

#[test]
fn s341_an_unused_port_of_a_cluster_ip_is_refused_and_an_unassigned_address_is_silent() {
    in_namespace("unused", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let mut model = at.model();
            let server = tcp_server(at.node, "one");
            let cluster_ip = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(cluster_ip, rule(Role::ClusterIp, pool("a", Scope::Cluster, &[server])));
            let external = frontend(at.external_ip, Protocol::Tcp, 80);
            model.frontends.insert(external, rule(Role::ExternalIp, pool("a", Scope::Cluster, &[server])));
            table.program(&model);

            assert_eq!(knock(at.socket(at.external_ip, 80)), Ok("one".into()));
            assert_eq!(knock(at.socket(at.cluster_ip, 81)), Err(ErrorKind::ConnectionRefused), "{family:?}");
            assert_eq!(knock(at.socket(at.other_ip, 80)), Err(ErrorKind::TimedOut), "{family:?}");
        }
    });
}

#[test]
fn s319_a_node_port_answers_on_accepted_addresses_only() {
    in_namespace("node port", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let server = tcp_server(at.node, "one");
            let mut model = at.model();
            let node = frontend("node", Protocol::Tcp, 30080);
            model.frontends.insert(node, rule(Role::NodePort, pool("a", Scope::Cluster, &[server])));
            table.program(&model);
            let knock = || knock(SocketAddr::new(at.node, 30080));
            assert_eq!(knock(), Err(ErrorKind::ConnectionRefused), "{family:?}: no address is accepted yet");

            model.node_addresses = [at.node].into();
            table.program(&model);
            assert_eq!(knock(), Ok("one".into()), "{family:?}");

            model.node_addresses = BTreeSet::new();
            table.program(&model);
            assert_eq!(knock(), Err(ErrorKind::ConnectionRefused), "{family:?}");
        }
    });
}

#[test]
fn s313_near_and_far_clients_get_their_own_pools() {
    in_namespace("near and far", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let (near, far) = (tcp_server(at.node, "near"), tcp_server(at.node, "far"));
            let mut table = Table::new(family);
            let mut model = Model { node_addresses: [at.node].into(), ..at.model() };
            let local = Rule {
                far: pool("a", Scope::Local, &[far]),
                masquerade: Masquerade::OnlyHost,
                ..rule(Role::LoadBalancerIp, pool("a", Scope::Cluster, &[near]))
            };
            model.frontends.insert(frontend(at.external_ip, Protocol::Tcp, 80), local.clone());
            let node_port = Rule { role: Role::NodePort, ..local };
            model.frontends.insert(frontend("node", Protocol::Tcp, 30080), node_port.clone());
            // No far client can be had on one node without another namespace: the lab's tests have them.
            for detector in detectors(&at) {
                model.local_pods = detector;
                table.program(&model);
                assert_eq!(knock(at.socket(at.external_ip, 80)), Ok("near".into()), "{family:?}");
                assert_eq!(knock(SocketAddr::new(at.node, 30080)), Ok("near".into()), "{family:?}");
            }
            let empty = Rule { far: Outcome::Drop, near: Outcome::Reject, ..node_port };
            model.frontends.insert(frontend("node", Protocol::Tcp, 30080), empty);
            table.program(&model);
            assert_eq!(knock(SocketAddr::new(at.node, 30080)), Err(ErrorKind::ConnectionRefused), "{family:?}");
        }
    });
}

fn detectors(at: &Addresses) -> [LocalPods; 4] {
    [
        LocalPods::Ranges([at.range.parse().unwrap()].into()),
        LocalPods::Interface("cbr0".into()),
        LocalPods::InterfacePrefix("cali".into()),
        LocalPods::Unknown,
    ]
}

#[test]
fn s316_clients_outside_the_source_ranges_are_dropped() {
    in_namespace("guard", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let server = tcp_server(at.node, "one");
            let mut table = Table::new(family);
            let mut model = at.model();
            let key = frontend(at.external_ip, Protocol::Tcp, 80);
            let open = rule(Role::LoadBalancerIp, pool("a", Scope::Cluster, &[server]));
            let mut guarded = |sources: &[&str], rule: &Rule| {
                let ranges = sources.iter().map(|range| range.parse().unwrap()).collect();
                model.frontends.insert(key, Rule { sources: Sources::Only(ranges), ..rule.clone() });
                table.program(&model);
                knock(at.socket(at.external_ip, 80))
            };
            let node = format!("{}/{}", at.node, if at.node.is_ipv4() { 32 } else { 128 });
            assert_eq!(guarded(&[at.range, &node], &open), Ok("one".into()), "{family:?}");
            assert_eq!(guarded(&[at.range], &open), Err(ErrorKind::TimedOut), "{family:?}");
            assert_eq!(guarded(&[], &open), Err(ErrorKind::TimedOut), "{family:?}");
            // S-343: the guard speaks first.
            let empty = rule(Role::LoadBalancerIp, Outcome::Reject);
            assert_eq!(guarded(&[at.range], &empty), Err(ErrorKind::TimedOut), "{family:?}");
            assert_eq!(guarded(&[&node], &empty), Err(ErrorKind::ConnectionRefused), "{family:?}");
            let local = Rule { far: Outcome::Drop, masquerade: Masquerade::OnlyHost, ..open };
            assert_eq!(guarded(&[&node], &local), Ok("one".into()), "{family:?}");
        }
    });
}

#[test]
fn s324_a_client_stays_with_its_endpoint_and_chooses_anew_when_it_is_gone() {
    in_namespace("affinity", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let names = ["0", "1", "2", "3", "4", "5"];
            let servers = names.map(|name| tcp_server(at.node, name));
            let mut table = Table::new(family);
            let mut model = Model { node_addresses: [at.node].into(), ..at.model() };
            let mut set = |model: &mut Model, servers: &[SocketAddr], affinity| {
                let rule = Rule { affinity, ..rule(Role::ClusterIp, pool("a", Scope::Cluster, servers)) };
                model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, 80), rule.clone());
                let node_port = Rule { role: Role::NodePort, ..rule };
                model.frontends.insert(frontend("node", Protocol::Tcp, 30080), node_port);
                table.program(model);
            };
            let answers = || -> BTreeSet<String> {
                let both = [at.socket(at.cluster_ip, 80), SocketAddr::new(at.node, 30080)];
                (0..10).flat_map(|_| both.map(|at| knock(at).unwrap())).collect()
            };
            let affinity = Some(Affinity { timeout_s: 10800 });
            set(&mut model, &servers, affinity);
            let first = answers();
            assert_eq!(first.len(), 1, "{family:?}: both frontends share one memory");
            let mut left = servers.to_vec();
            left.remove(first.first().unwrap().parse::<usize>().unwrap());
            set(&mut model, &left, affinity);
            let second = answers();
            assert_eq!(second.len(), 1);
            assert_ne!(first, second);
            set(&mut model, &left, Some(Affinity { timeout_s: 60 }));
            assert_eq!(answers().len(), 1, "another timeout");
            set(&mut model, &left, None);
            assert!(answers().len() > 1, "S-326: without affinity the choice is random again");
        }
    });
}

#[test]
fn s310_every_endpoint_gets_connections_by_its_weight() {
    in_namespace("weights", || {
        let at = addresses(Family::V4);
        at.route();
        let (light, heavy) = (tcp_server(at.node, "light"), tcp_server(at.node, "heavy"));
        let mut table = Table::new(Family::V4);
        let mut model = at.model();
        let Outcome::Pool(mut pool) = pool("a", Scope::Cluster, &[light, heavy]) else { unreachable!() };
        pool.endpoints = pool
            .endpoints
            .iter()
            .map(|endpoint| Endpoint { weight: if endpoint.socket() == heavy { 9 } else { 1 }, ..*endpoint })
            .collect();
        model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, 80), rule(Role::ClusterIp, Outcome::Pool(pool)));
        table.program(&model);
        let heavy = (0..200).filter(|_| knock(at.socket(at.cluster_ip, 80)) == Ok("heavy".into())).count();
        // 180 are expected, with a standard deviation of 4.2.
        assert!((150..200).contains(&heavy), "{heavy} of 200");
    });
}

#[test]
fn s315_a_local_endpoint_reaches_itself() {
    in_namespace("hairpin", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let server = tcp_server(at.node, "self");
            let mut table = Table::new(family);
            let mut model = at.model();
            let Outcome::Pool(pool) = pool("a", Scope::Cluster, &[server]) else { unreachable!() };
            let endpoints = pool.endpoints.iter().map(|endpoint| Endpoint { local: true, ..*endpoint }).collect();
            let outcome = Outcome::Pool(Pool { endpoints, ..pool });
            for masquerade in [Masquerade::Never, Masquerade::Always, Masquerade::UnlessLocalPod, Masquerade::OnlyHost]
            {
                let rule = Rule { masquerade, ..rule(Role::ClusterIp, outcome.clone()) };
                model.frontends.insert(frontend(at.cluster_ip, Protocol::Tcp, 80), rule);
                table.program(&model);
                assert_eq!(knock(at.socket(at.cluster_ip, 80)), Ok("self".into()), "{family:?} {masquerade:?}");
            }
        }
    });
}

#[test]
fn growing_and_shrinking_keeps_every_endpoint_reachable() {
    in_namespace("grow and shrink", || {
        let at = addresses(Family::V6);
        at.route();
        let servers = ["0", "1", "2", "3", "4"].map(|name| tcp_server(at.node, name));
        let mut table = Table::new(Family::V6);
        let mut model = at.model();
        let key = frontend(at.cluster_ip, Protocol::Tcp, 80);
        for chosen in [&servers[..1], &servers[..4], &servers[1..4], &servers[3..], &servers[..], &servers[4..]] {
            model.frontends.insert(key, rule(Role::ClusterIp, pool("a", Scope::Cluster, chosen)));
            table.program(&model);
            let answers: BTreeSet<_> = (0..60).map(|_| knock(at.socket(at.cluster_ip, 80)).unwrap()).collect();
            assert_eq!(answers.len(), chosen.len());
        }
        model.frontends.remove(&key);
        table.program(&model);
        assert_eq!(knock(at.socket(at.cluster_ip, 80)), Err(ErrorKind::TimedOut), "its address is unassigned again");
    });
}

#[test]
fn s331_an_entry_made_before_the_endpoint_existed_is_deleted() {
    in_namespace("conntrack", || {
        for family in FAMILIES {
            let at = addresses(family);
            at.route();
            let mut table = Table::new(family);
            let mut model = at.model();
            model.service_ranges.clear();
            let tcp = frontend(at.cluster_ip, Protocol::Tcp, 80);
            model.frontends.insert(tcp, rule(Role::ClusterIp, Outcome::Reject));
            table.program(&model);
            // Nobody answers, but the connection is tracked.
            let client = UdpSocket::bind((at.node, 0)).unwrap();
            client.connect(at.socket(at.external_ip, 53)).unwrap();
            assert!(ask_again(&client).is_err());
            let dns = udp_server(at.node, "dns");
            let key = frontend(at.external_ip, Protocol::Udp, 53);
            model.frontends.insert(key, rule(Role::ExternalIp, pool("dns", Scope::Cluster, &[dns])));
            table.program(&model);
            assert!(ask_again(&client).is_err(), "{family:?}: the entry is still there");

            let mut conntrack = Conntrack::open().unwrap();
            let other = UdpSocket::bind((at.node, 0)).unwrap();
            other.connect(at.socket(at.external_ip, 53)).unwrap();
            assert_eq!(ask_again(&other), Ok("dns".into()));
            let entries = conntrack.udp_entries(family == Family::V6).unwrap();
            let stale: Vec<_> = entries
                .iter()
                .filter(|entry| entry.original.destination == at.socket(at.external_ip, 53))
                .filter(|entry| entry.reply.source != dns)
                .copied()
                .collect();
            assert_eq!(stale.len(), 1, "{entries:?}");
            assert_eq!(stale[0].original.source, client.local_addr().unwrap());
            assert_eq!(conntrack.delete(&stale).unwrap(), 1);
            assert_eq!(conntrack.delete(&stale).unwrap(), 0, "it is gone");
            assert_eq!(ask_again(&client), Ok("dns".into()), "{family:?}");
        }
    });
}
