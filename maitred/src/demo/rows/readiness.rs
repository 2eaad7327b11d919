//! Pods come and go; clients notice nothing but who answers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use lab::{Outcome, Request};

use super::super::probe::{live_in, settled, until};
use super::super::scene::{PATIENCE, Scene};
use super::Seen;
use super::balancing::{WEB, connections};

pub(super) fn off(scene: &mut Scene) -> anyhow::Result<Seen> {
    let (client, to) = (scene.pod("web-0")?, scene.cluster_ip("web", 80)?);
    let begun = std::time::Instant::now();
    scene.set_ready("web-2", false)?;
    settled(&client, to, &BTreeSet::from(["web-0", "web-1"]), 40)?;
    let took = begun.elapsed();
    let counts = connections(&client, to, 200)?.counts(&WEB);
    let ok = counts[2] == 0 && counts[0] > 0 && counts[1] > 0;
    Ok(Seen::new(ok, format!("200 connections: {counts:?}; settled after 40 in a row to the others")).took(took))
}

pub(super) fn on(scene: &mut Scene) -> anyhow::Result<Seen> {
    let (client, to) = (scene.pod("web-0")?, scene.cluster_ip("web", 80)?);
    let took = live_in(&client, to, |outcome| outcome.pod() == Some("web-2"), || scene.set_ready("web-2", true))?;
    Ok(Seen::new(true, "web-2 answers again".to_owned()).took(took))
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
    replaced?;
    let first = failed.first().map(|outcome| format!(", the first {outcome}")).unwrap_or_default();
    let ok = failed.is_empty() && sent >= 1000;
    Ok(Seen::new(ok, format!("{sent} requests, {} failed{first}", failed.len())))
}

/// Sends requests one after the other until the replacement is done, and at least a thousand.
fn requests_until(
    client: &lab::Namespace,
    to: std::net::SocketAddr,
    done: &AtomicBool,
) -> anyhow::Result<(usize, Vec<Outcome>)> {
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

/// Replaces one Pod after the other, as a StatefulSet does: it ends with grace, and comes back under its name.
fn replace_all(scene: &mut Scene, client: &lab::Namespace, to: std::net::SocketAddr) -> anyhow::Result<()> {
    for pod in WEB {
        scene.delete_pod(pod)?;
        scene.apply_some(include_str!("../../../../examples/web.yaml"), |object| object["metadata"]["name"] == pod)?;
        until(client, to, |outcome| outcome.pod() == Some(pod))?;
    }
    Ok(())
}
