use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::{Family, Pool, PoolName, Protocol, Provenance, Role, Scope};

/// A node 192.168.0.1 with Pods in 10.1.0.0/24 and the Service default/web: endpoints 10.1.0.5 here and 10.1.1.6 elsewhere.
/// Its load-balancer address and node port 30080 are under `externalTrafficPolicy: Local`.
pub(crate) fn model() -> Model {
    let cluster = pool(Scope::Cluster, &[endpoint("10.1.0.5:8080", true), endpoint("10.1.1.6:8080", false)]);
    let local = pool(Scope::Local, &[endpoint("10.1.0.5:8080", true)]);
    let cluster_ip = Rule {
        role: Role::ClusterIp,
        sources: Sources::Any,
        near: cluster.clone(),
        far: cluster.clone(),
        masquerade: Masquerade::UnlessLocalPod,
        affinity: None,
        provenance: origin("spec.clusterIPs[0]"),
    };
    let node_port = Rule {
        role: Role::NodePort,
        far: local,
        masquerade: Masquerade::OnlyHost,
        provenance: origin("spec.ports[0].nodePort"),
        ..cluster_ip.clone()
    };
    let external_ip = Rule {
        role: Role::ExternalIp,
        masquerade: Masquerade::Always,
        affinity: Some(Affinity { timeout_s: 60 }),
        provenance: origin("spec.externalIPs[0]"),
        ..cluster_ip.clone()
    };
    let guarded = Rule {
        role: Role::LoadBalancerIp,
        sources: Sources::Only(BTreeSet::from(["203.0.113.0/24".parse().unwrap()])),
        near: Outcome::Reject,
        far: Outcome::Reject,
        provenance: origin("status.loadBalancer.ingress[0].ip"),
        ..cluster_ip.clone()
    };
    let nowhere_here = Rule { far: Outcome::Drop, ..node_port.clone() };
    Model {
        family: Family::V4,
        frontends: BTreeMap::from([
            (frontend("10.96.0.10:80"), cluster_ip.clone()),
            (frontend("198.51.100.1:80"), external_ip),
            (frontend("198.51.100.2:80"), guarded),
            (frontend("10.96.0.11:80"), Rule { masquerade: Masquerade::Never, ..cluster_ip }),
            (Frontend { destination: Destination::Node, protocol: Protocol::Tcp, port: 30080 }, node_port),
            (Frontend { destination: Destination::Node, protocol: Protocol::Tcp, port: 30081 }, nowhere_here),
        ]),
        node_addresses: BTreeSet::from(["192.168.0.1".parse().unwrap()]),
        service_ranges: BTreeSet::from(["10.96.0.0/16".parse().unwrap()]),
        local_pods: LocalPods::Ranges(BTreeSet::from(["10.1.0.0/24".parse().unwrap()])),
    }
}

pub(crate) fn frontend(socket: &str) -> Frontend {
    let socket: SocketAddr = socket.parse().unwrap();
    Frontend { destination: Destination::Address(socket.ip()), protocol: Protocol::Tcp, port: socket.port() }
}

pub(crate) fn endpoint(socket: &str, local: bool) -> Endpoint {
    let socket: SocketAddr = socket.parse().unwrap();
    Endpoint { address: socket.ip(), port: socket.port(), local, weight: 1 }
}

fn pool(scope: Scope, endpoints: &[Endpoint]) -> Outcome {
    let (namespace, service, port) = ("default".to_owned(), "web".to_owned(), "http".to_owned());
    let name = Arc::new(PoolName { namespace, service, port, protocol: Protocol::Tcp, scope });
    Outcome::Pool(Pool { name, endpoints: endpoints.into() })
}

fn origin(field: &str) -> Provenance {
    Provenance::new("Service", "default/web".to_owned(), field.to_owned(), "7".to_owned())
}

/// `from` is `ADDRESS` for the host and `ADDRESS%INTERFACE` for everybody else.
fn packet(from: &str, to: &str) -> Packet {
    let (source, client) = match from.split_once('%') {
        Some((source, interface)) => (source, Client::Interface(interface.to_owned())),
        None => (from, Client::Host),
    };
    let to: SocketAddr = to.parse().unwrap();
    let (source, destination, port) = (source.parse().unwrap(), to.ip(), to.port());
    Packet { source, client, destination, protocol: Protocol::Tcp, port }
}

