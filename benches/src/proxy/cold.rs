//! A cold sync: from decoded objects to the kernel's last acknowledgement, in a namespace that knows nothing yet.

use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use proxy::Applied;

use super::{node::Node, peer};
use crate::effort::Effort;
use crate::objects::{Pair, pairs};
use crate::protocol::{median, micros};
use crate::report::{Report, Row, figure};

/// The times that kube-proxy's layout takes longer are M4's.
const FASTER: f64 = 250.0;

pub(super) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let services = effort.choose(10_000, 1_000);
    let large = Sync::measure(effort, &pairs(services, 10))?;
    report.add(Row::new(format!("cold_sync_{services}x10"), large.ms, "ms"));
    report.add(Row::new(format!("cold_sync_{services}x10_messages"), large.applied.messages as f64, "messages"));
    report.add(Row::new(format!("cold_sync_{services}x10_bytes"), large.applied.bytes as f64, "bytes"));

    let ours = Sync::measure(effort, &pairs(services, 3))?;
    report.add(Row::new(format!("cold_sync_{services}x3"), ours.ms, "ms"));
    let faster = format!("cold_sync_{services}x3_faster");
    report.add(match peer::load(services, 3)? {
        Some(theirs) => {
            let theirs = micros(theirs) / 1e3;
            let against = format!("kube-proxy's layout by nft -f: {} ms", figure(theirs));
            let row = Row::new(faster, theirs / ours.ms, "×").against(against);
            // The target is for ten thousand Services: the layout's time grows faster than their number.
            if effort.quick { row } else { row.at_least("M4", FASTER) }
        }
        None => Row::missing(faster, "×", "no nft").at_least("M4", FASTER),
    });
    if !effort.quick {
        let many = Sync::measure(effort, &pairs(45_000, 4))?;
        report.add(Row::new("cold_sync_45000x4", many.ms, "ms").at_most("M4", 500.0));
    }
    Ok(())
}

/// One cold sync of several.
struct Sync {
    ms: f64,
    applied: Applied,
}

impl Sync {
    /// The median time; messages and bytes are the same each time.
    fn measure(effort: &Effort, pairs: &[Pair]) -> anyhow::Result<Sync> {
        let mut times = Vec::new();
        let mut applied = Applied::default();
        for _ in 0..effort.choose(7, 3) {
            let (time, written) = once(pairs)?;
            times.push(micros(time) / 1e3);
            applied = written;
        }
        Ok(Sync { ms: median(times), applied })
    }
}

fn once(pairs: &[Pair]) -> anyhow::Result<(Duration, Applied)> {
    let namespace = Namespace::create()?;
    let started = Instant::now();
    let mut node = Node::new(&namespace)?;
    node.hear(pairs);
    let applied = node.program()?;
    Ok((started.elapsed(), applied))
}
