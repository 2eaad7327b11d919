//! The endpoint controllers: EndpointSlices and Endpoints of every Service, over one set of caches.
//!
//! Each of the two is a [`Queue`] of Services of its own. Nothing that happens to the legacy Endpoints, be it a refusal,
//! a slow answer or a cache that is behind, holds up the slices, which is what nodes read.

mod object;
mod slices;

use std::time::Duration;

use cluster::Cluster;
use runloop::{LastRun, Pauses, Queue};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::feed::{self, KINDS};
use crate::world::{Key, World};

/// What can be configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Endpoints per slice, 1 to 1000 (S-212).
    pub(crate) slice_len_max: usize,
}

/// Where each part shows how it goes.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) slices: watch::Sender<LastRun>,
    pub(crate) endpoints: watch::Sender<LastRun>,
}

/// Services of each part that are written at once. Their writes share the store's group commits.
const AT_ONCE: usize = 64;
/// Inputs that are taken in before planning.
const BATCH: usize = 4096;
/// A Service is never given up (S-216). After a conflict, the cache shows the other write in a moment.
const PAUSES: Pauses = Pauses {
    failed: (Duration::from_millis(50), Duration::from_secs(30)),
    behind: (Duration::from_millis(1), Duration::from_secs(1)),
};
/// How long a Service waits for its cache before the server is asked whether what it waits for exists.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs until the future is dropped.
pub(crate) async fn run(cluster: Cluster, settings: Settings, shown: Shown) {
    let mut inputs = feed::follow(&cluster);
    let mut controller = Controller {
        cluster,
        settings,
        world: World::default(),
        slices: Queue::new(AT_ONCE, PAUSES, shown.slices),
        endpoints: Queue::new(AT_ONCE, PAUSES, shown.endpoints),
    };
    let mut doubts = interval(PATIENCE / 2);
    doubts.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { return },
            over = controller.slices.next() => controller.slices_over(over),
            over = controller.endpoints.next() => controller.endpoints_over(over),
            _ = doubts.tick(), if !controller.world.waiting.is_empty() => {
                controller.world.doubt(Instant::now(), PATIENCE);
            }
        }
        let listed = controller.world.lists >= KINDS;
        for input in batch.drain(..) {
            controller.world.apply(input);
        }
        if controller.world.lists >= KINDS {
            if !listed {
                controller.world.scan_for_orphans();
            }
            controller.work();
        }
    }
}

struct Controller {
    cluster: Cluster,
    settings: Settings,
    world: World,
    slices: Queue<Key, slices::Over>,
    endpoints: Queue<Key, object::Over>,
}

impl Controller {
    /// Plans dirty Services and starts their writes, as many as may be under way.
    fn work(&mut self) {
        let dirty = std::mem::take(&mut self.world.dirty);
        for key in &dirty.gone {
            self.slices.forget(key);
            self.endpoints.forget(key);
        }
        dirty.slices.into_iter().for_each(|key| self.slices.mark(key));
        dirty.endpoints.into_iter().for_each(|key| self.endpoints.mark(key));
        while let Some(key) = self.slices.take() {
            self.plan_slices(key);
        }
        while let Some(key) = self.endpoints.take() {
            self.plan_endpoints(key);
        }
    }
}

/// A Service's name, for the log.
fn name((namespace, name): &Key) -> String {
    format!("{namespace}/{name}")
}
