//! A cold sync: from decoded objects to the kernel's last acknowledgement, in a namespace that knows nothing yet. All sizes,
//! and kube-proxy's layout, take turns.

use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use proxy::Applied;

use super::{node::Node, peer};
use crate::effort::Effort;
use crate::objects::{Pair, pairs};
use crate::protocol::{Slice, Summary};
use crate::report::{Report, Row, figure};

/// The times that kube-proxy's layout takes longer are M4's.
const FASTER: f64 = 250.0;

/// What is written anew in each turn.
struct Variant {
    /// Services and endpoints of each, as `10000x3`.
    size: String,
    pairs: Vec<Pair>,
    writer: Writer,
}

enum Writer {
    /// We; what was written is the same each time.
    Ours(Applied),
    /// `nft -f` with kube-proxy's layout.
    Theirs,
}

pub(super) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let services = effort.choose(10_000, 1_000);
    let mut variants = vec![Variant::ours(services, 10), Variant::ours(services, 3)];
    if !effort.quick {
        variants.push(Variant::ours(45_000, 4));
    }
    if peer::is_installed() {
        variants.push(Variant { writer: Writer::Theirs, ..Variant::ours(services, 3) });
    }
    let rounds = effort.choose(7, 3);
    let summaries = effort.interleave(rounds, &mut variants, Variant::turn)?;
    for (variant, summary) in variants.iter().zip(&summaries) {
        if let Writer::Ours(applied) = &variant.writer {
            add(report, &variant.size, ms(summary), applied);
        }
    }
    let theirs = variants.iter().zip(&summaries).find(|(variant, _)| matches!(variant.writer, Writer::Theirs));
    add_faster(report, effort, &variants[1].size, ms(&summaries[1]), theirs.map(|(_, summary)| ms(summary)));
    Ok(())
}

fn ms(summary: &Summary) -> f64 {
    summary.p50_us / 1e3
}

fn add(report: &mut Report, size: &str, ms: f64, applied: &Applied) {
    let row = Row::new(format!("cold_sync_{size}"), ms, "ms");
    report.add(if size == "45000x4" { row.at_most("M4", 500.0) } else { row });
    report.add(Row::new(format!("cold_sync_{size}_messages"), applied.messages as f64, "messages"));
    report.add(Row::new(format!("cold_sync_{size}_bytes"), applied.bytes as f64, "bytes"));
}

fn add_faster(report: &mut Report, effort: &Effort, size: &str, ours: f64, theirs: Option<f64>) {
    let name = format!("cold_sync_{size}_faster");
    report.add(match theirs {
        Some(theirs) => {
            let against = format!("kube-proxy's layout by nft -f, as often: {} to {} ms", figure(theirs), figure(ours));
            let row = Row::new(name, theirs / ours, "×").against(against);
            // The target is for ten thousand Services: the layout's time grows faster than their number.
            if effort.quick { row } else { row.at_least("M4", FASTER) }
        }
        None => Row::missing(name, "×", "no nft").at_least("M4", FASTER),
    });
}

impl Variant {
    fn ours(services: usize, endpoints: usize) -> Variant {
        let writer = Writer::Ours(Applied::default());
        Variant { size: format!("{services}x{endpoints}"), pairs: pairs(services, endpoints), writer }
    }

    fn turn(&mut self) -> anyhow::Result<Slice> {
        let namespace = Namespace::create()?;
        let taken = match &mut self.writer {
            Writer::Ours(applied) => {
                let (taken, written) = program(&namespace, &self.pairs)?;
                *applied = written;
                taken
            }
            Writer::Theirs => peer::load_into(&namespace, &self.pairs)?.expect("nft is installed"),
        };
        Ok(Slice { latencies: vec![taken], operations: 1, elapsed: taken, ..Slice::default() })
    }
}

fn program(namespace: &Namespace, pairs: &[Pair]) -> anyhow::Result<(Duration, Applied)> {
    let started = Instant::now();
    let mut node = Node::new(namespace)?;
    node.hear(pairs);
    let applied = node.program()?;
    Ok((started.elapsed(), applied))
}
