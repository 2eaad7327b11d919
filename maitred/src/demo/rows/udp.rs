//! UDP has no connections to break: the kernel's memory of a flow has to be cleaned when its endpoint goes (S-330).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lab::{Outcome, UdpFlow};

use super::super::probe::{settled, until};
use super::super::scene::Scene;
use super::Seen;

const EVERY: Duration = Duration::from_millis(10);
/// How long the flow is watched after the kill.
const AFTER: Duration = Duration::from_millis(500);

pub(super) fn moves_on(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.lab.node(1).namespace().clone();
    let (tcp, udp) = (scene.cluster_ip("web", 80)?, scene.cluster_ip("web", 7)?);
    for other in ["web-1", "web-2"] {
        scene.set_ready(other, false)?;
    }
    settled(&client, tcp, &BTreeSet::from(["web-0"]), 40)?;
    let flow = UdpFlow::start(&client, udp, EVERY)?;
    let begun = Instant::now();
    // One Pod takes over from the other; the socket keeps its port, so the kernel keeps the flow unless it is told.
    scene.set_ready("web-1", true)?;
    scene.await_ready("web-1")?;
    until(&client, tcp, |outcome| outcome.pod() == Some("web-1"))?;
    let killed = begun.elapsed();
    scene.kill_pod("web-0")?;
    std::thread::sleep(AFTER);
    let record = flow.stop();
    restore(scene)?;
    let answered = |pod: &str| record.iter().filter(|datagram| datagram.outcome.pod() == Some(pod)).count();
    let silent = record.iter().filter(|datagram| datagram.sent > killed && datagram.outcome.pod().is_none()).count();
    let moved = record.iter().find(|datagram| datagram.sent > killed && datagram.outcome.pod() == Some("web-1"));
    let last = record.last().and_then(|datagram| datagram.outcome.pod().map(str::to_owned));
    let before = record.iter().rfind(|datagram| datagram.sent < killed).and_then(|datagram| datagram.outcome.pod());
    let ok = before == Some("web-0") && moved.is_some() && last.as_deref() == Some("web-1");
    let text = format!(
        "{} answers of web-0, then {} of web-1; {silent} not answered within {} ms after the kill",
        answered("web-0"),
        answered("web-1"),
        EVERY.as_millis()
    );
    let seen = Seen::new(ok, text);
    Ok(match moved {
        Some(moved) => seen.took((moved.sent + latency(&moved.outcome)).saturating_sub(killed)),
        None => seen,
    })
}

fn latency(outcome: &Outcome) -> Duration {
    match outcome {
        Outcome::Answer { latency, .. } => *latency,
        _ => Duration::ZERO,
    }
}

/// Leaves the Pods as they were.
fn restore(scene: &mut Scene) -> anyhow::Result<()> {
    scene.apply_some(include_str!("../../../../examples/web.yaml"), |object| object["metadata"]["name"] == "web-0")?;
    scene.set_ready("web-2", true)?;
    ["web-0", "web-2"].iter().try_for_each(|pod| scene.await_ready(pod))
}
