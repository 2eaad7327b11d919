//! Which UDP flows are stale: the kernel remembers where a flow goes, and has to be told when that is wrong (S-330).

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use model::{Destination, Family, Frontend, Protocol};

use crate::Intent;

/// A UDP flow as connection tracking holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpFlow {
    /// Where the client sends to.
    pub destination: SocketAddr,
    /// Who answers it: an endpoint, or the destination itself if the flow began before there was a frontend (S-331).
    pub answered_by: SocketAddr,
}

impl Intent {
    /// The positions of flows that go to a frontend of ours and are answered by somebody who does not serve it. Traffic
    /// policy, topology and termination do not matter: an endpoint that still serves keeps its flows.
    pub fn stale(&self, flows: &[UdpFlow]) -> Vec<usize> {
        let mut serving: HashMap<Frontend, BTreeSet<SocketAddr>> = HashMap::new();
        let is_stale = |flow: &UdpFlow, serving: &mut HashMap<Frontend, BTreeSet<SocketAddr>>| {
            let Some(frontend) = self.udp_frontend(flow.destination) else { return false };
            let family = Family::of(flow.destination.ip());
            let endpoints = serving.entry(frontend).or_insert_with(|| self.serving(family, &frontend));
            !endpoints.contains(&flow.answered_by)
        };
        let stale = flows.iter().enumerate().filter(|(_, flow)| is_stale(flow, &mut serving));
        stale.map(|(position, _)| position).collect()
    }

    /// The frontend that a destination is: a virtual address first, then a node port of an accepted address (S-319).
    fn udp_frontend(&self, to: SocketAddr) -> Option<Frontend> {
        let model = self.model(Family::of(to.ip()));
        let at = |destination| Frontend { destination, protocol: Protocol::Udp, port: to.port() };
        let address = at(Destination::Address(to.ip()));
        let node = at(Destination::Node);
        if model.frontends.contains_key(&address) {
            return Some(address);
        }
        (model.node_addresses.contains(&to.ip()) && model.frontends.contains_key(&node)).then_some(node)
    }
}

#[cfg(test)]
mod tests;
