//! UDP has no connections to break: the kernel's memory of a flow has to be cleaned when its endpoint goes (S-330).

use std::collections::BTreeSet;
use std::time::Duration;

use lab::UdpFlow;

use super::super::probe::settled;
use super::super::scene::Scene;
use super::Seen;

const EVERY: Duration = Duration::from_millis(10);

pub(super) fn moves_on(scene: &mut Scene) -> anyhow::Result<Seen> {
    let client = scene.lab.node(1).namespace().clone();
    let (tcp, udp) = (scene.cluster_ip("web", 80)?, scene.cluster_ip("web", 7)?);
    for other in ["web-1", "web-2"] {
        scene.set_ready(other, false)?;
    }
    settled(&client, tcp, &BTreeSet::from(["web-0"]), 40)?;
    let flow = UdpFlow::start(&client, udp, EVERY)?;
    std::thread::sleep(Duration::from_millis(200));
    // One Pod takes over from the other; the socket keeps its port, so the kernel keeps the flow unless it is told.
    scene.set_ready("web-1", true)?;
    settled(&client, tcp, &BTreeSet::from(["web-0", "web-1"]), 1)?;
    scene.set_ready("web-0", false)?;
    std::thread::sleep(Duration::from_millis(500));
    let record = flow.stop();
    scene.set_ready("web-0", true)?;
    scene.set_ready("web-2", true)?;
    let answered = |pod: &str| record.iter().filter(|datagram| datagram.outcome.pod() == Some(pod)).count();
    let lost = record.iter().filter(|datagram| datagram.outcome.pod().is_none()).count();
    let last = record.last().and_then(|datagram| datagram.outcome.pod().map(str::to_owned));
    let ok = answered("web-0") > 0 && last.as_deref() == Some("web-1");
    let text = format!("{} answers of web-0, then {} of web-1, {lost} lost", answered("web-0"), answered("web-1"));
    Ok(Seen::new(ok, text))
}
