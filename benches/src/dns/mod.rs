//! Answers per second of the DNS server on one processor, and the time of one answer, against a bare UDP echo.

mod echo;
mod load;
mod nsd;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use kernel::netns::Namespace;

use crate::effort::Effort;
use crate::protocol::{Slice, Summary};
use crate::report::{Report, Row, figure};
use load::Load;

/// The processor of the servers.
const SERVER_CPU: usize = 0;
/// The processor of the generator while it is seen how many answers a server can give.
const GENERATOR_CPU: usize = 1;
/// How many names there are.
const NAMES: usize = 10_000;
/// How many queries are under way.
const IN_FLIGHT: usize = 64;

/// A server that is asked.
struct Variant {
    name: &'static str,
    load: Load,
}

pub(crate) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let namespace = Namespace::create()?;
    let address = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let _echo = echo::Echo::start(&namespace, address(7), SERVER_CPU)?;
    let _server = server::start(&namespace, address(53), NAMES, SERVER_CPU)?;
    let load = |to| Load { namespace: namespace.clone(), to, names: NAMES };
    let mut variants =
        vec![Variant { name: "echo", load: load(address(7)) }, Variant { name: "dns", load: load(address(53)) }];
    let nsd = nsd::Nsd::start(&namespace, address(5353), NAMES, SERVER_CPU, &effort.scratch)?;
    variants.extend(nsd.is_some().then(|| Variant { name: "nsd", load: load(address(5353)) }));

    let many = take_turns(effort, &mut variants, IN_FLIGHT, GENERATOR_CPU)?;
    let one = take_turns(effort, &mut variants, 1, SERVER_CPU)?;
    add_rates(report, &variants, &many);
    add_latencies(report, &variants, &one);
    Ok(())
}

fn take_turns(effort: &Effort, variants: &mut [Variant], in_flight: usize, cpu: usize) -> anyhow::Result<Vec<Summary>> {
    let turn = |variant: &mut Variant| -> anyhow::Result<Slice> { variant.load.turn(effort.slice, in_flight, cpu) };
    effort.interleave(effort.rounds, variants, turn)
}

fn of<'a>(variants: &[Variant], summaries: &'a [Summary], name: &str) -> Option<&'a Summary> {
    variants.iter().zip(summaries).find(|(variant, _)| variant.name == name).map(|(_, summary)| summary)
}

fn add_rates(report: &mut Report, variants: &[Variant], summaries: &[Summary]) {
    let rate = |name| of(variants, summaries, name).map(|summary| summary.rate);
    let (ours, echo) = (rate("dns").unwrap_or_default(), rate("echo").unwrap_or_default());
    report.add(Row::new("dns_answers_per_core", ours, "/s"));
    let row = Row::new("dns_to_echo", ours / echo, "×");
    report.add(row.against(format!("echo with the same batched calls: {} /s", figure(echo))).at_least("M8", 0.75));
    report.add(
        match rate("nsd") {
            Some(nsd) => Row::new("dns_to_nsd", ours / nsd, "×").against(format!("NSD: {} /s", figure(nsd))),
            None => Row::missing("dns_to_nsd", "×", "no nsd"),
        }
        .at_least("M8", 1.0),
    );
    report.add(Row::missing("dns_to_coredns", "×", "no CoreDNS").at_least("M8", 2.4));
}

fn add_latencies(report: &mut Report, variants: &[Variant], summaries: &[Summary]) {
    let summary = |name| of(variants, summaries, name).copied().unwrap_or_default();
    let (ours, echo) = (summary("dns"), summary("echo"));
    let row = Row::new("dns_one_in_flight_p50", ours.p50_us, "µs");
    report.add(row.against(format!("echo: {} µs", figure(echo.p50_us))));
    report.add(Row::new("dns_one_in_flight_p99", ours.p99_us, "µs"));
    report.add(Row::new("dns_to_echo_p50", ours.p50_us / echo.p50_us, "×").against("echo"));
}

/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_millis(100);
