//! The thread that keeps the kernel as the objects say.

use std::thread::JoinHandle;
use std::time::Duration;

use cluster::Cluster;
use intent::{Event, Intent};
use kernel::links::Links;
use model::{Change, Family};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::feed::{self, Input, KINDS};
use crate::flows::Flows;
use crate::{Applied, Config, Dataplane, DataplaneError, problems};

/// How often the kernel is read back without a reason, to repair what somebody else changed.
const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// How long after a change its problems are told at the latest.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// The pause after a failure, doubling up to a limit.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Inputs that are taken in at once. Whatever has come meanwhile becomes one change of the kernel.
const BATCH: usize = 4096;

/// How far the driver is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether the kernel has held the whole Model at least once.
    pub programmed: bool,
    /// Kernel messages written so far.
    pub messages: usize,
    /// What the last attempt said, if it failed.
    pub error: Option<String>,
}

/// Starts the proxy on a thread of its own, in the caller's network namespace. It ends when `stop` is dropped or set;
/// the kernel keeps what was written (S-364).
pub fn start(
    cluster: &Cluster,
    config: Config,
    dataplane: Box<dyn Dataplane>,
    stop: watch::Receiver<bool>,
) -> Result<(JoinHandle<()>, watch::Receiver<Progress>), DataplaneError> {
    let flows = Flows::open().map_err(|source| DataplaneError {
        action: "connection tracking cannot be reached: the process needs CAP_NET_ADMIN".to_owned(),
        source: Box::new(source),
    })?;
    let inputs = feed::follow(cluster, &config.node_name);
    let problems = problems::tell(cluster);
    let (shown, progress) = watch::channel(Progress::default());
    let driver = Driver {
        intent: Intent::new(config),
        dataplane,
        flows,
        lists: 0,
        kernel: Kernel::Unknown,
        retry: RETRY.0,
        shown,
        problems,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without I/O needs nothing that can be missing");
    let thread = std::thread::Builder::new().name("proxy".to_owned());
    let thread = thread.spawn(move || runtime.block_on(driver.run(inputs, stop)));
    Ok((thread.expect("the process may start a thread"), progress))
}

/// What is known of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// Nothing: it must be observed before the next write.
    Unknown,
    /// It holds what the Models said before their last change.
    Known,
}

struct Driver {
    intent: Intent,
    dataplane: Box<dyn Dataplane>,
    flows: Flows,
    /// Kinds that have been listed.
    lists: usize,
    kernel: Kernel,
    retry: Duration,
    shown: watch::Sender<Progress>,
    problems: mpsc::Sender<Vec<intent::Problem>>,
}

impl Driver {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut stop: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH);
        self.look_at_host();
        let mut due = Instant::now() + REPAIR_EVERY;
        let mut tell = Instant::now();
        let mut told = true;
        loop {
            tokio::select! {
                count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = tokio::time::sleep_until(tell), if !told => {
                    // Gathering the problems walks all objects, so it is not part of every change.
                    let _ = self.problems.try_send(self.intent.problems());
                    told = true;
                    continue;
                }
                () = tokio::time::sleep_until(due) => {
                    self.kernel = Kernel::Unknown;
                    self.look_at_host();
                    due = Instant::now() + REPAIR_EVERY;
                }
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if told && !batch.is_empty() {
                tell = Instant::now() + TELL_AFTER;
                told = false;
            }
            for input in batch.drain(..) {
                match input {
                    Input::Event(event) => self.intent.apply(event),
                    Input::Synced => self.lists += 1,
                }
            }
            // Before everything has been listed an empty Model would wipe the kernel (S-304).
            if self.lists >= KINDS
                && let Err(pause) = self.reconcile()
            {
                due = Instant::now() + pause;
            }
        }
    }

    /// Hears which addresses the host has, for node ports (S-319, S-362). Without them the Node's own still count.
    fn look_at_host(&mut self) {
        match Links::open().and_then(|links| links.addresses()) {
            Ok(found) => {
                let addresses = found.into_iter().map(|(_, address)| address.addr()).collect();
                self.intent.apply(Event::HostAddresses(addresses));
            }
            Err(error) => tracing::warn!(error = runloop::chain(&error), "the host's addresses could not be read"),
        }
    }

    /// Brings the kernel up to date, or says after which pause to try again.
    fn reconcile(&mut self) -> Result<(), Duration> {
        let result = self.write();
        match result {
            Ok(applied) => {
                self.retry = RETRY.0;
                self.shown.send_modify(|progress| {
                    progress.programmed = true;
                    progress.messages += applied.messages;
                    progress.error = None;
                });
                Ok(())
            }
            Err(error) => {
                let text = runloop::chain(&error);
                tracing::error!(error = text, "the kernel could not be programmed; trying again");
                self.shown.send_modify(|progress| progress.error = Some(text));
                self.kernel = Kernel::Unknown;
                self.retry = (self.retry * 2).min(RETRY.1);
                Err(self.retry / 2)
            }
        }
    }

    fn write(&mut self) -> Result<Applied, DataplaneError> {
        let mut changes = self.intent.take_changes();
        if self.kernel == Kernel::Unknown {
            let observed = self.dataplane.observe()?;
            self.dataplane.recognize(Family::ALL.map(|family| self.intent.model(family)));
            changes = Family::ALL.map(|family| {
                let observed = &observed[usize::from(family == Family::V6)];
                Change::between(observed, self.intent.model(family))
            });
        }
        if self.kernel == Kernel::Known && changes.iter().all(Change::is_empty) {
            // An endpoint may have stopped serving without being chosen before, by policy or topology.
            if self.intent.take_udp_touched() {
                self.forget_stale_flows()?;
            }
            return Ok(Applied::default());
        }
        let applied = self.dataplane.apply(&changes)?;
        let repaired = self.kernel == Kernel::Unknown;
        self.kernel = Kernel::Known;
        for (_, why) in &applied.unserved {
            tracing::warn!(why, "not served");
        }
        tracing::debug!(messages = applied.messages, bytes = applied.bytes, "programmed");
        if self.intent.take_udp_touched() || repaired {
            self.forget_stale_flows()?;
        }
        Ok(applied)
    }

    /// After the rules are in place: a flow that is forgotten is led by them with its next packet.
    fn forget_stale_flows(&mut self) -> Result<(), DataplaneError> {
        let failed = |source| DataplaneError {
            action: "forget stale UDP flows in connection tracking".to_owned(),
            source: Box::new(source),
        };
        let forgotten = self.flows.forget_stale(&self.intent).map_err(failed)?;
        tracing::debug!(forgotten, "stale UDP flows");
        Ok(())
    }
}
