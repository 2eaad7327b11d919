//! Choices that are not random: session affinity and zones.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::probe::{settled, until};
use super::super::scene::Scene;
use super::Seen;
use super::balancing::connections;

pub(super) fn affinity(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.pod("web-0")?;
    let applied = Instant::now();
    scene.apply(include_str!("../../../../examples/affinity.yaml"))?;
    let to = scene.cluster_ip("web-sticky", 80)?;
    until(&client, to, |outcome| outcome.pod().is_some())?;
    let took = applied.elapsed();
    let first = connections(&client, to, 20)?;
    let stays = first.failures.is_empty() && first.answers.len() == 1;
    // After the timeout the choice is random again: among so many new choices one is another.
    let mut others = BTreeSet::new();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(2600));
        others.extend(connections(&client, to, 1)?.answers.into_keys());
        if others.iter().any(|pod| !first.answers.contains_key(pod)) {
            break;
        }
    }
    let moves = others.iter().any(|pod| !first.answers.contains_key(pod));
    let text =
        format!("20 connections to {:?}, after the timeout {others:?}", first.answers.keys().collect::<Vec<_>>());
    Ok(Seen::new(stays && moves, text).took(took))
}

pub(super) fn topology(scene: &mut Scene) -> anyhow::Result<Seen> {
    let first = scene.lab.node(0).namespace().clone();
    let applied = Instant::now();
    scene.apply(include_str!("../../../../examples/topology.yaml"))?;
    let to = scene.cluster_ip("web-near", 80)?;
    until(&first, to, |outcome| outcome.pod().is_some())?;
    let took = applied.elapsed();
    // Nodes 0 and 2 are in zone-a, node 1 is in zone-b.
    let mut texts = Vec::new();
    let mut ok = true;
    for (node, near) in [(0, BTreeSet::from(["web-0", "web-2"])), (1, BTreeSet::from(["web-1"]))] {
        let client = scene.lab.node(node).namespace().clone();
        settled(&client, to, &near, 40)?;
        let tally = connections(&client, to, 60)?;
        ok &= tally.failures.is_empty() && tally.answers.keys().map(String::as_str).eq(near);
        let zone = scene.lab.zone(node).unwrap_or_default().to_owned();
        texts.push(format!("from {zone}: {:?}", tally.answers.keys().collect::<Vec<_>>()));
    }
    Ok(Seen::new(ok, texts.join(", ")).took(took))
}
