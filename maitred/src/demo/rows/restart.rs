//! The rules are the kernel's: a proxy may die and come back.

use std::time::Duration;

use lab::Sessions;
use serde_json::json;

use super::super::probe::live_in;
use super::super::scene::{PATIENCE, Scene};
use super::Seen;

const CONNECTIONS: usize = 50;

pub(super) fn proxy(scene: &mut Scene) -> anyhow::Result<Seen> {
    let to = scene.cluster_ip("web", 80)?;
    let client = scene.lab.node(1).namespace().clone();
    let sessions = Sessions::open(&client, to, CONNECTIONS, Duration::from_millis(10), PATIENCE)?;
    scene.proxies[1].kill();
    // While nobody watches, a Service comes to be.
    let service = json!({
        "metadata": { "name": "meanwhile" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    scene.api(move |cluster| async move { cluster.create::<api::Service>("default", service).await })?;
    let new = scene.cluster_ip("meanwhile", 80)?;
    std::thread::sleep(Duration::from_millis(200));
    let mut started = None;
    let took = live_in(
        &client,
        new,
        |outcome| outcome.pod().is_some(),
        || {
            started = Some(scene.start_proxy(1)?);
            Ok(())
        },
    )?;
    scene.proxies[1] = started.expect("it was started");
    std::thread::sleep(Duration::from_millis(200));
    let report = sessions.close();
    let ok = report.breaks.is_empty() && report.pods.values().sum::<u64>() == CONNECTIONS as u64;
    let text = format!(
        "{} exchanges, {} of {CONNECTIONS} connections broke; the Service made meanwhile is served",
        report.exchanges,
        report.breaks.len()
    );
    Ok(Seen::new(ok, text).took(took))
}
