//! Real packets between the hosts of a lab.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lab::{Host, Lab, LabConfig, Outcome, Server, Unreachable, http_get, udp_ask};

const PATIENCE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(300);
const PORT: u16 = 8080;

fn pods(lab: &Lab) -> Vec<std::sync::Arc<Host>> {
    (0..lab.nodes().len())
        .map(|node| lab.add_pod(node, &format!("pod-{node}"), lab.pod_ips(node, 0)).unwrap())
        .collect()
}

fn ask(from: &Host, to: IpAddr) -> Outcome {
    http_get(from.namespace(), SocketAddr::new(to, PORT), PATIENCE).unwrap()
}

#[test]
fn pods_of_all_nodes_talk_to_each_other_and_see_each_others_addresses() {
    lab::test(|| {
        let lab = Lab::new(LabConfig::default()).unwrap();
        let pods = pods(&lab);
        let _servers: Vec<Server> = pods.iter().map(|pod| Server::start(pod, PORT).unwrap()).collect();
        for from in &pods {
            for to in &pods {
                for (source, destination) in from.ips().iter().zip(to.ips().iter()) {
                    let answer = ask(from, destination);
                    assert_eq!(answer.pod(), Some(to.name()), "{source} to {destination}: {answer}");
                    assert_eq!(answer.answer().unwrap().client.ip(), source);
                    let address = SocketAddr::new(destination, PORT);
                    let datagram = udp_ask(from.namespace(), address, PATIENCE).unwrap();
                    assert_eq!(datagram.answer().unwrap().client.ip(), source);
                    assert_eq!(datagram.answer().unwrap().server, address);
                }
            }
        }
    });
}

#[test]
fn control_and_nodes_reach_pods_and_each_other_under_their_lan_addresses() {
    lab::test(|| {
        let lab = Lab::new(LabConfig::default()).unwrap();
        let pods = pods(&lab);
        let mut servers: Vec<Server> = pods.iter().map(|pod| Server::start(pod, PORT).unwrap()).collect();
        servers.extend(lab.nodes().iter().map(|node| Server::start(node, PORT).unwrap()));
        for from in lab.nodes().iter().chain([lab.control()]) {
            for to in pods.iter().chain(lab.nodes()).filter(|to| to.name() != from.name()) {
                for (source, destination) in from.ips().iter().zip(to.ips().iter()) {
                    let answer = ask(from, destination);
                    assert_eq!(answer.pod(), Some(to.name()), "{} to {destination}: {answer}", from.name());
                    assert_eq!(answer.answer().unwrap().client.ip(), source);
                }
            }
        }
    });
}

#[test]
fn an_outside_client_reaches_nodes_and_reaches_pods_only_by_a_route() {
    lab::test(|| {
        let lab = Lab::new(LabConfig::default()).unwrap();
        let pods = pods(&lab);
        let _on_node = Server::start(lab.node(1), PORT).unwrap();
        let _in_pod = Server::start(&pods[1], PORT).unwrap();
        for client in [lab.client(), &lab.add_client(1).unwrap()] {
            for ip in lab.node(1).ips().iter() {
                let answer = ask(client, ip);
                assert_eq!(answer.pod(), Some("node-1"), "{answer}");
                assert!(client.ips().iter().any(|own| own == answer.answer().unwrap().client.ip()));
            }
        }
        let (v4, v6) = lab.pod_ranges(1);
        for (ip, range) in pods[1].ips().iter().zip([v4.into(), v6.into()]) {
            assert_eq!(ask(lab.client(), ip), Outcome::Unreachable(Unreachable::NoRoute));
            lab.route_client(range, 0).unwrap();
            assert_eq!(ask(lab.client(), ip).pod(), Some("pod-1"));
        }
    });
}

#[test]
fn refused_silent_unreachable_and_reset_are_told_apart() {
    lab::test(|| {
        let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() }).unwrap();
        let pod = lab.add_pod(0, "pod", lab.pod_ips(0, 0)).unwrap();
        for ip in pod.ips().iter() {
            let closed = SocketAddr::new(ip, PORT);
            assert_eq!(http_get(lab.node(0).namespace(), closed, PATIENCE).unwrap(), Outcome::Refused, "{ip}");
            assert_eq!(udp_ask(lab.node(0).namespace(), closed, PATIENCE).unwrap(), Outcome::Refused, "{ip}");
        }
        // A listener whose queue nobody serves: the connection stands and no answer comes.
        let silent = pod.run(|| std::net::TcpListener::bind("0.0.0.0:9").unwrap()).unwrap();
        let address = SocketAddr::new(pod.ips().v4.unwrap().into(), 9);
        assert_eq!(http_get(lab.node(0).namespace(), address, SHORT).unwrap(), Outcome::Timeout);
        drop(silent);
        // Beyond the lab there is nothing, and the backbone says so.
        for nowhere in ["192.0.2.1", "2001:db8::1"] {
            let outcome = ask(lab.node(0), nowhere.parse().unwrap());
            assert_eq!(outcome, Outcome::Unreachable(Unreachable::Network), "{nowhere}");
        }
    });
}

