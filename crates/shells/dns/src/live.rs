//! The zone as it changes: one thread writes, every other reads without a lock.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{mpsc, watch};
use zone::{Lookup, Shard, ZoneState};

use crate::feed::{Input, kinds};

/// A pointer per shard. Readers see the old or the new shard, never a part of each.
pub(crate) struct Live {
    config: Arc<zone::Config>,
    shards: Box<[ArcSwap<Shard>]>,
    serial: AtomicU32,
    is_synced: AtomicBool,
    /// For those who wait for the first sync; a condition variable since they are plain threads.
    gate: (Mutex<()>, Condvar),
}

/// A shard that a reader holds on to.
struct Held(Guard<Arc<Shard>>);

impl Deref for Held {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.0
    }
}

impl Lookup for Live {
    fn config(&self) -> &zone::Config {
        &self.config
    }

    fn shard(&self, at: usize) -> impl Deref<Target = Shard> {
        Held(self.shards[at].load())
    }

    fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    fn is_synced(&self) -> bool {
        self.is_synced.load(Ordering::Acquire)
    }
}

impl Live {
    pub fn new(config: Arc<zone::Config>) -> Live {
        let empty = Arc::new(Shard::default());
        Live {
            shards: (0..config.shard_count()).map(|_| ArcSwap::new(empty.clone())).collect(),
            config,
            serial: AtomicU32::new(now()),
            is_synced: AtomicBool::new(false),
            gate: (Mutex::new(()), Condvar::new()),
        }
    }

    /// Waits until every object has been seen, or for so long.
    pub fn wait_synced(&self, limit: Duration) {
        let (mutex, changed) = &self.gate;
        let guard = mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        drop(changed.wait_timeout_while(guard, limit, |()| !self.is_synced()));
    }

    fn publish(&self, changed: Vec<(usize, Arc<Shard>)>) {
        if changed.is_empty() {
            return;
        }
        self.serial.store(now(), Ordering::Relaxed);
        for (at, shard) in changed {
            self.shards[at].store(shard);
        }
    }

    fn synced(&self) {
        let (mutex, changed) = &self.gate;
        let _guard = mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.is_synced.store(true, Ordering::Release);
        changed.notify_all();
    }
}

/// Unix time in seconds, as far as an SOA's serial holds it.
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

/// Inputs that are taken in at once; a burst becomes one rebuild of each shard concerned.
const BATCH: usize = 4096;

/// How often the zone is rebuilt while the first lists are still coming: rebuilding after each page of a large cluster
/// would take longer than the lists.
const UNSYNCED_EVERY: Duration = Duration::from_secs(1);

/// Keeps the zone as the inputs say, until `stop`. If the inputs end, the last known zone stays (S-414).
pub(crate) async fn keep(live: Arc<Live>, mut inputs: mpsc::Receiver<Input>, mut stop: watch::Receiver<bool>) {
    let mut state = ZoneState::new(live.config.clone());
    let mut kinds_left = kinds(live.config.pods);
    let mut batch = Vec::with_capacity(BATCH);
    let mut unsynced = tokio::time::interval(UNSYNCED_EVERY);
    loop {
        let is_tick = tokio::select! {
            count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { break } else { false },
            _ = unsynced.tick(), if kinds_left > 0 => true,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let was_synced = kinds_left == 0;
        for input in batch.drain(..) {
            match input {
                Input::Event(event) => state.apply(event),
                Input::Synced => kinds_left = kinds_left.saturating_sub(1),
            }
        }
        if kinds_left == 0 || is_tick {
            live.publish(state.take_changed());
        }
        if kinds_left == 0 && !was_synced {
            live.synced();
        }
    }
    live.publish(state.take_changed());
}
