//! One endpoint of one Service is exchanged: from the decoded event to the kernel's acknowledgement. Few and many Services
//! take turns, each in a namespace of its own.

use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use proxy::Applied;

use super::node::Node;
use crate::effort::Effort;
use crate::machine;
use crate::objects::{Pair, endpoint_addresses, pair, pairs};
use crate::protocol::{Slice, Summary};
use crate::random::Random;
use crate::report::{Report, Row, figure};

/// Endpoints per Service.
const ENDPOINTS: usize = 4;
/// The Service whose messages are counted.
const COUNTED: usize = 7;

/// A node with so many Services.
struct Variant {
    services: usize,
    node: Node,
    random: Random,
    /// How many endpoints were exchanged so far.
    changes: usize,
    /// The rules go with their namespace.
    _namespace: Namespace,
}

pub(super) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let sizes = effort.choose(&[10, 10_000, 45_000][..], &[10, 10_000][..]);
    let mut variants = sizes.iter().map(|services| Variant::new(*services)).collect::<anyhow::Result<Vec<_>>>()?;
    let changes = effort.choose(2_000, 500) / effort.rounds;
    let summaries = effort.interleave(effort.rounds, &mut variants, |variant| variant.turn(changes))?;
    for (variant, summary) in variants.iter_mut().zip(&summaries) {
        // One that is always the same: the names of maps differ in length.
        let (_, applied) = variant.exchange(COUNTED)?;
        add(report, variant.services, summary, &summaries[0], &applied);
    }
    Ok(())
}

fn add(report: &mut Report, services: usize, summary: &Summary, few: &Summary, applied: &Applied) {
    let row = Row::new(format!("endpoint_change_{services}_p50"), summary.p50_us, "µs");
    report.add(row.against(format!("among 10 Services: {} µs", figure(few.p50_us))));
    let row = Row::new(format!("endpoint_change_{services}_p99"), summary.p99_us, "µs");
    report.add(if services == 45_000 { row.at_most("M6", 200.0) } else { row });
    report.add(Row::new(format!("endpoint_change_{services}_messages"), applied.messages as f64, "messages"));
    report.add(Row::new(format!("endpoint_change_{services}_bytes"), applied.bytes as f64, "bytes"));
}

impl Variant {
    fn new(services: usize) -> anyhow::Result<Variant> {
        let namespace = Namespace::create()?;
        let mut node = Node::new(&namespace)?;
        node.hear(&pairs(services, ENDPOINTS));
        node.program()?;
        Ok(Variant { services, node, random: Random::new(7), changes: 0, _namespace: namespace })
    }

    /// So many changes, of Services by chance.
    fn turn(&mut self, changes: usize) -> anyhow::Result<Slice> {
        let (busy, started) = (machine::busy(), Instant::now());
        let mut latencies = Vec::with_capacity(changes);
        for _ in 0..changes {
            let number = self.random.below(self.services);
            latencies.push(self.exchange(number)?.0);
        }
        let busy = machine::busy().saturating_sub(busy);
        Ok(Slice { operations: changes as u64, latencies, elapsed: started.elapsed(), busy })
    }

    /// One endpoint of this Service gives way to another, and comes back. How long the first of both took, and what was
    /// written for it.
    fn exchange(&mut self, number: usize) -> anyhow::Result<(Duration, Applied)> {
        let mut endpoints = endpoint_addresses(number, ENDPOINTS);
        let before = pair(number, &endpoints);
        // None of these addresses belongs to any Service, and no two turns in a row have the same.
        endpoints[self.changes % ENDPOINTS] = endpoint_addresses(1_000_000 + self.changes, ENDPOINTS)[0];
        self.changes += 1;
        let exchanged = self.program(&pair(number, &endpoints))?;
        self.program(&before)?;
        Ok(exchanged)
    }

    fn program(&mut self, changed: &Pair) -> anyhow::Result<(Duration, Applied)> {
        let started = Instant::now();
        self.node.hear_slice(changed);
        let applied = self.node.program()?;
        Ok((started.elapsed(), applied))
    }
}