#[test]
fn a_stopped_server_refuses_and_serves_again_when_started() {
    lab::test(|| {
        let lab = Lab::new(LabConfig { nodes: 1, ..LabConfig::default() }).unwrap();
        let pod = lab.add_pod(0, "pod", lab.pod_ips(0, 0)).unwrap();
        let ip = pod.ips().v4.unwrap().into();
        for _ in 0..3 {
            let server = Server::start(&pod, PORT).unwrap();
            assert_eq!(ask(lab.node(0), ip).pod(), Some("pod"));
            server.stop();
            assert_eq!(ask(lab.node(0), ip), Outcome::Refused);
        }
    });
}

#[test]
fn a_removed_pod_is_silent_and_its_name_is_free_again() {
    lab::test(|| {
        let lab = Lab::new(LabConfig { nodes: 2, ..LabConfig::default() }).unwrap();
        let ips = lab.pod_ips(1, 0);
        let add = || lab.add_pod(1, "pod", ips);
        let pod = add().unwrap();
        assert!(add().is_err());
        let server = Server::start(&pod, PORT).unwrap();
        assert_eq!(ask(lab.node(0), ips.v6.unwrap().into()).pod(), Some("pod"));
        assert!(lab.remove_pod("pod").unwrap());
        assert!(!lab.remove_pod("pod").unwrap());
        // The node's route to it went with its link, so the packet takes the default route and dies there.
        assert_eq!(ask(lab.node(1), ips.v4.unwrap().into()), Outcome::Unreachable(Unreachable::Network));
        drop((server, pod));
        let _server = Server::start(&add().unwrap(), PORT).unwrap();
        assert_eq!(ask(lab.node(0), ips.v4.unwrap().into()).pod(), Some("pod"));
    });
}

#[test]
fn a_pulled_cable_silences_a_node_until_it_is_plugged_in_again() {
    lab::test(|| {
        let lab = Lab::new(LabConfig { nodes: 2, ..LabConfig::default() }).unwrap();
        let _server = Server::start(lab.node(1), PORT).unwrap();
        let ip = lab.node(1).ips().v4.unwrap().into();
        lab.set_cable(lab.node(1), false).unwrap();
        let outcome = http_get(lab.node(0).namespace(), SocketAddr::new(ip, PORT), SHORT).unwrap();
        assert_eq!(outcome, Outcome::Timeout);
        lab.set_cable(lab.node(1), true).unwrap();
        assert_eq!(ask(lab.node(0), ip).pod(), Some("node-1"));
    });
}

#[test]
fn labs_at_the_same_time_use_the_same_addresses_without_meeting() {
    lab::test(|| {
        std::thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || {
                    let lab = Lab::new(LabConfig { nodes: 2, ..LabConfig::default() }).unwrap();
                    let name = format!("pod-of-lab-{number}");
                    let pod = lab.add_pod(0, &name, lab.pod_ips(0, 0)).unwrap();
                    let _server = Server::start(&pod, PORT).unwrap();
                    for ip in pod.ips().iter() {
                        assert_eq!(ask(lab.node(1), ip).pod(), Some(name.as_str()));
                    }
                });
            }
        });
    });
}

#[test]
fn three_nodes_and_nine_pods_stand_in_well_under_a_second() {
    lab::test(|| {
        let started = Instant::now();
        let lab = Lab::new(LabConfig::default()).unwrap();
        for node in 0..3 {
            for pod in 0..3 {
                lab.add_pod(node, &format!("pod-{node}-{pod}"), lab.pod_ips(node, pod)).unwrap();
            }
        }
        println!("built in {:?}", started.elapsed());
        // The limit leaves room for a loaded machine; the figure above is what counts.
        assert!(started.elapsed() < Duration::from_secs(5));
    });
}
