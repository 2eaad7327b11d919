//! Which UDP flows are stale: the kernel remembers where a flow goes, and has to be told when that is wrong (S-330).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use model::{Destination, Family, Frontend, Protocol};

use crate::{Intent, ServiceKey};

/// A UDP flow as connection tracking holds it, whoever the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpFlow {
    /// Where the client sends to.
    pub destination: SocketAddr,
    /// Who answers it: an endpoint, or the destination itself if the flow began before there was a frontend (S-331).
    pub answered_by: SocketAddr,
}

/// Who answers for each UDP frontend of one family, and whether flows may have become stale by a change of it.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    /// Sorted. A frontend that nobody answers for is here too.
    by_frontend: BTreeMap<Frontend, Arc<[SocketAddr]>>,
    touched: bool,
}

impl Answering {
    /// Notes who answers for a frontend from now on; `None` if it is one no longer. Only a new frontend, one that somebody
    /// answers for at last (S-331), and one that lost an endpoint can have stale flows: those to the others still go where
    /// they may go.
    pub(crate) fn set(&mut self, frontend: Frontend, next: Option<Arc<[SocketAddr]>>) {
        let Some(next) = next else {
            self.by_frontend.remove(&frontend);
            // Where an address of the node is no longer one of its own, it is a node port's.
            self.touched |= self.by_frontend.contains_key(&Frontend { destination: Destination::Node, ..frontend });
            return;
        };
        self.touched |= match self.by_frontend.get(&frontend) {
            None => true,
            Some(before) if before.is_empty() => !next.is_empty(),
            Some(before) => before.iter().any(|endpoint| next.binary_search(endpoint).is_err()),
        };
        self.by_frontend.insert(frontend, next);
    }

    /// Flows to addresses that meant nothing before may be flows to a node port now (S-319).
    pub(crate) fn doubt(&mut self) {
        self.touched = true;
    }

    pub(crate) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    fn answers(&self, frontend: &Frontend, endpoint: SocketAddr) -> bool {
        self.by_frontend.get(frontend).is_some_and(|endpoints| endpoints.binary_search(&endpoint).is_ok())
    }
}

/// Who answers at the ports of Services: frontends of one port share it.
#[derive(Default)]
pub(crate) struct Answers(BTreeMap<(Arc<ServiceKey>, u16), Arc<[SocketAddr]>>);

impl Answers {
    pub(crate) fn at(&mut self, intent: &Intent, family: Family, frontend: &Frontend) -> Arc<[SocketAddr]> {
        let Some((key, port)) = intent.answered_at(family, frontend) else { return Arc::default() };
        let port = port.port;
        let serving = || intent.serving(family, frontend).into_iter().collect();
        Arc::clone(self.0.entry((Arc::clone(key), port)).or_insert_with(serving))
    }
}

impl Intent {
    /// Whether a flow goes to a frontend of ours and is answered by somebody who does not serve it. Traffic policy, topology
    /// and termination do not matter: an endpoint that still serves keeps its flows.
    pub fn is_stale(&self, flow: &UdpFlow) -> bool {
        let answering = &self.side(Family::of(flow.destination.ip())).answering;
        let frontend = self.udp_frontend(flow.destination);
        frontend.is_some_and(|frontend| !answering.answers(&frontend, flow.answered_by))
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
