//! The thread that keeps the kernel as the objects say.

use std::thread::JoinHandle;
use std::time::Duration;

use cluster::Cluster;
use intent::{Event, Intent};
use kernel::links::Links;
use model::{Change, Family};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::feed::{self, Input, Lists};
use crate::flows::Flows;
use crate::{Applied, Config, Dataplane, DataplaneError, problems};

/// How long the Node and the ServiceCIDRs are waited for: a cluster may have none, or not show them to us.
const PATIENCE: Duration = Duration::from_secs(5);
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
    let foreign = foreign_changes(dataplane.as_ref())?;
    let inputs = feed::follow(cluster, &config.node_name);
    let problems = problems::tell(cluster);
    let (shown, progress) = watch::channel(Progress::default());
    let driver = Driver {
        intent: Intent::new(config),
        dataplane,
        flows,
        lists: Lists::default(),
        flows_pending: false,
        kernel: Kernel::Unknown,
        retry: RETRY.0,
        shown,
        problems,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without I/O needs nothing that can be missing");
    let thread = std::thread::Builder::new().name("proxy".to_owned());
    let thread = thread.spawn(move || runtime.block_on(driver.run(inputs, foreign, stop)));
    Ok((thread.expect("the process may start a thread"), progress))
}

/// Hears on a thread of its own when somebody else changes what the dataplane wrote.
fn foreign_changes(dataplane: &dyn Dataplane) -> Result<mpsc::Receiver<()>, DataplaneError> {
    let (tell, changes) = mpsc::channel(1);
    let Some(mut watch) = dataplane.watch()? else { return Ok(changes) };
    let thread = std::thread::Builder::new().name("proxy-watch".to_owned());
    let listening = move || {
        while !tell.is_closed() {
            if watch(Duration::from_secs(1)) {
                // One that waits to be seen is as good as two.
                let _ = tell.try_send(());
            }
        }
    };
    thread.spawn(listening).expect("the process may start a thread");
    Ok(changes)
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
    lists: Lists,
    /// Flows have still to be looked through, whatever happens next.
    flows_pending: bool,
    kernel: Kernel,
    retry: Duration,
    shown: watch::Sender<Progress>,
    problems: mpsc::Sender<Vec<intent::Problem>>,
}

impl Driver {
    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut foreign: mpsc::Receiver<()>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        self.look_at_host();
        let patience = Instant::now() + PATIENCE;
        let mut due = Instant::now() + REPAIR_EVERY;
        // After a failure nothing is written before this.
        let mut not_before = Instant::now();
        let mut tell = None;
        loop {
            let ready = self.lists.ready(Instant::now() >= patience);
            let wake = if ready { due } else { due.min(patience) };
            tokio::select! {
                count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { return },
                Some(()) = foreign.recv() => self.kernel = Kernel::Unknown,
                () = tokio::time::sleep_until(tell.unwrap_or(due)), if tell.is_some() => {
                    // Gathering the problems walks all objects, so it is not part of every change.
                    let _ = self.problems.try_send(self.intent.problems());
                    tell = None;
                    continue;
                }
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= due {
                        self.kernel = Kernel::Unknown;
                        self.look_at_host();
                        due = Instant::now() + REPAIR_EVERY;
                    }
                }
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if !batch.is_empty() {
                tell.get_or_insert(Instant::now() + TELL_AFTER);
            }
            for input in batch.drain(..) {
                match input {
                    Input::Event(event) => self.intent.apply(event),
                    Input::Synced(kind) => self.lists.add(kind),
                }
            }
            // Before everything has been listed an empty Model would wipe the kernel (S-304).
            if !self.lists.ready(Instant::now() >= patience) || Instant::now() < not_before {
                continue;
            }
            if let Err(pause) = self.reconcile() {
                not_before = Instant::now() + pause;
                due = not_before;
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
        self.flows_pending |= self.intent.take_udp_touched() || self.kernel == Kernel::Unknown;
        let mut applied = Applied::default();
        if self.kernel == Kernel::Unknown || !changes.iter().all(Change::is_empty) {
            applied = self.dataplane.apply(&changes)?;
            self.kernel = Kernel::Known;
            for (_, why) in &applied.unserved {
                tracing::warn!(why, "not served");
            }
            tracing::debug!(messages = applied.messages, bytes = applied.bytes, "programmed");
        }
        // An endpoint may also have stopped serving without having been chosen, by policy or topology.
        if self.flows_pending {
            self.forget_stale_flows();
        }
        Ok(applied)
    }

    /// After the rules are in place: a flow that is forgotten is led by them with its next packet. If it fails it is
    /// tried again with the next change or repair; the rules are right all the same.
    fn forget_stale_flows(&mut self) {
        match self.flows.forget_stale(&self.intent) {
            Ok(forgotten) => {
                self.flows_pending = false;
                tracing::debug!(forgotten, "stale UDP flows");
            }
            Err(error) => tracing::error!(error = runloop::chain(&error), "stale UDP flows could not be forgotten"),
        }
    }
}
