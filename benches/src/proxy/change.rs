//! One endpoint of one Service is exchanged: from the decoded event to the kernel's acknowledgement.

use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use proxy::Applied;

use super::node::Node;
use crate::effort::Effort;
use crate::objects::{endpoint_addresses, pair, pairs};
use crate::protocol::{micros, percentile};
use crate::random::Random;
use crate::report::{Report, Row, figure};

/// Endpoints per Service.
const ENDPOINTS: usize = 4;
/// The Service whose messages are counted.
const COUNTED: usize = 7;

pub(super) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let mut few: Option<f64> = None;
    for services in effort.choose(&[10, 10_000, 45_000][..], &[10, 10_000][..]) {
        let (times, applied) = changes(*services, effort.choose(2_000, 500))?;
        let (p50, p99) = (micros(percentile(&times, 50.0)), micros(percentile(&times, 99.0)));
        let row = Row::new(format!("endpoint_change_{services}_p50"), p50, "µs");
        let among_few = *few.get_or_insert(p50);
        report.add(row.against(format!("among 10 Services: {} µs", figure(among_few))));
        let row = Row::new(format!("endpoint_change_{services}_p99"), p99, "µs");
        report.add(if *services == 45_000 { row.at_most("M6", 200.0) } else { row });
        report.add(Row::new(format!("endpoint_change_{services}_messages"), applied.messages as f64, "messages"));
        report.add(Row::new(format!("endpoint_change_{services}_bytes"), applied.bytes as f64, "bytes"));
    }
    Ok(())
}

/// How long each of so many changes took among so many Services, and what was written for one that is always the same: the
/// names of maps differ in length.
fn changes(services: usize, count: usize) -> anyhow::Result<(Vec<Duration>, Applied)> {
    let namespace = Namespace::create()?;
    let mut node = Node::new(&namespace)?;
    node.hear(&pairs(services, ENDPOINTS));
    node.program()?;
    let mut random = Random::new(7);
    let mut times = Vec::with_capacity(count);
    let mut applied = Applied::default();
    for turn in 0..count {
        let number = if turn + 1 == count { COUNTED } else { random.below(services) };
        let mut endpoints = endpoint_addresses(number, ENDPOINTS);
        // None of these addresses belongs to any Service, and no two turns in a row have the same.
        endpoints[turn % ENDPOINTS] = endpoint_addresses(1_000_000 + turn, ENDPOINTS)[0];
        let changed = pair(number, &endpoints);
        let started = Instant::now();
        node.hear_slice(&changed);
        applied = node.program()?;
        times.push(started.elapsed());
        node.hear_slice(&pair(number, &endpoint_addresses(number, ENDPOINTS)));
        node.program()?;
    }
    Ok((times, applied))
}
