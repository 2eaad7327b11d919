//! Pods come and go; clients notice nothing but who answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::{Outcome, Request};

use super::super::probe::{live_at, live_in, settled};
use super::super::scene::{PATIENCE, Scene};
use super::Seen;
use super::balancing::{WEB, connections};

/// The time counts from the probe that failed: what the agent makes of it is the write to the API.
pub(super) fn off(scene: &mut Scene) -> anyhow::Result<Seen> {
    let (client, to) = (scene.pod("web-0")?, scene.cluster_ip("web", 80)?);
    scene.set_ready("web-2", false)?;
    let moved = settled(&client, to, &BTreeSet::from(["web-0", "web-1"]), 40)?;
    let took = moved.saturating_duration_since(scene.heard("web-2")?);
    let counts = connections(&client, to, 200)?.counts(&WEB);
    let ok = counts[2] == 0 && counts[0] > 0 && counts[1] > 0;
    let text = format!("200 connections: {counts:?}; time from the failed probe to the first of 40 in a row elsewhere");
    Ok(Seen::new(ok, text).took(took))
}

pub(super) fn on(scene: &mut Scene) -> anyhow::Result<Seen> {
    let (client, to) = (scene.pod("web-0")?, scene.cluster_ip("web", 80)?);
    let answers = live_at(&client, to, |outcome| outcome.pod() == Some("web-2"), || scene.set_ready("web-2", true))?;
    let took = answers.saturating_duration_since(scene.heard("web-2")?);
    Ok(Seen::new(true, "web-2 answers again; time from the probe that succeeded".to_owned()).took(took))
}

pub(super) fn rolling(scene: &mut Scene) -> anyhow::Result<Seen> {
    let (client, to) = (scene.lab.node(0).namespace().clone(), scene.cluster_ip("web", 80)?);
    let done = AtomicBool::new(false);
    let (sent, failed, replaced) = std::thread::scope(|scope| {
        let load = scope.spawn(|| requests_until(&client, to, &done));
        let replaced = replace_all(scene, &client, to);
        done.store(true, Ordering::Relaxed);
        let (sent, failed) = load.join().expect("the load does not panic")?;
        anyhow::Ok((sent, failed, replaced))
    })?;
    let slowest = replaced?;
    let first = failed.first().map(|outcome| format!(", the first {outcome}")).unwrap_or_default();
    let ok = failed.is_empty() && sent >= 1000;
    let text = format!("{sent} requests, {} failed{first}; time from creating a Pod to its first answer", failed.len());
    Ok(Seen::new(ok, text).took(slowest))
}

/// Sends requests one after the other until the replacement is done, and at least a thousand.
fn requests_until(client: &lab::Namespace, to: SocketAddr, done: &AtomicBool) -> anyhow::Result<(usize, Vec<Outcome>)> {
    let request = Request { reset_at_end: true, ..Request::new(to, PATIENCE) };
    let sent = client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut sent, mut failed) = (0, Vec::new());
        while sent < 1000 || !done.load(Ordering::Relaxed) {
            let outcome = runtime.block_on(request.send_here());
            sent += 1;
            if outcome.pod().is_none() {
                failed.push(outcome);
            }
        }
        std::io::Result::Ok((sent, failed))
    })?;
    Ok(sent?)
}

/// Replaces one Pod after the other, as a StatefulSet does: it ends with grace, and comes back under its name. Returns the
/// longest time from before a Pod was created to its first answer.
fn replace_all(scene: &mut Scene, client: &lab::Namespace, to: SocketAddr) -> anyhow::Result<Duration> {
    let mut slowest = Duration::ZERO;
    for pod in WEB {
        scene.delete_pod(pod)?;
        let created = || {
            let manifest = include_str!("../../../../examples/web.yaml");
            scene.apply_some(manifest, |object| object["metadata"]["name"] == pod)
        };
        slowest = slowest.max(live_in(client, to, |outcome| outcome.pod() == Some(pod), created)?);
    }
    Ok(slowest)
}
