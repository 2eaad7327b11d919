//! The rules are the kernel's, and Pods have parents of their own: an agent, and the proxy in it, may die and come back.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use lab::Sessions;

use super::super::probe::{live_in, settled};
use super::super::scene::{PATIENCE, Scene};
use super::Seen;

const CONNECTIONS: usize = 50;

pub(super) fn proxy(scene: &mut Scene) -> anyhow::Result<Seen> {
    let to = scene.cluster_ip("web", 80)?;
    let client = scene.lab.node(1).namespace().clone();
    let sessions = Sessions::open(&client, to, CONNECTIONS, Duration::from_millis(10), PATIENCE)?;
    scene.agents[1].kill();
    // While nobody watches, a Service comes to be.
    let new = scene.create_service("meanwhile")?;
    std::thread::sleep(Duration::from_millis(200));
    let mut started = None;
    let took = live_in(
        &client,
        new,
        |outcome| outcome.pod().is_some(),
        || {
            started = Some(scene.start_agent(1)?);
            Ok(())
        },
    )?;
    scene.agents[1] = started.expect("it was started");
    std::thread::sleep(Duration::from_millis(200));
    let report = sessions.close();
    let ok = report.breaks.is_empty() && report.pods.values().sum::<u64>() == CONNECTIONS as u64;
    let text = format!(
        "{} exchanges, {} of {CONNECTIONS} connections broke; the Service made meanwhile is served; time from the new proxy's start",
        report.exchanges,
        report.breaks.len()
    );
    Ok(Seen::new(ok, text).took(took))
}

pub(super) fn agent(scene: &mut Scene) -> anyhow::Result<Seen> {
    let (to, client) = (scene.cluster_ip("web", 80)?, scene.lab.client().namespace().clone());
    let node = scene.node_of("web-1")?;
    let parent = scene.pod_parent("web-1")?;
    scene.agents[node].kill();
    // The Pod answers by itself, and what it says of its readiness meanwhile is for the next agent.
    let alone = SocketAddr::new(node_address(scene, node)?, 30081);
    let answered = lab::http_get(&client, alone, PATIENCE)?;
    scene.set_ready("web-1", false)?;
    scene.agents[node] = scene.start_agent(node)?;
    let moved = settled(&scene.lab.node(0).namespace().clone(), to, &BTreeSet::from(["web-0", "web-2"]), 40)?;
    // The next agent's first probe is what it tells the API of.
    let took = moved.saturating_duration_since(scene.heard("web-1")?);
    scene.set_ready("web-1", true)?;
    scene.await_ready("web-1")?;
    let restarts = scene.restarts("web-1")?;
    let same = scene.pod_parent("web-1")? == parent;
    let ok = answered.pod() == Some("web-1") && same && restarts == 0;
    let text = format!(
        "web-1 {answered} without an agent; the next one adopts it: {same}, {restarts} restarts; time from its first probe, which fails"
    );
    Ok(Seen::new(ok, text).took(took))
}

fn node_address(scene: &Scene, node: usize) -> anyhow::Result<IpAddr> {
    scene.lab.node(node).ips().v4.map(IpAddr::V4).context("a node has an IPv4 address")
}
