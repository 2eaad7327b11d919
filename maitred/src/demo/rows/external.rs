//! From outside: node ports, traffic policies, load-balancer addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use api::Service;
use lab::Outcome;
use serde_json::json;

use super::super::probe::{live_in, until};
use super::super::scene::Scene;
use super::Seen;
use super::balancing::connections;

const NODE_PORTS: &str = include_str!("../../../../examples/node-port.yaml");

pub(super) fn node_port(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.lab.client().namespace().clone();
    let applied = Instant::now();
    scene.apply_some(NODE_PORTS, |object| object["metadata"]["name"] == "web-everywhere")?;
    let mut took = None;
    let mut ok = true;
    let mut asked = 0;
    let mut sources = BTreeSet::new();
    for address in node_addresses(scene) {
        let to = SocketAddr::new(address, 30080);
        until(&client, to, |outcome| outcome.pod().is_some())?;
        took.get_or_insert(applied.elapsed());
        let tally = connections(&client, to, 60)?;
        ok &= tally.failures.is_empty() && tally.answers.len() == 3;
        sources.extend(tally.sources);
        asked += 1;
    }
    let masqueraded = scene.lab.client().ips().iter().all(|own| !sources.contains(&own));
    let text = format!("{asked} node addresses lead to all 3 Pods; the client's address is hidden: {masqueraded}");
    Ok(Seen { took, ..Seen::new(ok && masqueraded, text) })
}

pub(super) fn local(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.lab.client().namespace().clone();
    let own: BTreeSet<IpAddr> = scene.lab.client().ips().iter().collect();
    let applied = Instant::now();
    scene.apply_some(NODE_PORTS, |object| object["metadata"]["name"] == "web-local")?;
    let mut took = None;
    let mut ok = true;
    let mut seen = BTreeSet::new();
    for address in node_addresses(scene) {
        let to = SocketAddr::new(address, 30081);
        until(&client, to, |outcome| outcome.pod().is_some())?;
        took.get_or_insert(applied.elapsed());
        let tally = connections(&client, to, 20)?;
        ok &= tally.failures.is_empty() && tally.answers.len() == 1 && tally.sources.is_subset(&own);
        seen.extend(tally.sources);
    }
    let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
    let text = format!("each node answers by its own Pod, which sees the client as {}", seen.join(" and "));
    Ok(Seen { took, ..Seen::new(ok, text) })
}

fn node_addresses(scene: &Scene) -> Vec<IpAddr> {
    scene.lab.nodes().iter().flat_map(|node| node.ips().iter().collect::<Vec<_>>()).collect()
}

pub(super) fn load_balancer(scene: &mut Scene) -> anyhow::Result<Seen> {
    scene.apply(include_str!("../../../../examples/load-balancer.yaml"))?;
    let ingress: IpAddr = [172, 31, 0, 130].into();
    let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": ingress.to_string() }] } } });
    let to = SocketAddr::new(ingress, 80);
    let client = scene.lab.client().namespace().clone();
    let announce = || {
        let patched = scene
            .api(move |cluster| async move { cluster.patch_status::<Service>("default", "web-public", &status).await });
        patched.map(drop)
    };
    let took = live_in(&client, to, |outcome| outcome.pod().is_some(), announce)?;
    let allowed = connections(&client, to, 30)?;
    let stranger = scene.lab.add_client(1)?;
    for range in scene.lab.config().client_routes.clone() {
        let via = scene.lab.node(range.1).ips().v4.map(IpAddr::V4);
        let via = via.ok_or_else(|| anyhow::anyhow!("the node has an IPv4 address"))?;
        stranger.replace_route(&lab::Route::new(range.0).via(via))?;
    }
    let refused = lab::http_get(stranger.namespace(), to, Duration::from_millis(300))?;
    let ok = allowed.failures.is_empty() && refused == Outcome::Timeout;
    Ok(Seen::new(ok, format!("the client in range is answered, one outside of it {refused}")).took(took))
}