/// A verdict in short: `→ 10.1.0.5 10.1.1.6*`, where `*` means that the source is rewritten.
fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::NotOurs => "not ours".to_owned(),
        Verdict::Reject => "reject".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Forward(forward) => {
            let star = |target: &Target| if target.masquerade { "*" } else { "" };
            let target = |target: &Target| format!(" {}{}", target.endpoint.address, star(target));
            format!("→{}", forward.targets.iter().map(target).collect::<String>())
        }
    }
}

#[test]
fn a_packet_gets_its_verdict() {
    let table = [
        ("s314_a_local_pod_keeps_its_source", "10.1.0.9%veth1", "10.96.0.10:80", "→ 10.1.0.5 10.1.1.6"),
        ("s314_the_host_is_masqueraded", "192.168.0.1", "10.96.0.10:80", "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_off_cluster_is_masqueraded", "203.0.113.9%eth0", "10.96.0.10:80", "→ 10.1.0.5* 10.1.1.6*"),
        ("s314_never", "203.0.113.9%eth0", "10.96.0.11:80", "→ 10.1.0.5 10.1.1.6"),
        ("s315_hairpin", "10.1.0.5%veth1", "10.96.0.10:80", "→ 10.1.0.5* 10.1.1.6"),
        ("s315_hairpin_where_nobody_is_masqueraded", "10.1.0.5%veth1", "10.96.0.11:80", "→ 10.1.0.5* 10.1.1.6"),
        ("s312_everybody_is_masqueraded", "10.1.0.9%veth1", "198.51.100.1:80", "→ 10.1.0.5* 10.1.1.6*"),
        ("s313a_local_pod", "10.1.0.9%veth1", "192.168.0.1:30080", "→ 10.1.0.5 10.1.1.6"),
        ("s313b_host", "192.168.0.1", "192.168.0.1:30080", "→ 10.1.0.5* 10.1.1.6*"),
        ("s313a_comes_before_b", "10.1.0.1", "192.168.0.1:30080", "→ 10.1.0.5 10.1.1.6"),
        ("s313c_outside", "203.0.113.9%eth0", "192.168.0.1:30080", "→ 10.1.0.5"),
        ("s313c_outside_none_here", "203.0.113.9%eth0", "192.168.0.1:30081", "drop"),
        ("s313b_host_none_here", "192.168.0.1", "192.168.0.1:30081", "→ 10.1.0.5* 10.1.1.6*"),
        ("s319_another_address_of_the_node", "203.0.113.9%eth0", "192.168.7.1:30080", "not ours"),
        ("s343_allowed_but_no_endpoint", "203.0.113.9%eth0", "198.51.100.2:80", "reject"),
        ("s343_refused_before_no_endpoint", "203.0.114.9%eth0", "198.51.100.2:80", "drop"),
        ("s316_pods_are_guarded_too", "10.1.0.9%veth1", "198.51.100.2:80", "drop"),
        ("s316_the_host_is_guarded_too", "192.168.0.1", "198.51.100.2:80", "drop"),
        ("s341_unused_port_of_a_cluster_ip", "10.1.0.9%veth1", "10.96.0.10:81", "reject"),
        ("s341_unassigned_address", "10.1.0.9%veth1", "10.96.0.12:80", "drop"),
        ("s341_unused_port_of_an_external_ip", "10.1.0.9%veth1", "198.51.100.1:81", "not ours"),
        ("s341_elsewhere", "10.1.0.9%veth1", "203.0.113.1:80", "not ours"),
    ];
    for (id, from, to, expected) in table {
        println!("case {id}");
        let (verdict, trace) = eval(&packet(from, to), &model());
        assert_eq!(short(&verdict), expected, "{id}\n{trace}");
    }
}

