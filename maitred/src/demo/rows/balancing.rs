//! Cluster IPs: every connection to a random ready Pod, and refusal where there is none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::{Burst, Outcome, Tally, Transport, burst, distribution};
use serde_json::json;

use super::super::probe::{live_in, until};
use super::super::scene::{PATIENCE, Scene};
use super::Seen;

pub(super) const WEB: [&str; 3] = ["web-0", "web-1", "web-2"];

pub(super) fn balancing(scene: &mut Scene) -> anyhow::Result<Seen> {
    let manifest = include_str!("../../../../examples/web.yaml");
    scene.apply_some(manifest, |object| object["kind"] == "Service")?;
    let client = scene.lab.node(1).namespace().clone();
    let addresses = scene.cluster_ips("web", 80)?;
    // From before the first Pod is created until it answers: its processes are started on the way.
    let took = live_in(
        &client,
        addresses[0],
        |outcome| outcome.pod().is_some(),
        || scene.apply_some(manifest, |object| object["kind"] == "Pod"),
    )?;
    for address in &addresses {
        for pod in WEB {
            until(&client, *address, |outcome| outcome.pod() == Some(pod))?;
        }
    }
    let inside = scene.pod("web-0")?;
    let mut texts = Vec::new();
    let mut ok = true;
    for address in addresses {
        let tally = connections(&inside, address, 600)?;
        let counts = tally.counts(&WEB);
        ok &= tally.failures.is_empty() && even(&inside, address, &counts)?;
        texts.push(format!("{} {counts:?}", if address.is_ipv4() { "IPv4" } else { "IPv6" }));
    }
    Ok(Seen::new(ok, format!("answers by Pod: {}", texts.join(", "))).took(took))
}

/// A write gives a Service its second family; both protocols by both, and the endpoint sees the client by the one it used.
pub(super) fn dual_stack(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.pod("web-0")?;
    scene.apply(include_str!("../../../../examples/dual-stack.yaml"))?;
    until(&client, scene.cluster_ip("web-both", 80)?, |outcome| outcome.pod().is_some())?;
    let second = json!({ "spec": { "ipFamilyPolicy": "PreferDualStack" } });
    let written = Instant::now();
    scene.patch_service("web-both", second)?;
    let added = scene.cluster_ips("web-both", 80)?.into_iter().find(SocketAddr::is_ipv6);
    until(&client, added.context("the Service has an IPv6 address")?, |outcome| outcome.pod().is_some())?;
    let took = written.elapsed();
    let mut ok = true;
    let mut texts = Vec::new();
    for (protocol, port) in [("TCP", 80), ("UDP", 7)] {
        for to in scene.cluster_ips("web-both", port)? {
            let outcome = match protocol {
                "TCP" => lab::http_get(&client, to, PATIENCE)?,
                _ => lab::udp_ask(&client, to, PATIENCE)?,
            };
            ok &= matches!(&outcome, Outcome::Answer { answer, .. } if answer.client.is_ipv4() == to.is_ipv4());
            texts.push(format!("{protocol} {to} {outcome}"));
        }
    }
    Ok(Seen::new(ok && texts.len() == 4, texts.join(", ")).took(took))
}

/// Whether the counts are those of a fair choice; an unlucky sample is taken once more, twice as large.
fn even(client: &lab::Namespace, to: SocketAddr, counts: &[u64]) -> anyhow::Result<bool> {
    if distribution::is_uniform(counts) {
        return Ok(true);
    }
    let again = connections(client, to, 1200)?.counts(&WEB);
    eprintln!("uneven: {counts:?}; again: {again:?}");
    Ok(distribution::is_uniform(&again))
}

pub(super) fn connections(client: &lab::Namespace, to: SocketAddr, count: usize) -> anyhow::Result<Tally> {
    Ok(burst(
        client,
        &Burst { transport: Transport::Tcp, to, connections: count, at_once: 16, timeout: Duration::from_secs(2) },
    )?)
}

pub(super) fn refused(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.pod("web-1")?;
    let applied = Instant::now();
    scene.apply(include_str!("../../../../examples/empty.yaml"))?;
    let mut took = None;
    let mut worst = Duration::ZERO;
    let mut ok = true;
    let mut texts = Vec::new();
    for address in scene.cluster_ips("nobody", 80)? {
        until(&client, address, |outcome| *outcome == Outcome::Refused)?;
        took.get_or_insert(applied.elapsed());
        let begun = Instant::now();
        let outcome = lab::http_get(&client, address, PATIENCE)?;
        worst = worst.max(begun.elapsed());
        ok &= outcome == Outcome::Refused;
        texts.push(format!("{} {outcome}", address.ip()));
    }
    ok &= worst < Duration::from_millis(500);
    let text = format!("{}, at the latest after {:.1} ms", texts.join(", "), worst.as_secs_f64() * 1e3);
    Ok(Seen { took, ..Seen::new(ok, text) })
}
