//! What the processes hold resident at rest, among few and among many Services of one endpoint each.

use std::time::Duration;

use super::scene::Scene;
use crate::machine::resident;
use crate::report::{Report, Row, figure};

/// After this nothing is left to do: Events are told, history is not yet let go.
const REST: Duration = Duration::from_secs(5);
const MIB: f64 = 1024.0 * 1024.0;
/// Base of the DNS server, in MiB, and bytes per name.
const DNS_BASE: f64 = 10.0;
const DNS_NAME: f64 = 120.0;

pub(super) fn measure(report: &mut Report, scenes: &[Scene; 2]) -> anyhow::Result<()> {
    std::thread::sleep(REST);
    let [few, many] = scenes;
    let programs =
        [("server", &few.server, &many.server), ("proxy", &few.proxy, &many.proxy), ("dns", &few.dns, &many.dns)];
    for (name, base, full) in programs {
        let (base, full) = (resident(base.pid())? as f64, resident(full.pid())? as f64);
        let row = Row::new(format!("{name}_resident_{}", many.services), full / MIB, "MiB");
        report.add(row.against(format!("{} MiB at {} Services", figure(base / MIB), few.services)));
        let each = (full - base) / (many.services - few.services) as f64;
        let row = Row::new(format!("{name}_resident_per_service"), each, "bytes");
        // A Service has a name and its port's; one name's bound is the stricter reading.
        report.add(if name == "dns" { row.at_most("M10", DNS_NAME) } else { row });
        if name == "dns" {
            report.add(Row::new("dns_resident_base", base / MIB, "MiB").at_most("M10", DNS_BASE));
        }
    }
    Ok(())
}