#[test]
fn s322_each_detector_knows_local_pods() {
    let interface = || LocalPods::Interface("cni0".to_owned());
    let prefix = || LocalPods::InterfacePrefix("veth".to_owned());
    let table = [
        ("s322_ranges", model().local_pods, "10.1.0.9%eth0", ClientClass::LocalPod),
        ("s322_ranges_other", model().local_pods, "10.1.1.9%veth1", ClientClass::Elsewhere),
        ("s322_interface", interface(), "203.0.113.9%cni0", ClientClass::LocalPod),
        ("s322_interface_is_compared_whole", interface(), "10.1.0.9%cni01", ClientClass::Elsewhere),
        ("s322_interface_host", interface(), "10.1.0.9", ClientClass::Host),
        ("s322_prefix", prefix(), "203.0.113.9%veth1", ClientClass::LocalPod),
        ("s322_prefix_other", prefix(), "10.1.0.9%eth0", ClientClass::Elsewhere),
        ("s322_prefix_host", prefix(), "192.168.0.1", ClientClass::Host),
        ("s322_none", LocalPods::Unknown, "10.1.0.9%veth1", ClientClass::Elsewhere),
        ("s322_none_host", LocalPods::Unknown, "10.1.0.9", ClientClass::Host),
    ];
    for (id, local_pods, from, expected) in table {
        println!("case {id}");
        assert_eq!(ClientClass::of(&packet(from, "10.96.0.10:80"), &local_pods), expected, "{id}");
    }
}

#[test]
fn s324_a_verdict_tells_affinity() {
    let (verdict, _) = eval(&packet("10.1.0.9%veth1", "198.51.100.1:80"), &model());
    let Verdict::Forward(forward) = verdict else { panic!("{verdict:?}") };
    assert_eq!(forward.affinity, Some(Affinity { timeout_s: 60 }));
}

#[test]
fn another_protocol_is_another_frontend() {
    let udp = Packet { protocol: Protocol::Udp, ..packet("10.1.0.9%veth1", "10.96.0.10:80") };
    assert_eq!(eval(&udp, &model()).0, Verdict::Reject);
}

#[test]
fn a_virtual_address_comes_before_a_node_port() {
    let mut model = model();
    let rule = Rule { near: Outcome::Reject, ..model.frontends[&frontend("198.51.100.1:80")].clone() };
    model.frontends.insert(frontend("192.168.0.1:30080"), rule);
    assert_eq!(eval(&packet("192.168.0.1", "192.168.0.1:30080"), &model).0, Verdict::Reject);
}

#[test]
fn a_trace_reads_as_sentences_and_quotes_provenance() {
    let table = [
        (
            "10.1.0.5%veth1",
            "10.96.0.10:80",
            "10.96.0.10:80/tcp is a cluster IP from Service default/web spec.clusterIPs[0] @7.
Client 10.1.0.5 is a local Pod.
It gets one of the Cluster pool of default/web:http/tcp: 10.1.0.5:8080 (local), 10.1.1.6:8080.
The source address is kept (masquerade: unless from a local Pod).
If 10.1.0.5:8080 (local) is chosen, it is the client itself: the source address becomes the node's.
",
        ),
        (
            "203.0.114.9%eth0",
            "198.51.100.2:80",
            "198.51.100.2:80/tcp is a load-balancer IP from Service default/web status.loadBalancer.ingress[0].ip @7.
Source 203.0.114.9 may not come in (only 203.0.113.0/24): drop.
",
        ),
        (
            "203.0.113.9%eth0",
            "192.168.7.1:30080",
            "192.168.7.1 does not accept node ports, so node:30080/tcp from Service default/web spec.ports[0].nodePort @7 \
             has no say.
No Service has 192.168.7.1 with this port: the packet goes on.
",
        ),
        (
            "10.1.0.9%veth1",
            "10.96.0.10:81",
            "10.96.0.10 is a cluster IP from Service default/web spec.clusterIPs[0] @7, but has no such port: reject.\n",
        ),
        (
            "10.1.0.9%veth1",
            "10.96.0.12:80",
            "No Service has 10.96.0.12, which is in the Service range 10.96.0.0/16: drop.\n",
        ),
    ];
    for (from, to, expected) in table {
        assert_eq!(eval(&packet(from, to), &model()).1.to_string(), expected);
    }
}
