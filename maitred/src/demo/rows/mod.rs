//! The checks, in the order in which they are shown.

mod balancing;
mod clean;
mod external;
mod names;
mod readiness;
mod restart;
mod sticky;
mod udp;

use std::time::Duration;

use super::report::{Check, Report};
use super::scene::Scene;

/// What a row saw.
pub(super) struct Seen {
    text: String,
    ok: bool,
    took: Option<Duration>,
}

impl Seen {
    fn new(ok: bool, text: String) -> Seen {
        Seen { text, ok, took: None }
    }

    fn took(self, took: Duration) -> Seen {
        Seen { took: Some(took), ..self }
    }
}

type Row = fn(&mut Scene) -> anyhow::Result<Seen>;

/// Name, what is done, and how.
const ROWS: &[(&str, &str, Row)] = &[
    ("clusterip-balancing", "a Service over 3 Pods on 3 nodes, 600 connections per family", balancing::balancing),
    ("dual-stack", "a Service gets its second family; both protocols by both", balancing::dual_stack),
    ("readiness-off", "one Pod's readiness probe, once a second, begins to fail", readiness::off),
    ("readiness-on", "and succeeds again", readiness::on),
    ("rolling-replacement", "3 Pods replaced one by one under 1000 requests", readiness::rolling),
    ("refused-without-endpoints", "a Service without Pods, by both families", balancing::refused),
    ("node-port", "a port of each node, from outside", external::node_port),
    ("external-policy-local", "the same with externalTrafficPolicy: Local", external::local),
    ("load-balancer", "an ingress address with source ranges", external::load_balancer),
    ("session-affinity", "sessionAffinity: ClientIP with a timeout of 2 s", sticky::affinity),
    ("prefer-same-zone", "trafficDistribution: PreferSameZone", sticky::topology),
    ("names", "a name that is not there, then its Service is created, by both families", names::cluster_ip),
    ("headless-names", "a headless Service: the Pods' own addresses", names::headless),
    ("srv", "a Service gets a named port; which one its name leads to", names::srv),
    ("external-name", "an alias", names::external_name),
    ("names-in-a-pod", "a Pod resolves short names by its own resolv.conf", names::from_a_pod),
    ("udp-moves-on", "one UDP socket sends every 10 ms, its Pod dies", udp::moves_on),
    ("proxy-restart", "50 open connections, the proxy gets SIGKILL, Services change, a new proxy", restart::proxy),
    ("agent-restart", "an agent gets SIGKILL; its Pods live on, and the next agent adopts them", restart::agent),
    ("verify-clean", "one Service more; each node's kernel read back and compared with the API", clean::verify),
];

/// Plays all rows. A row that cannot be played has failed; the others are played all the same.
pub(super) fn all(scene: &mut Scene, report: &mut Report) {
    for (name, done, row) in ROWS {
        report.progress(name);
        let seen = row(scene).unwrap_or_else(|error| Seen::new(false, format!("{error:#}")));
        report.add(Check { name, done: (*done).to_owned(), seen: seen.text, ok: seen.ok, took: seen.took });
    }
}
