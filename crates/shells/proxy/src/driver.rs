//! The thread that keeps the kernel as the objects say.

use std::thread::JoinHandle;
use std::time::Duration;

use cluster::Cluster;
use intent::{Event, Intent};
use kernel::links::Links;
use model::Family;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::feed::{self, Input};
use crate::flows::Flows;
use crate::gate::Gate;
use crate::problems::{self, Report};
use crate::side::Side;
use crate::{Applied, Config, Dataplane, DataplaneError};

/// How often the kernel is read back without a reason, to repair what somebody else changed.
const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// How long after a change its problems are told at the latest.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// Inputs that are taken in at once. Whatever has come meanwhile becomes one change of the kernel.
const BATCH: usize = 4096;

/// How far the driver is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether the kernel has held the whole Model at least once, but for a family that lastingly fails while the other
    /// doesn't: the machine may lack it (S-361).
    pub programmed: bool,
    /// Kernel messages written so far.
    pub messages: usize,
    /// How often UDP flows were listed to find stale ones (S-330).
    pub flow_lists: usize,
    /// What the last attempt of each family said that failed.
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
    let flows = Flows::open().map_err(|source| {
        DataplaneError::new("connection tracking cannot be reached: the process needs CAP_NET_ADMIN", source)
    })?;
    let foreign = foreign_changes(dataplane.as_ref())?;
    let inputs = feed::follow(cluster, &config.node_name);
    let problems = problems::tell(cluster);
    let (shown, progress) = watch::channel(Progress::default());
    let driver = Driver {
        intent: Intent::new(config),
        dataplane,
        flows,
        gate: Gate::new(),
        sides: Family::ALL.map(Side::new),
        shown,
        problems,
        tell_at: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without I/O needs nothing that can be missing");
    let thread = std::thread::Builder::new().name("proxy".to_owned());
    let thread = thread.spawn(move || runtime.block_on(driver.run(inputs, foreign, stop)));
    Ok((thread.map_err(no_thread)?, progress))
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
    thread.spawn(listening).map_err(no_thread)?;
    Ok(changes)
}

fn no_thread(source: std::io::Error) -> DataplaneError {
    DataplaneError::new("a thread of the proxy cannot be started: see the process's limit of tasks", source)
}

struct Driver {
    intent: Intent,
    dataplane: Box<dyn Dataplane>,
    flows: Flows,
    gate: Gate,
    /// IPv4, IPv6.
    sides: [Side; 2],
    shown: watch::Sender<Progress>,
    problems: watch::Sender<Vec<Report>>,
    /// When problems are told next.
    tell_at: Option<Instant>,
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
        let mut repair_at = Instant::now() + REPAIR_EVERY;
        loop {
            let wake = self.wake_at(repair_at);
            tokio::select! {
                count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { return },
                Some(()) = foreign.recv() => self.sides.iter_mut().for_each(Side::doubt),
                answer = self.flows.answer() => match answer {
                    Some((family, answer)) => {
                        let side = &mut self.sides[family.index()];
                        side.looked(&self.intent, answer, &mut self.flows, Instant::now());
                        self.show_lists();
                        continue;
                    }
                    None => return tracing::error!("the thread that looks for stale UDP flows has ended"),
                },
                () = tokio::time::sleep_until(wake) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let now = Instant::now();
            if now >= repair_at {
                self.sides.iter_mut().for_each(Side::doubt);
                self.look_at_host();
                repair_at = now + REPAIR_EVERY;
            }
            if !batch.is_empty() {
                self.tell_at.get_or_insert(now + TELL_AFTER);
            }
            for input in batch.drain(..) {
                match input {
                    Input::Event(event) => self.intent.apply(event),
                    Input::Synced(kind) => self.gate.listed(kind),
                }
            }
            // Before everything has been listed an empty Model would wipe the kernel (S-304).
            if self.gate.is_open(now, self.intent.lacks_pod_ranges()) {
                self.reconcile(now);
            }
            if self.tell_at.is_some_and(|time| now >= time) {
                self.tell();
            }
        }
    }

    /// When there is something to do even if nothing happens.
    fn wake_at(&self, repair_at: Instant) -> Instant {
        let retries = self.sides.iter().filter_map(Side::retry_at);
        let others = [self.tell_at, self.gate.next(Instant::now())].into_iter().flatten();
        retries.chain(others).fold(repair_at, Instant::min)
    }

    /// Hears which addresses the host has, for node ports (S-319, S-362). Without them the Node's own still count.
    fn look_at_host(&mut self) {
        match host_addresses() {
            Ok(event) => self.intent.apply(event),
            Err(error) => tracing::warn!(error = runloop::chain(&error), "the host's addresses could not be read"),
        }
    }

    /// Brings the kernel up to date, each family by itself.
    fn reconcile(&mut self, now: Instant) {
        let changes = self.intent.take_changes();
        let udp = self.intent.take_udp_touched();
        let mut applied = Applied::default();
        for ((side, change), udp) in self.sides.iter_mut().zip(changes).zip(udp) {
            applied = applied.and(side.reconcile(&self.intent, change, udp, self.dataplane.as_mut(), now));
            side.look_for_stale_flows(&mut self.flows, now);
        }
        if applied.messages > 0 {
            tracing::debug!(messages = applied.messages, bytes = applied.bytes, "programmed");
        }
        if !applied.unserved.is_empty() {
            self.tell_at.get_or_insert(now + TELL_AFTER);
        }
        let errors: Vec<&str> = self.sides.iter().filter_map(Side::error).collect();
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        let programmed = self.sides.iter().all(Side::settled) && self.sides.iter().any(Side::programmed);
        self.shown.send_if_modified(|progress| {
            let messages = progress.messages + applied.messages;
            let next = Progress { programmed, messages, flow_lists: self.flows.lists(), error };
            let changed = next != *progress;
            *progress = next;
            changed
        });
    }

    fn show_lists(&self) {
        let lists = self.flows.lists();
        self.shown.send_if_modified(|progress| std::mem::replace(&mut progress.flow_lists, lists) != lists);
    }

    /// Whatever changes often has its problems told once in a while.
    fn tell(&mut self) {
        let of_objects = self.intent.problems().into_iter().map(Report::Problem);
        let unserved = self.sides.iter().zip(Family::ALL).flat_map(|(side, family)| {
            let model = self.intent.model(family);
            side.unserved().iter().map(move |unserved| Report::unserved(unserved, model))
        });
        self.problems.send_replace(of_objects.chain(unserved).collect());
        self.tell_at = None;
    }
}

/// All addresses of the host's interfaces.
pub(crate) fn host_addresses() -> Result<Event, kernel::links::LinkError> {
    let found = Links::open()?.addresses()?;
    Ok(Event::HostAddresses(found.into_iter().map(|(_, address)| address.addr()).collect()))
}
