//! Tests over the whole crate: objects in, replies out, decoded by a decoder of their own.

mod answers;
mod decode;
mod history;
mod hostile;
mod limits;

use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Answer, Client, Config, Event, Lookup, Shard, Transport, ZoneState, answer};
use decode::Message;

/// A zone that stands still.
pub(crate) struct Still {
    pub config: Arc<Config>,
    pub shards: Vec<Arc<Shard>>,
    pub is_synced: bool,
}

pub(crate) const SERIAL: u32 = 1_700_000_000;

impl Lookup for Still {
    fn config(&self) -> &Config {
        &self.config
    }

    fn shard(&self, at: usize) -> impl Deref<Target = Shard> {
        &*self.shards[at]
    }

    fn serial(&self) -> u32 {
        SERIAL
    }

    fn is_synced(&self) -> bool {
        self.is_synced
    }
}

impl Still {
    pub fn new(config: Config, events: impl IntoIterator<Item = Event>) -> Still {
        let config = Arc::new(config);
        let mut state = ZoneState::new(config.clone());
        events.into_iter().for_each(|event| state.apply(event));
        state.take_changed();
        Still { config, shards: state.shards().to_vec(), is_synced: true }
    }

    /// The decoded reply to a question.
    pub fn ask(&self, name: &str, rtype: &str, client: Client) -> Message {
        let mut out = Vec::new();
        let outcome = answer(&query(name, decode::type_number(rtype), Some(1232)), client, self, 7, &mut out);
        assert_eq!(outcome, Answer::Reply, "{name} {rtype}");
        Message::decode(&out)
    }
}

pub(crate) const UDP: Client = Client { transport: Transport::Udp, may_recurse: true };
pub(crate) const TCP: Client = Client { transport: Transport::Tcp, may_recurse: true };

/// A query with id 0x1234 and RD, with an OPT record of this size if there is one.
pub(crate) fn query(name: &str, rtype: u16, udp_bytes: Option<u16>) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&rtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if let Some(bytes) = udp_bytes {
        message[11] = 1;
        message.extend_from_slice(&[0, 0, 41]);
        message.extend_from_slice(&bytes.to_be_bytes());
        message.extend_from_slice(&[0; 6]);
    }
    message
}

pub(crate) fn service(name: &str, spec: Value) -> Event {
    let service = json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec });
    Event::Service(Arc::new(serde_json::from_value(service).unwrap()))
}

pub(crate) fn slice(name: &str, service: &str, family: &str, ports: Value, endpoints: Value) -> Event {
    let slice = json!({
        "metadata": {
            "name": name, "namespace": "shop", "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": family, "ports": ports, "endpoints": endpoints,
    });
    Event::Slice(Arc::new(serde_json::from_value(slice).unwrap()))
}

/// The cluster of the answers table.
pub(crate) fn cluster() -> Vec<Event> {
    let http = json!([{ "name": "http", "protocol": "TCP", "port": 8080 }]);
    vec![
        Event::Namespace("shop".into()),
        Event::Namespace("empty".into()),
        service(
            "web",
            json!({
                "type": "ClusterIP", "clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20", "fd00:96::20"],
                "ports": [
                    { "name": "http", "protocol": "TCP", "port": 80 }, { "name": "dns", "protocol": "UDP", "port": 53 },
                ],
            }),
        ),
        slice(
            "web-1",
            "web",
            "IPv4",
            http.clone(),
            json!([{ "addresses": ["10.244.0.1"] }, { "addresses": ["10.244.0.2"], "hostname": "Named" }]),
        ),
        service(
            "v4",
            json!({ "type": "ClusterIP", "clusterIP": "10.96.0.21", "clusterIPs": ["10.96.0.21"], "ports": [{ "port": 80 }] }),
        ),
        service("db", json!({ "type": "ClusterIP", "clusterIP": "None", "ports": [{ "name": "http", "port": 80 }] })),
        slice(
            "db-4",
            "db",
            "IPv4",
            http.clone(),
            json!([
                { "addresses": ["10.244.1.1"], "hostname": "db-0", "conditions": { "ready": true } },
                { "addresses": ["10.244.1.2"], "hostname": "db-1" },
                { "addresses": ["10.244.1.9"], "hostname": "db-2", "conditions": { "ready": false } },
            ]),
        ),
        slice("db-6", "db", "IPv6", http.clone(), json!([{ "addresses": ["fd00:244::1"], "hostname": "db-0" }])),
        service("db4", json!({ "type": "ClusterIP", "clusterIP": "None" })),
        slice("db4-a", "db4", "IPv4", json!([]), json!([{ "addresses": ["10.244.1.1"] }])),
        service("none", json!({ "type": "ClusterIP", "clusterIP": "None", "ports": [{ "name": "http", "port": 80 }] })),
        slice("none-a", "none", "IPv4", http, json!([{ "addresses": ["10.244.1.7"], "conditions": { "ready": false } }])),
        service("far", json!({ "type": "ExternalName", "externalName": "www.example.com." })),
        service("near", json!({ "type": "ExternalName", "externalName": "web.shop.svc.cluster.local" })),
        service("nothing", json!({ "type": "ExternalName", "externalName": "none.shop.svc.cluster.local" })),
        service("itself", json!({ "type": "ExternalName", "externalName": "ITSELF.shop.svc.cluster.local" })),
        service("ping", json!({ "type": "ExternalName", "externalName": "pong.shop.svc.cluster.local" })),
        service("pong", json!({ "type": "ExternalName", "externalName": "ping.shop.svc.cluster.local" })),
        service("literal", json!({ "type": "ExternalName", "externalName": "192.0.2.1" })),
        Event::Service(Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": "kube-dns", "namespace": "kube-system" },
                "spec": { "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00:96::a"], "ports": [{ "port": 53 }] },
            }))
            .unwrap(),
        )),
    ]
}

pub(crate) fn config() -> Config {
    let ranges = ["10.96.0.0/12", "10.244.0.0/16", "fd00:96::/108", "fd00:244::/62"];
    let reverse = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Config { shards: 4, ..Config::new("Cluster.Local.").unwrap().with_reverse(reverse) }
}
