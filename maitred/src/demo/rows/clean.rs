//! The proof: what each node's kernel holds is what the API says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{EndpointSlice, List, Node, Resource, Service, ServiceCidr};
use http::Method;
use intent::{Config, Detector, Event, Intent};
use model::{Family, compare};
use proxy::{Dataplane as _, Nftables};

use super::super::probe::until;
use super::super::scene::{PATIENCE, Scene};
use super::Seen;

/// After one more write has arrived. What the last rows changed may still be on its way to other nodes, so a difference
/// counts only if it stays.
pub(super) fn verify(scene: &mut Scene) -> anyhow::Result<Seen> {
    let begun = Instant::now();
    let last = scene.create_service("last")?;
    until(&scene.lab.node(0).namespace().clone(), last, |outcome| outcome.pod().is_some())?;
    let took = begun.elapsed();
    loop {
        let (frontends, differences) = look(scene)?;
        if !differences.is_empty() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let text = match differences.is_empty() {
            true => format!("{} nodes, {frontends} frontends, no difference", scene.lab.nodes().len()),
            false => differences.join("; "),
        };
        return Ok(Seen::new(differences.is_empty(), text).took(took));
    }
}

/// How many frontends the nodes' kernels hold, and what differs from what the API says.
fn look(scene: &Scene) -> anyhow::Result<(usize, Vec<String>)> {
    let mut differences = Vec::new();
    let mut frontends = 0;
    for node in scene.lab.nodes() {
        let intended = intended(scene, node.name())?;
        let observed = node.run(|| Nftables::open()?.observe())??;
        for family in Family::ALL {
            let observed = observed.iter().find(|model| model.family == family).expect("both families are observed");
            frontends += observed.frontends.len();
            let difference = compare(intended.model(family), observed);
            if !difference.is_empty() {
                differences.push(format!("{}: {difference}", node.name()));
            }
        }
    }
    Ok((frontends, differences))
}

/// What the API says a node's data path is to be.
fn intended(scene: &Scene, node: &str) -> anyhow::Result<Intent> {
    let config = Config { node_name: node.to_owned(), detector: Detector::NodeCidr, ..Config::default() };
    let mut intent = Intent::new(config);
    let events = [
        events::<Node>(scene, Event::Node)?,
        events::<ServiceCidr>(scene, Event::ServiceCidr)?,
        events::<Service>(scene, Event::Service)?,
        events::<EndpointSlice>(scene, Event::Slice)?,
    ];
    events.into_iter().flatten().for_each(|event| intent.apply(event));
    intent.take_changes();
    Ok(intent)
}

fn events<T: Resource>(scene: &Scene, event: fn(Arc<T>) -> Event) -> anyhow::Result<Vec<Event>> {
    let list: List<T> = scene.api(|cluster| async move {
        cluster.send(Method::GET, &cluster::path::<T>("", ""), "application/json", None).await
    })?;
    Ok(list.items.into_iter().map(|item| event(Arc::new(item))).collect())
}
