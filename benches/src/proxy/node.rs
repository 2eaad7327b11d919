//! The rules of one node as the proxy keeps them, from decoded objects.

use anyhow::Context as _;
use intent::{Config, Event, Intent};
use kernel::netns::Namespace;
use model::Family;
use proxy::{Applied, Dataplane, Nftables};

use crate::objects::Pair;

/// What is known and what is programmed in one network namespace.
pub(super) struct Node {
    intent: Intent,
    dataplane: Nftables,
}

impl Node {
    /// A node without Services, in this namespace.
    pub(super) fn new(namespace: &Namespace) -> anyhow::Result<Node> {
        let dataplane = namespace.run(Nftables::open)?.context("reach nftables")?;
        Ok(Node { intent: Intent::new(Config { node_name: "node-0".to_owned(), ..Config::default() }), dataplane })
    }

    /// Hears of Services and their endpoints.
    pub(super) fn hear(&mut self, pairs: &[Pair]) {
        for pair in pairs {
            self.intent.apply(Event::Service(pair.service.clone()));
            self.intent.apply(Event::Slice(pair.slice.clone()));
        }
    }

    /// Hears of one Service's new endpoints.
    pub(super) fn hear_slice(&mut self, pair: &Pair) {
        self.intent.apply(Event::Slice(pair.slice.clone()));
    }

    /// Makes the kernel as it is to be; returns once it has acknowledged.
    pub(super) fn program(&mut self) -> anyhow::Result<Applied> {
        let changes = self.intent.take_changes();
        let mut applied = Applied::default();
        for (family, change) in Family::ALL.into_iter().zip(&changes) {
            applied = applied.and(self.dataplane.apply(family, change)?);
        }
        anyhow::ensure!(applied.unserved.is_empty(), "not served: {:?}", applied.unserved);
        Ok(applied)
    }
}
