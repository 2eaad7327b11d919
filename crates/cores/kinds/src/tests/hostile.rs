//! Nothing that a client sends may make a kind panic.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use schema::{Node, Type};
use serde_json::Value;

use super::{Cluster, NOW};
use crate::{Kind, Pod, Service, ServiceCidr, all, deletion, event, metadata, namespace};

/// JSON with the kinds' own field names in it, so that it gets past the surface.
fn hostile() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 96, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(field_names()), inner), 0..8).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

fn field_names() -> Vec<&'static str> {
    fn collect(of: &'static Type, seen: &mut HashSet<&'static str>, names: &mut BTreeSet<&'static str>) {
        if !seen.insert(of.name()) {
            return;
        }
        for (name, node) in of.fields() {
            names.insert(name);
            if let Some(below) = element(node).object() {
                collect(below, seen, names);
            }
        }
    }
    let (mut seen, mut names) = (HashSet::new(), BTreeSet::new());
    // All that a Pod may have is too much for anything of it to be hit.
    for kind in all().iter().filter(|kind| kind.facts().kind != "Pod") {
        collect(type_of(*kind), &mut seen, &mut names);
    }
    names.extend(["containers", "nodeName", "podIPs", "readinessProbe", "tolerations", "phase", "containerStatuses"]);
    names.into_iter().collect()
}

/// What stands in the lists and maps of a field in the end.
fn element(node: &'static Node) -> &'static Node {
    match node {
        Node::List(inner) | Node::Map(inner) => element(inner),
        _ => node,
    }
}

fn type_of(kind: &dyn Kind) -> &'static Type {
    let facts = kind.facts();
    Type::of(facts.group, facts.version, facts.kind).expect("every kind is defined")
}

/// A value that has the right type in most places.
fn plausible(node: &'static Node, depth: u32) -> BoxedStrategy<Value> {
    let well_typed = match node {
        Node::Map(inner) if depth > 0 => prop::collection::vec(
            (prop::sample::select(vec!["a", "app", "x/y", "-"]), plausible(inner, depth - 1)),
            0..3,
        )
        .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
        .boxed(),
        Node::List(inner) if depth > 0 => {
            prop::collection::vec(plausible(inner, depth - 1), 0..4).prop_map(Value::from).boxed()
        }
        Node::Object(_) if depth > 0 => plausible_fields(node.object().expect("it is one"), depth - 1),
        Node::Integer32 | Node::Integer64 | Node::IntegerOrText => {
            prop_oneof![(-1i64..70000).prop_map(Value::from), any::<i32>().prop_map(Value::from)].boxed()
        }
        Node::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        _ => leaf(),
    };
    prop_oneof![20 => well_typed, 1 => leaf()].boxed()
}

fn leaf() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0i64..70000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "None",
            "TCP",
            "UDP",
            "ClusterIP",
            "NodePort",
            "LoadBalancer",
            "ExternalName",
            "IPv4",
            "IPv6",
            "Local",
            "RequireDualStack",
            "PreferDualStack",
            "SingleStack",
            "10.96.0.9",
            "fd00::9",
            "010.0.0.1",
            "::ffff:1.2.3.4",
            "10.0.0.0/24",
            "2026-01-01T00:00:00Z",
            "ClientIP",
            "a",
            "-",
            "ä/é",
            "Ready",
            "True",
        ])
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ]
    .boxed()
}

fn plausible_fields(of: &'static Type, depth: u32) -> BoxedStrategy<Value> {
    let fields: Vec<BoxedStrategy<Option<(String, Value)>>> = of
        .fields()
        .into_iter()
        .map(|(name, node)| {
            prop::option::weighted(0.4, plausible(node, depth).prop_map(|value| (name.to_owned(), value))).boxed()
        })
        .collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect())).boxed()
}

/// Everything that the server may call with what a client sent.
fn exercise(kind: &dyn Kind, new: &Value, old: &Value) {
    let cluster = Cluster::with(&["10.96.0.0/24", "fd00::/108"]);
    let context = cluster.context();
    let mut named = new.clone();
    if named.is_object() {
        // A valid name lets the rest be looked at too.
        named["metadata"] = super::object(kind, serde_json::json!({}))["metadata"].clone();
    }
    let _ = kind.create(new.clone(), &context);
    let created = kind.create(named, &context);
    let _ = kind.update(new.clone(), old, &context);
    let _ = kind.update_status(new.clone(), old, &context);
    if let Ok(admitted) = created {
        let stored = admitted.object;
        kind.update(stored.clone(), &stored, &context).expect("writing back what was stored is accepted");
        let _ = kind.update(old.clone(), &stored, &context);
        let _ = kind.update_status(old.clone(), &stored, &context);
    }
    for object in [new, old] {
        assert_eq!(kind.row(object, NOW).len(), kind.columns().len());
        kind.holds(object);
        kind.field(object, "spec.clusterIP");
        let mut object = object.clone();
        kind.read(&mut object);
        metadata::prepare_update(&mut object, old);
        metadata::prepare_create(&mut object, kind, &context, "uid".to_owned());
        if let Ok(options) = deletion::DeleteOptions::parse(&object) {
            let _ = deletion::deletion(&object, &options, kind, NOW);
        }
        deletion::is_finished(&object);
        event::from_events_v1(&event::to_events_v1(&object));
        ServiceCidr::ranges(&object);
        let _ = namespace::finalize(object.clone(), old);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_kind_panics_on_any_json(new in hostile(), old in hostile()) {
        for kind in all() {
            exercise(*kind, &new, &old);
        }
    }

    #[test]
    fn no_service_panics_on_well_typed_nonsense(
        new in plausible_fields(type_of(&Service), 6), old in plausible_fields(type_of(&Service), 6),
    ) {
        exercise(&Service, &new, &old);
    }

    #[test]
    fn no_pod_panics_on_well_typed_nonsense(
        new in plausible_fields(type_of(&Pod), 6), old in plausible_fields(type_of(&Pod), 6),
    ) {
        exercise(&Pod, &new, &old);
    }
}
