//! The same objects make the same shards, whatever came before (architecture: output depends on state, not on history).

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A step in a small world: four Services, five slices that may change their Service, two namespaces, three Pods.
#[derive(Clone, Debug)]
enum Step {
    Service {
        name: u8,
        shape: u8,
    },
    ServiceGone {
        name: u8,
    },
    Slice {
        name: u8,
        owner: u8,
        is_v6: bool,
        endpoints: Vec<(u8, u8, bool)>,
        ports: u8,
    },
    SliceGone {
        name: u8,
    },
    Namespace {
        name: u8,
        exists: bool,
    },
    Pod {
        name: u8,
        address: u8,
    },
    PodGone {
        name: u8,
    },
    /// Changes are taken here.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let endpoints = prop::collection::vec((0u8..6, 0u8..4, any::<bool>()), 0..5);
    prop_oneof![
        3 => (0u8..4, 0u8..5).prop_map(|(name, shape)| Step::Service { name, shape }),
        1 => (0u8..4).prop_map(|name| Step::ServiceGone { name }),
        4 => (0u8..5, 0u8..5, any::<bool>(), endpoints, 0u8..4)
            .prop_map(|(name, owner, is_v6, endpoints, ports)| Step::Slice { name, owner, is_v6, endpoints, ports }),
        1 => (0u8..5).prop_map(|name| Step::SliceGone { name }),
        1 => (0u8..2, any::<bool>()).prop_map(|(name, exists)| Step::Namespace { name, exists }),
        1 => (0u8..3, 0u8..3).prop_map(|(name, address)| Step::Pod { name, address }),
        1 => (0u8..3).prop_map(|name| Step::PodGone { name }),
        2 => Just(Step::Take),
    ]
}

impl Step {
    /// The object's identity and the event; no event for a pause.
    fn event(&self) -> Option<(String, Event)> {
        Some(match self {
            Step::Service { name, shape } => (format!("service {name}"), service(&format!("s{name}"), spec(*shape))),
            Step::ServiceGone { name } => {
                (format!("service {name}"), Event::ServiceGone { namespace: "shop".into(), name: format!("s{name}") })
            }
            Step::Slice { name, owner, is_v6, endpoints, ports } => {
                let endpoints: Vec<Value> = endpoints.iter().map(|endpoint| endpoint_json(*is_v6, *endpoint)).collect();
                let ports: Vec<Value> =
                    (0..*ports).map(|n| json!({ "name": format!("p{n}"), "port": 80 + n })).collect();
                let family = if *is_v6 { "IPv6" } else { "IPv4" };
                // Owner 4 is no Service: the slice has an empty label.
                let owner = if *owner == 4 { String::new() } else { format!("s{owner}") };
                let event = slice(&format!("slice{name}"), &owner, family, ports.into(), endpoints.into());
                (format!("slice {name}"), event)
            }
            Step::SliceGone { name } => {
                (format!("slice {name}"), Event::SliceGone { namespace: "shop".into(), name: format!("slice{name}") })
            }
            Step::Namespace { name, exists: true } => (format!("ns {name}"), Event::Namespace(format!("ns{name}"))),
            Step::Namespace { name, exists: false } => {
                (format!("ns {name}"), Event::NamespaceGone(format!("ns{name}")))
            }
            Step::Pod { name, address } => (format!("pod {name}"), pod(*name, *address)),
            Step::PodGone { name } => {
                (format!("pod {name}"), Event::PodGone { namespace: "shop".into(), name: format!("pod{name}") })
            }
            Step::Take => return None,
        })
    }
}

fn spec(shape: u8) -> Value {
    match shape {
        0 => json!({ "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": [{ "name": "p0", "port": 80 }] }),
        1 => json!({ "clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2", "fd00:96::2"], "ports": [{ "port": 81 }] }),
        2 => json!({ "clusterIP": "None" }),
        3 => json!({ "type": "ExternalName", "externalName": "s0.shop.svc.cluster.local" }),
        _ => json!({ "type": "ExternalName", "externalName": "192.0.2.7" }),
    }
}

fn endpoint_json(is_v6: bool, (address, hostname, is_ready): (u8, u8, bool)) -> Value {
    let address = if is_v6 { format!("fd00:244::{address}") } else { format!("10.244.0.{address}") };
    let hostname = if hostname == 0 { Value::Null } else { json!(format!("host{hostname}")) };
    json!({ "addresses": [address], "hostname": hostname, "conditions": { "ready": is_ready } })
}

fn pod(name: u8, address: u8) -> Event {
    let pod = json!({
        "metadata": { "name": format!("pod{name}"), "namespace": "shop" },
        "status": { "podIP": format!("10.244.3.{address}"), "phase": "Running" },
    });
    Event::Pod(Arc::new(serde_json::from_value(pod).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn shards_depend_on_objects_and_not_on_their_history(steps in prop::collection::vec(step(), 0..60), ignore in any::<bool>()) {
        let config = Config { pods: crate::PodMode::Verified, ignore_empty_services: ignore, ..config() };
        let mut state = ZoneState::new(Arc::new(config.clone()));
        // What a reader holds who applies nothing but the changed shards.
        let mut reader = state.shards().to_vec();
        let mut objects = BTreeMap::new();
        for step in steps.iter().chain([&Step::Take]) {
            match step.event() {
                Some((id, event)) => {
                    objects.insert(id, event.clone());
                    state.apply(event);
                }
                None => state.take_changed().into_iter().for_each(|(at, shard)| reader[at] = shard),
            }
        }
        let scratch = Still::new(config.clone(), objects.values().cloned());
        prop_assert_eq!(&reader, &scratch.shards);
        let backwards = Still::new(config, objects.into_values().rev());
        prop_assert_eq!(&reader, &backwards.shards);
        prop_assert!(state.take_changed().is_empty(), "nothing is left to take");
    }
}

#[test]
fn a_change_rebuilds_only_the_shards_concerned() {
    let config = Arc::new(Config { shards: 1024, ..config() });
    let mut state = ZoneState::new(config);
    cluster().into_iter().for_each(|event| state.apply(event));
    assert!(!state.take_changed().is_empty());
    cluster().into_iter().for_each(|event| state.apply(event));
    assert!(state.take_changed().is_empty(), "equal objects change nothing");
    let ports = json!([{ "name": "http", "protocol": "TCP", "port": 8080 }]);
    state.apply(slice("web-1", "web", "IPv4", ports, json!([{ "addresses": ["10.244.0.1"] }])));
    // The Service's shard and that of the one address that went.
    assert_eq!(state.take_changed().len(), 2);
}
