//! DNS messages from clients and upstreams.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use zone::{Answer, Client, Config, Event, HEADER_BYTES, Lookup, Rcode, Shard, Transport, ZoneState};

use crate::parts::{block, byte};

/// Bits of the first byte.
const TCP: u8 = 1;
const MAY_RECURSE: u8 = 2;

/// A byte that says who asks, the query behind its length, then what an upstream replies.
pub fn dns(data: &[u8]) {
    let Some((who, rest)) = byte(data) else { return };
    let Some((query, upstream)) = block(rest) else { return };
    let transport = if who & TCP == 0 { Transport::Udp } else { Transport::Tcp };
    let client = Client { transport, may_recurse: who & MAY_RECURSE != 0 };
    let zone = Still::shared();
    let mut reply = Vec::new();
    match zone::answer(query, client, zone, u64::from(who), &mut reply) {
        Answer::Reply => check_reply(query, client, &reply),
        Answer::Drop => {}
        Answer::Forward => check_forwarded(query, upstream, client),
        Answer::Chase(target) => {
            let qtype = zone::query_type(query).expect("it was understood");
            zone::chase_query(&target, qtype, 7, &mut reply);
            assert_eq!(zone::query_type(&reply), Some(qtype));
            let mut finished = Vec::new();
            zone::answer_chased(query, client, zone, 0, Some(upstream), &mut finished);
            check_reply(query, client, &finished);
            zone::answer_chased(query, client, zone, 0, None, &mut finished);
            check_reply(query, client, &finished);
        }
    }
}

fn check_forwarded(query: &[u8], upstream: &[u8], client: Client) {
    let config = Still::shared().config();
    let mut out = Vec::new();
    zone::failure(query, Rcode::ServFail, client, config, &mut out);
    check_reply(query, client, &out);
    if zone::is_reply_to(query, upstream) {
        let _ = zone::is_truncated(upstream);
        zone::fit(query, upstream, client, config, &mut out);
        check_reply(query, client, &out);
    }
}

/// A reply carries the query's id, says that it is a reply, and is no longer than the client takes.
fn check_reply(query: &[u8], client: Client, reply: &[u8]) {
    assert!(reply.len() >= HEADER_BYTES, "{reply:?}");
    assert_eq!(reply[..2], query[..2], "the id");
    assert_ne!(reply[2] & 0x80, 0, "a reply");
    let limit = if client.transport == Transport::Udp { 4096 } else { 65_535 };
    assert!(reply.len() <= limit, "{} bytes", reply.len());
}

/// A zone that stands still.
struct Still {
    config: Arc<Config>,
    shards: Vec<Arc<Shard>>,
}

impl Lookup for Still {
    fn config(&self) -> &Config {
        &self.config
    }

    fn shard(&self, at: usize) -> impl Deref<Target = Shard> {
        &*self.shards[at]
    }

    fn serial(&self) -> u32 {
        1_700_000_000
    }

    fn is_synced(&self) -> bool {
        true
    }
}

impl Still {
    /// A ClusterIP Service, a headless one with host names, an alias within and one without.
    fn shared() -> &'static Still {
        static ZONE: OnceLock<Still> = OnceLock::new();
        ZONE.get_or_init(|| {
            let reverse =
                ["10.96.0.0/16", "10.244.0.0/16", "fd00:10:244::/56"].map(|range| range.parse().expect("a range"));
            let config = Config::new("cluster.local").expect("a domain").with_reverse(reverse.to_vec());
            let config = Arc::new(Config { shards: 16, ..config });
            let mut state = ZoneState::new(config.clone());
            events().into_iter().for_each(|event| state.apply(event));
            state.take_changed();
            Still { config, shards: state.shards().to_vec() }
        })
    }
}

fn events() -> Vec<Event> {
    let service = |name: &str, spec| {
        let object = json!({ "metadata": { "namespace": "default", "name": name }, "spec": spec });
        Event::Service(Arc::new(serde_json::from_value(object).expect("a Service")))
    };
    let slice = |family: &str, addresses: [&str; 2]| {
        let endpoint = |(at, address)| json!({ "addresses": [address], "hostname": format!("db-{at}") });
        let object = json!({
            "metadata": {
                "namespace": "default", "name": format!("db-{family}"),
                "labels": { "kubernetes.io/service-name": "db" },
            },
            "addressType": family,
            "endpoints": addresses.into_iter().enumerate().map(endpoint).collect::<Vec<_>>(),
            "ports": [{ "name": "sql", "port": 5432, "protocol": "TCP" }],
        });
        Event::Slice(Arc::new(serde_json::from_value(object).expect("an EndpointSlice")))
    };
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    vec![
        Event::Namespace("default".to_owned()),
        service("web", json!({ "clusterIPs": ["10.96.0.7", "fd00:10:96::7"], "ports": ports })),
        service(
            "db",
            json!({ "clusterIP": "None", "clusterIPs": ["None"], "ports": [{ "name": "sql", "port": 5432 }] }),
        ),
        service("near", json!({ "type": "ExternalName", "externalName": "web.default.svc.cluster.local" })),
        service("far", json!({ "type": "ExternalName", "externalName": "www.example.org" })),
        slice("IPv4", ["10.244.0.5", "10.244.1.5"]),
        slice("IPv6", ["fd00:10:244::5", "fd00:10:244:1::5"]),
    ]
}
