//! The data path of a node: what connections through Services cost, and what it costs to program the kernel.

mod change;
mod cold;
mod connect;
mod kube_proxy;
mod node;
mod peer;
mod tcp;
mod trio;

use crate::effort::Effort;
use crate::report::Report;

pub(crate) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    cold::measure(effort, report)?;
    change::measure(effort, report)?;
    connect::measure(effort, report)
}
