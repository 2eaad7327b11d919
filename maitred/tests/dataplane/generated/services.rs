//! Services and endpoints by chance: every kind of frontend, policy and state, and now and then what the API server would
//! not let pass.

use std::net::IpAddr;

use model::Family;
use serde_json::{Value, json};

use crate::objects::{balancer_ip, cluster_ip, external_ip, node_port};
use crate::random::Random;
use crate::scene::Scene;

/// What Services choose their ports from.
pub const PORTS: [(u16, &str); 6] = [(80, "TCP"), (81, "TCP"), (443, "TCP"), (80, "UDP"), (53, "UDP"), (80, "SCTP")];

pub fn port_name(at: usize) -> String {
    format!("p{at}")
}

pub fn random_endpoint(random: &mut Random, pod: &str, hinted: &str) -> String {
    let state = random.pick(&["", "", "", "", " draining", " draining", " unready", " down"]);
    let hint = match hinted {
        "zone" => random.pick(&[" zone=east", " zone=west"]),
        "node" => random.pick(&[" node=node-0", " node=node-1"]),
        "mixed" => random.pick(&[" zone=east", " node=node-0", ""]),
        _ => "",
    };
    let node = if random.chance(10) { " nodeless" } else { "" };
    format!("{pod}{state}{hint}{node}")
}

pub fn random_service(random: &mut Random, number: u16, scene: &Scene) -> Value {
    let families = random.pick(&[&Family::ALL[..], &Family::ALL[..], &Family::ALL[..1], &Family::ALL[1..]]);
    let kind = random.pick(&["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"]);
    let mut spec = json!({
        "type": kind,
        "clusterIPs": families.iter().map(|family| cluster_ip(number, *family)).collect::<Vec<_>>(),
        "ports": random_ports(random, kind),
        "internalTrafficPolicy": random.pick(&["", "Cluster", "Cluster", "Local"]),
        "externalTrafficPolicy": random.pick(&["", "Cluster", "Local"]),
        "trafficDistribution": random.pick(&[Value::Null, json!("PreferClose")]),
    });
    if random.chance(30) {
        spec["sessionAffinity"] = json!("ClientIP");
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": random.pick(&[30, 600, 10_800])}});
    }
    if random.chance(50) {
        spec["externalIPs"] = json!(random_external_ips(random, families, scene));
    }
    let mut status = json!({});
    if kind == "LoadBalancer" {
        status["loadBalancer"]["ingress"] = json!(random_ingress(random, families));
        if random.chance(50) {
            let count = 1 + random.below(4);
            spec["loadBalancerSourceRanges"] = json!(random.some(&SOURCES, count));
        }
    }
    let mut metadata = json!({
        "namespace": "default",
        "name": format!("s{number}"),
        "uid": format!("uid-{number}"),
        "creationTimestamp": format!("2026-01-0{}T00:00:00Z", 1 + random.below(5)),
    });
    match random.below(30) {
        0 => metadata["labels"] = json!({"service.kubernetes.io/service-proxy-name": "another"}),
        1 => {
            spec["clusterIP"] = json!("None");
            spec["clusterIPs"] = json!(["None"]);
        }
        _ => {}
    }
    json!({"metadata": metadata, "spec": spec, "status": status})
}

/// Some contain clients, some don't.
const SOURCES: [&str; 9] = [
    "172.31.0.200/32",
    "fd00:31::c8/128",
    "172.31.0.0/24",
    "fd00:31::/64",
    "10.244.0.0/24",
    "fd00:10:244::/64",
    "0.0.0.0/0",
    "::/0",
    "192.0.2.0/24",
];

fn random_ports(random: &mut Random, kind: &str) -> Value {
    let all: Vec<usize> = (0..PORTS.len()).collect();
    let count = 1 + random.below(3);
    let ports: Vec<Value> = random
        .some(&all, count)
        .into_iter()
        .map(|at| {
            let (port, protocol) = PORTS[at];
            // Of few numbers, so that Services meet in one; the API server would not let them.
            let node_port =
                if kind == "ClusterIP" || random.chance(20) { 0 } else { node_port(random.below(12) as u16) };
            json!({"name": port_name(at), "protocol": protocol, "port": port, "nodePort": node_port})
        })
        .collect();
    json!(ports)
}

fn random_external_ips(random: &mut Random, families: &[Family], scene: &Scene) -> Vec<IpAddr> {
    let of = |random: &mut Random, family: Family| match random.below(12) {
        0 => scene.node_address(family),
        // A load balancer's, perhaps another Service's.
        1 => balancer_ip(1, family),
        other => external_ip(1 + other as u16 % 4, family),
    };
    families.iter().map(|family| of(random, *family)).collect()
}

fn random_ingress(random: &mut Random, families: &[Family]) -> Vec<Value> {
    let of = |random: &mut Random, family: Family| {
        let address = balancer_ip(1 + random.below(3) as u16, family);
        match random.below(6) {
            0 => json!({"ip": address, "ipMode": "Proxy"}),
            1 => json!({"ip": address, "ipMode": "VIP"}),
            2 => json!({"hostname": "balancer.example"}),
            _ => json!({"ip": address}),
        }
    };
    families.iter().map(|family| of(random, *family)).collect()
}
