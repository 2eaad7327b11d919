//! Connections through a cluster IP, among few and many Services, against the same server reached directly.

use std::net::SocketAddr;

use super::node::Node;
use super::peer;
use super::tcp::{Client, Server};
use super::trio::{SERVERS, Trio};
use crate::effort::Effort;
use crate::objects::{PORT, Pair, TARGET_PORT, cluster_ip, pair};
use crate::protocol::Summary;
use crate::random::Random;
use crate::report::{Report, Row, figure};

/// Client and server take turns on one processor: to wake another one would hide everything else.
const CPU: usize = 0;

/// Among how many Services, few to many.
const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// kube-proxy's layout is measured among so many, which is what M3 compares with.
const KUBE_PROXY: usize = 1_000;

/// A way to the server, with namespaces of its own.
struct Variant {
    name: String,
    client: Client,
    _server: Server,
    _trio: Trio,
}

pub(super) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let mut variants = vec![direct()?];
    for services in SIZES {
        variants.push(through_services(services)?);
    }
    variants.extend(through_kube_proxy(KUBE_PROXY)?);
    let summaries = effort.interleave(effort.rounds, &mut variants, |variant| variant.client.turn(effort.slice))?;
    let (direct, others) = summaries.split_first().expect("the direct way is a variant");
    add_direct(report, direct);
    for (variant, summary) in variants.iter().skip(1).zip(others) {
        add_through(report, &variant.name, summary, direct);
    }
    add_to_kube_proxy(report, &others[SIZES.len() - 1], others.get(SIZES.len()));
    Ok(())
}

fn add_direct(report: &mut Report, direct: &Summary) {
    report.add(Row::new("connect_direct_p50", direct.p50_us, "µs"));
    report.add(Row::new("connect_direct_p99", direct.p99_us, "µs"));
    report.add(Row::new("crr_direct_rate", direct.rate, "/s"));
    report.add(Row::new("crr_direct_cpu", direct.cpu_us, "µs"));
}

/// Ratios to the direct way.
fn add_through(report: &mut Report, name: &str, summary: &Summary, direct: &Summary) {
    let mut add = |what: &str, ours: f64, theirs: f64, unit: &str| {
        let row = Row::new(what.replace("NAME", name), ours / theirs, "× direct");
        report.add(row.against(format!("{} to {} {unit}", figure(ours), figure(theirs))));
    };
    add("connect_NAME_p50", summary.p50_us, direct.p50_us, "µs");
    add("connect_NAME_p99", summary.p99_us, direct.p99_us, "µs");
    add("crr_NAME_rate", summary.rate, direct.rate, "/s");
    add("crr_NAME_cpu", summary.cpu_us, direct.cpu_us, "µs");
}

/// What M3 asks of a hundred thousand Services, at the most that are measured here.
fn add_to_kube_proxy(report: &mut Report, ours: &Summary, theirs: Option<&Summary>) {
    let largest = SIZES[SIZES.len() - 1];
    let (name, unit) = (format!("connect_{largest}_to_kube_proxy_{KUBE_PROXY}"), "× kube-proxy's layout");
    let row = match theirs {
        Some(theirs) => {
            let against = format!("{} to {} µs", figure(ours.p50_us), figure(theirs.p50_us));
            Row::new(name, ours.p50_us / theirs.p50_us, unit).against(against)
        }
        None => Row::missing(name, unit, "no nft"),
    };
    report.add(row.at_most("M3", 1.0));
}

fn variant(name: String, trio: Trio, targets: Vec<SocketAddr>) -> anyhow::Result<Variant> {
    let server = Server::start(&trio.server, TARGET_PORT, CPU)?;
    let client = Client { namespace: trio.client.clone(), cpu: CPU, targets, random: Random::new(7) };
    Ok(Variant { name, client, _server: server, _trio: trio })
}

fn direct() -> anyhow::Result<Variant> {
    let targets = SERVERS.map(|address| SocketAddr::new(address.into(), TARGET_PORT));
    variant("direct".to_owned(), Trio::new()?, targets.to_vec())
}

/// All Services lead to the one server, so that only the way there differs.
fn pairs(services: usize) -> Vec<Pair> {
    (0..services).map(|number| pair(number, &SERVERS)).collect()
}

fn targets(services: usize) -> Vec<SocketAddr> {
    (0..services).map(|number| SocketAddr::new(cluster_ip(number).into(), PORT)).collect()
}

fn through_services(services: usize) -> anyhow::Result<Variant> {
    let trio = Trio::new()?;
    let mut node = Node::new(&trio.node)?;
    node.hear(&pairs(services));
    node.program()?;
    trio.forget_soon();
    variant(services.to_string(), trio, targets(services))
}

/// Through the rules that kube-proxy would have written, where `nft` can load them.
fn through_kube_proxy(services: usize) -> anyhow::Result<Option<Variant>> {
    let trio = Trio::new()?;
    if peer::load_into(&trio.node, &pairs(services))?.is_none() {
        return Ok(None);
    }
    trio.forget_soon();
    variant(format!("kube_proxy_{services}"), trio, targets(services)).map(Some)
}
