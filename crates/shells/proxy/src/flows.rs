//! Stale UDP flows are forgotten, exactly those and no others (S-330, S-331), whatever the backend.

use intent::{Intent, UdpFlow};
use kernel::conntrack::{Conntrack, ConntrackEntry};
use kernel::netlink::NetlinkError;
use model::Family;

/// The kernel's connection tracking, in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Flows {
    socket: Conntrack,
}

impl Flows {
    pub(crate) fn open() -> Result<Flows, NetlinkError> {
        Ok(Flows { socket: Conntrack::open()? })
    }

    /// Deletes the entries of one family's stale flows; says how many there were.
    pub(crate) fn forget_stale(&mut self, intent: &Intent, family: Family) -> Result<usize, NetlinkError> {
        let entries = self.socket.udp_entries(family == Family::V6)?;
        let flows: Vec<UdpFlow> = entries.iter().map(flow).collect();
        let stale: Vec<ConntrackEntry> = intent.stale(&flows).into_iter().map(|at| entries[at]).collect();
        if stale.is_empty() { Ok(0) } else { self.socket.delete(&stale) }
    }
}

fn flow(entry: &ConntrackEntry) -> UdpFlow {
    UdpFlow { destination: entry.original.destination, answered_by: entry.reply.source }
}
