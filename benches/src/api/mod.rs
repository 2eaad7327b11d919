//! The whole way through the API: from a write to the first packet, durable writes, and what the processes hold in memory.

mod etcd;
mod first_packet;
mod memory;
mod scene;
mod store;

use crate::effort::Effort;
use crate::report::Report;
use scene::Scene;

/// The few Services.
const FEW: usize = 10;

pub(crate) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    store::measure(effort, report)?;
    let many = effort.choose(10_000, 1_000);
    let scenes = [Scene::start(FEW)?, Scene::start(many)?];
    first_packet::measure(effort, report, &scenes)?;
    memory::measure(report, &scenes)
}
