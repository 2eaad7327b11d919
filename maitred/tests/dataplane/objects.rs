//! Services and EndpointSlices in short.

use std::net::IpAddr;
use std::sync::Arc;

use intent::Event;
use model::Family;
use serde_json::{Value, from_value, json};

use crate::scene::{Scene, TARGET_PORTS, address};

/// The virtual addresses with this number: cluster IP, external IP, load-balancer IP.
pub fn cluster_ip(number: u16, family: Family) -> IpAddr {
    numbered("10.96.0", "fd00:10:96:", number, family)
}

pub fn external_ip(number: u16, family: Family) -> IpAddr {
    numbered("198.51.100", "2001:db8:1:", number, family)
}

pub fn balancer_ip(number: u16, family: Family) -> IpAddr {
    numbered("203.0.113", "2001:db8:2:", number, family)
}

fn numbered(v4: &str, v6: &str, number: u16, family: Family) -> IpAddr {
    match family {
        Family::V4 => format!("{v4}.{number}").parse().unwrap(),
        Family::V6 => format!("{v6}:{number:x}").parse().unwrap(),
    }
}

/// The node port of the Service with this number, by every protocol.
pub fn node_port(number: u16) -> u16 {
    30_000 + number
}

/// Service `sNUMBER` with a cluster IP alone, in both families; port 80 by TCP, UDP and SCTP.
pub fn internal(number: u16) -> Value {
    let ports = ["TCP", "UDP", "SCTP"]
        .map(|protocol| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": 80}));
    json!({
        "metadata": {
            "namespace": "default",
            "name": format!("s{number}"),
            "uid": format!("uid-{number}"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "resourceVersion": "1",
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIPs": Family::ALL.map(|family| cluster_ip(number, family)),
            "ports": ports,
        },
    })
}

/// The same with every kind of frontend.
pub fn exposed(number: u16) -> Value {
    let mut service = internal(number);
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["externalIPs"] = json!(Family::ALL.map(|family| external_ip(number, family)));
    for port in service["spec"]["ports"].as_array_mut().unwrap() {
        port["nodePort"] = json!(node_port(number));
    }
    let ingress = Family::ALL.map(|family| json!({"ip": balancer_ip(number, family)}));
    service["status"] = json!({"loadBalancer": {"ingress": ingress}});
    service
}

/// A field of the spec.
pub fn with(mut service: Value, field: &str, value: Value) -> Value {
    service["spec"][field] = value;
    service
}

/// Both traffic policies.
pub fn policies(service: Value, internal: &str, external: &str) -> Value {
    with(with(service, "internalTrafficPolicy", json!(internal)), "externalTrafficPolicy", json!(external))
}

pub fn service(service: Value) -> Event {
    Event::Service(Arc::new(from_value(service).unwrap()))
}

/// One slice per family of the Service with this number, with endpoints in the words of [`endpoint`].
pub fn slices(scene: &Scene, number: u16, endpoints: &[&str]) -> [Event; 2] {
    let ports = ["TCP", "UDP", "SCTP"]
        .map(|protocol| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": TARGET_PORTS[0]}));
    Family::ALL.map(|family| {
        let list: Vec<Value> = endpoints.iter().map(|text| endpoint(scene, text, family)).collect();
        slice(&format!("s{number}-{family:?}").to_lowercase(), &format!("s{number}"), family, &list, json!(ports))
    })
}

pub fn slice(name: &str, service: &str, family: Family, endpoints: &[Value], ports: Value) -> Event {
    let slice = json!({
        "metadata": {
            "namespace": "default",
            "name": name,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": format!("IP{}", format!("{family:?}").to_lowercase()),
        "endpoints": endpoints,
        "ports": ports,
    });
    Event::Slice(Arc::new(from_value(slice).unwrap()))
}

/// `NAME [draining|unready|down|nodeless] [zone=NAME] [node=NAME]`: `draining` is serving and terminating, `unready`
/// serving but neither ready nor terminating, `down` nothing of all, `nodeless` says nothing of its node. Without a word it
/// is ready.
pub fn endpoint(scene: &Scene, text: &str, family: Family) -> Value {
    let mut words = text.split(' ');
    let name = words.next().unwrap();
    let node = if name.starts_with('a') { "node-0" } else { "node-1" };
    let mut endpoint = json!({
        "addresses": [address(scene.endpoint(name).ips(), family)],
        "nodeName": node,
        "conditions": {"ready": true, "serving": true, "terminating": false},
    });
    let conditions = |serving, terminating| json!({"ready": false, "serving": serving, "terminating": terminating});
    for word in words {
        match word.split_once('=') {
            Some(("zone", zone)) => endpoint["hints"]["forZones"] = json!([{"name": zone}]),
            Some(("node", node)) => endpoint["hints"]["forNodes"] = json!([{"name": node}]),
            _ if word == "nodeless" => endpoint["nodeName"] = Value::Null,
            _ => {
                endpoint["conditions"] = match word {
                    "draining" => conditions(true, true),
                    "unready" => conditions(true, false),
                    "down" => conditions(false, false),
                    other => panic!("{other} says nothing of an endpoint"),
                };
            }
        }
    }
    endpoint
}
