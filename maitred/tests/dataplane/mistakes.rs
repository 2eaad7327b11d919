//! Planted mistakes of `intent`: each one must contradict a case that was written by hand, which is the only judge that
//! doesn't ask `intent` itself.

use std::sync::Arc;

use intent::{Event, Intent};
use model::{Change, Family, Frontend, LocalPods, Masquerade, Model, Outcome, Pool, Rule, Sources, compare};

use proxy::Dataplane as _;

use crate::scene::{Node, Scene, config, program};
use crate::table::{noticed, objects};

/// A mistake, by its name.
type Mistake = (&'static str, fn(&mut Model));

/// Mistakes of `intent` as they show in its Model.
pub const IN_THE_MODEL: [Mistake; 13] = [
    ("near and far are swapped", |model| each(model, |_, rule| std::mem::swap(&mut rule.near, &mut rule.far))),
    ("far clients get what near clients get", |model| each(model, |_, rule| rule.far = rule.near.clone())),
    ("masquerade is dropped", |model| each(model, |_, rule| rule.masquerade = Masquerade::Never)),
    ("everybody is masqueraded", |model| {
        each(model, |_, rule| {
            if leads_somewhere(rule) {
                rule.masquerade = Masquerade::Always;
            }
        });
    }),
    ("pools lack an endpoint", |model| {
        each(model, |_, rule| {
            for pool in pools(rule).filter(|pool| pool.endpoints.len() > 1) {
                pool.endpoints = pool.endpoints[1..].into();
            }
        });
    }),
    ("far clients never get the last endpoint", |model| {
        each(model, |_, rule| match &mut rule.far {
            Outcome::Pool(pool) if pool.endpoints.len() > 1 => {
                pool.endpoints = pool.endpoints[..pool.endpoints.len() - 1].into();
            }
            _ => {}
        });
    }),
    ("reject and drop are swapped", |model| {
        each(model, |_, rule| {
            for outcome in [&mut rule.near, &mut rule.far] {
                *outcome = match outcome {
                    Outcome::Reject => Outcome::Drop,
                    Outcome::Drop => Outcome::Reject,
                    Outcome::Pool(pool) => Outcome::Pool(pool.clone()),
                };
            }
        });
    }),
    ("source ranges let everybody in", |model| each(model, |_, rule| rule.sources = Sources::Any)),
    ("affinity is lost", |model| each(model, |_, rule| rule.affinity = None)),
    ("node addresses are lost", |model| model.node_addresses.clear()),
    ("Service ranges are lost", |model| model.service_ranges.clear()),
    ("endpoints have another port", |model| {
        each(model, |_, rule| {
            for pool in pools(rule) {
                pool.endpoints =
                    pool.endpoints.iter().map(|one| model::Endpoint { port: one.port + 2, ..*one }).collect();
            }
        });
    }),
    ("no Pod is known as local", |model| model.local_pods = LocalPods::Unknown),
];

fn each(model: &mut Model, change: impl Fn(&Frontend, &mut Rule)) {
    model.frontends.iter_mut().for_each(|(frontend, rule)| change(frontend, rule));
}

fn leads_somewhere(rule: &Rule) -> bool {
    [&rule.near, &rule.far].into_iter().any(|outcome| matches!(outcome, Outcome::Pool(_)))
}

fn pools(rule: &mut Rule) -> impl Iterator<Item = &mut Pool> {
    [&mut rule.near, &mut rule.far].into_iter().filter_map(|outcome| match outcome {
        Outcome::Pool(pool) => Some(pool),
        Outcome::Reject | Outcome::Drop => None,
    })
}

/// A mistake in reading objects, by its name: what such an `intent` would take an object for.
type Misreading = (&'static str, fn(&mut Event));

const IN_READING: [Misreading; 5] = [
    ("hints are overlooked", |event| endpoints(event, |endpoint| endpoint.hints = None)),
    ("what terminates is gone", |event| {
        slices(event, |slice| slice.endpoints.retain(|one| one.conditions.terminating != Some(true)));
    }),
    ("a terminating entry hides a ready one", |event| {
        slices(event, |slice| {
            let hidden: Vec<_> =
                slice.endpoints.iter().filter(|one| one.conditions.terminating == Some(true)).cloned().collect();
            slice.endpoints.retain(|one| {
                one.conditions.terminating == Some(true) || hidden.iter().all(|other| other.addresses != one.addresses)
            });
        });
    }),
    ("the younger of two Services wins", |event| {
        services(event, |service| {
            let born = service.metadata.creation_timestamp.as_deref() == Some("2026-01-01T00:00:00Z");
            let other = if born { "2026-01-02T00:00:00Z" } else { "2026-01-01T00:00:00Z" };
            service.metadata.creation_timestamp = Some(other.to_owned());
        });
    }),
    ("an address for a proxy is taken for our own", |event| {
        services(event, |service| {
            service.status.load_balancer.ingress.iter_mut().for_each(|ingress| ingress.ip_mode = None);
        });
    }),
];

fn slices(event: &mut Event, change: impl Fn(&mut api::EndpointSlice)) {
    if let Event::Slice(slice) = event {
        change(Arc::make_mut(slice));
    }
}

fn endpoints(event: &mut Event, change: impl Fn(&mut api::Endpoint)) {
    slices(event, |slice| slice.endpoints.iter_mut().for_each(&change));
}

fn services(event: &mut Event, change: impl Fn(&mut api::Service)) {
    if let Event::Service(service) = event {
        change(Arc::make_mut(service));
    }
}

#[test]
fn mistakes_of_intent_contradict_cases_written_by_hand() {
    lab::test(|| {
        let scene = Scene::new();
        let in_the_model =
            IN_THE_MODEL.map(|(name, plant)| (name, computed(&scene, |_| {}).map(|model| spoilt(model, plant))));
        let in_reading = IN_READING.map(|(name, misread)| (name, computed(&scene, misread)));
        let mut node = Node::start(&scene, config());
        let mut there = Family::ALL.map(|family| node.model(family).clone());
        let right = || computed(&scene, |_| {});
        let mistakes = in_the_model.into_iter().chain(in_reading);
        let all = [("no mistake", right())].into_iter().chain(mistakes).chain([("no mistake any more", right())]);
        for (name, model) in all {
            let changes = [0, 1].map(|at| Change::between(&there[at], &model[at]));
            assert_eq!(program(&mut node.dataplane, &changes).unwrap().unserved, [], "{name}");
            let held = scene.nftables().observe().unwrap();
            let difference = [0, 1].map(|at| compare(&model[at], &held[at]).to_string());
            assert_eq!(difference, ["", ""], "{name}: the kernel holds it, and nothing else");
            there = model;
            let found = noticed(&scene);
            println!("{name}: {}", found.first().map_or("", String::as_str));
            assert_eq!(found.is_empty(), name.starts_with("no mistake"), "{name}: {found:?}");
        }
    });
}

/// The Models of the objects of the table, misread.
fn computed(scene: &Scene, misread: impl Fn(&mut Event)) -> [Model; 2] {
    let mut intent = Intent::new(config());
    for mut event in scene.base().into_iter().chain(objects(scene)) {
        misread(&mut event);
        intent.apply(event);
    }
    intent.take_changes();
    Family::ALL.map(|family| intent.model(family).clone())
}

fn spoilt(mut model: Model, plant: fn(&mut Model)) -> Model {
    plant(&mut model);
    model
}
