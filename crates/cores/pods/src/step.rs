//! The Pod's state machine: what has happened, to what is to be done.
//!
//! ```text
//!   Waiting ──Start──► Starting ──Started──► Running ──Exited──► Waiting (restart) or Ended
//!                          └────Exited──────────┴─── liveness, deletion: preStop, SIGTERM, SIGKILL
//! ```
//!
//! Every effect is asked for once, and is answered by an input. Effects that were under way when an agent died are settled
//! by [`Input::Adopted`]; probes are not, since the next agent knows nothing of them (see [`Watch`](crate::probe::Watch)).
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

mod containers;

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::state::{Now, PodState, Sandbox, Stage};
use crate::{Backoff, Exit, Mode, PodPlan, ProbeKind};

use containers::Containers;

/// Pause before a sandbox that could not be set up is tried again.
const SET_UP_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// How long a parent process may take to tell that what was killed has ended.
pub const UNANSWERED: SignedDuration = SignedDuration::from_secs(5);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing but time has passed.
    Tick,
    /// The sandbox stands, with these addresses.
    Ready(Vec<IpAddr>),
    /// The sandbox could not be set up.
    Broken(String),
    /// The parent process is gone, and all its children with it.
    Lost,
    /// A new agent found the parent process with these containers.
    Adopted(Vec<Found>),
    /// A container runs.
    Started {
        /// Its place in the plan.
        container: usize,
    },
    /// A container's process has ended, or could not be started.
    Exited {
        /// Its place in the plan.
        container: usize,
        /// Which attempt.
        attempt: u32,
        /// How.
        exit: Exit,
    },
    /// A probe was answered, or wasn't in time.
    Probed {
        /// The container's place in the plan.
        container: usize,
        /// Which attempt.
        attempt: u32,
        /// Which probe.
        kind: ProbeKind,
        /// What it said: nothing, or why it failed.
        result: Result<(), String>,
    },
    /// A preStop hook has ended, with whatever result.
    HookDone {
        /// The container's place in the plan.
        container: usize,
        /// Which attempt.
        attempt: u32,
    },
    /// The Pod is to be gone within so many seconds. A repeated deletion can only shorten the time.
    Delete {
        /// Seconds; 0 kills at once.
        grace_s: i64,
    },
}

/// A container as its parent process knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the plan.
    pub container: usize,
    /// Which attempt.
    pub attempt: u32,
    /// When it was started.
    pub started: Timestamp,
    /// When and how it has ended, if it has.
    pub ended: Option<(Timestamp, Exit)>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give the Pod an address, a network and a parent process; `Ready` or `Broken` follows.
    SetUp,
    /// Start a container; `Started` or `Exited` follows.
    Start {
        /// Its place in the plan.
        container: usize,
        /// Which attempt this is.
        attempt: u32,
    },
    /// Try a probe; `Probed` follows.
    Probe {
        /// The container's place in the plan.
        container: usize,
        /// Which attempt.
        attempt: u32,
        /// Which probe.
        kind: ProbeKind,
    },
    /// Run the preStop hook; `HookDone` follows, or the end of the grace period.
    PreStop {
        /// The container's place in the plan.
        container: usize,
        /// Which attempt.
        attempt: u32,
    },
    /// Send SIGTERM to a container's first process.
    Terminate {
        /// Its place in the plan.
        container: usize,
    },
    /// Send SIGKILL to all of a container's processes.
    Kill {
        /// Its place in the plan.
        container: usize,
    },
    /// All has ended: give back the network and the parent process, keep the Pod.
    Release,
    /// The Pod is over and wanted gone: give back everything and remove it from the API.
    Remove,
    /// Tell people.
    Tell(Notice),
}

/// An Event to be told about the Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl Notice {
    pub(crate) fn normal(reason: &'static str, message: String) -> Effect {
        Effect::Tell(Notice { warning: false, reason, message })
    }

    pub(crate) fn warning(reason: &'static str, message: String) -> Effect {
        Effect::Tell(Notice { warning: true, reason, message })
    }
}

/// Takes in what has happened; says how the Pod stands from now on and what is to be done.
pub fn step(
    plan: &PodPlan,
    backoff: &Backoff,
    mut state: PodState,
    input: Input,
    now: Timestamp,
) -> (PodState, Vec<Effect>) {
    let mut effects = Vec::new();
    let mut containers = Containers { plan, backoff, now, state: &mut state, effects: &mut effects };
    containers.take(input);
    if containers.state.sandbox != Sandbox::Removed {
        containers.advance();
    }
    (state, effects)
}

/// When a Pod must be gone that is deleted now.
pub fn deadline(now: Timestamp, grace_s: i64) -> Timestamp {
    now + SignedDuration::from_secs(grace_s.clamp(0, i64::from(i32::MAX)))
}

/// When [`Input::Tick`] will next have an effect.
pub fn next_wake(state: &PodState) -> Option<Timestamp> {
    let retry = match state.sandbox {
        Sandbox::Retry(at) => Some(at),
        _ => None,
    };
    let next = state.containers.iter().filter_map(|container| next_of(&container.now));
    next.chain(retry).chain(unanswered_at(state)).min()
}

/// When a Pod that is being deleted is ended with its parent process: all that is left in it should have ended by then, and
/// the parent has not said so.
fn unanswered_at(state: &PodState) -> Option<Timestamp> {
    let deletion = state.deletion?;
    let mut latest = None;
    for container in &state.containers {
        let due = match &container.now {
            Now::Waiting { .. } | Now::Ended(_) => continue,
            Now::Starting => deletion + UNANSWERED,
            // Others still have time.
            Now::Running(running) => running.stopping.filter(|stopping| stopping.stage == Stage::Kill)?.deadline,
        };
        latest = latest.max(Some(due));
    }
    latest
}

fn next_of(now: &Now) -> Option<Timestamp> {
    match now {
        Now::Waiting { until } => *until,
        Now::Starting | Now::Ended(_) => None,
        Now::Running(running) => {
            let watches = [&running.startup, &running.liveness, &running.readiness];
            let due = watches.into_iter().flatten().filter(|watch| !watch.in_flight).map(|watch| watch.due).min();
            let deadline = running.stopping.filter(|stopping| stopping.stage < Stage::Kill);
            [due, deadline.map(|stopping| stopping.deadline)].into_iter().flatten().min()
        }
    }
}

impl Containers<'_> {
    fn take(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Ready(addresses) => {
                self.state.sandbox = Sandbox::Ready;
                self.state.addresses = addresses;
                self.state.trouble = None;
            }
            Input::Broken(why) => {
                self.state.sandbox = Sandbox::Retry(self.now + SET_UP_AGAIN);
                self.effects.push(Notice::warning("FailedCreatePodSandBox", why.clone()));
                self.state.trouble = Some(why);
            }
            Input::Lost => self.lose(),
            Input::Adopted(found) => self.adopt(&found),
            Input::Started { container } => self.started(container, self.now),
            Input::Exited { container, attempt, exit } => {
                if self.state.containers[container].restarts == attempt {
                    self.exited(container, exit, self.now);
                }
            }
            Input::Probed { container, attempt, kind, result } => self.probed(container, attempt, kind, result),
            Input::HookDone { container, attempt } => self.hook_done(container, attempt),
            Input::Delete { grace_s } => self.delete(grace_s),
        }
    }

    /// Does what is due.
    fn advance(&mut self) {
        self.set_up();
        for container in 0..self.state.containers.len() {
            self.advance_container(container);
        }
        if unanswered_at(self.state).is_some_and(|due| due <= self.now) {
            // What follows, [`Effect::Remove`], ends the parent process too.
            self.lose();
        }
        if self.state.has_processes() {
            return;
        }
        if self.state.deletion.is_some() {
            // A sandbox that is being set up must be there before it can be taken away.
            if self.state.sandbox != Sandbox::Requested {
                self.state.sandbox = Sandbox::Removed;
                self.effects.push(Effect::Remove);
            }
        } else if self.state.is_over() && self.state.sandbox == Sandbox::Ready {
            self.state.sandbox = Sandbox::Released;
            self.effects.push(Effect::Release);
        }
    }

    fn set_up(&mut self) {
        let due = match self.state.sandbox {
            Sandbox::Absent => true,
            Sandbox::Retry(at) => at <= self.now,
            Sandbox::Requested | Sandbox::Ready | Sandbox::Released | Sandbox::Removed => false,
        };
        if !due || self.state.deletion.is_some() || self.state.is_over() {
            return;
        }
        if let Mode::Elsewhere(addresses) = &self.plan.mode {
            self.state.addresses = addresses.clone();
            self.state.sandbox = Sandbox::Ready;
        } else {
            self.state.sandbox = Sandbox::Requested;
            self.effects.push(Effect::SetUp);
        }
    }

    fn lose(&mut self) {
        self.state.sandbox = Sandbox::Absent;
        for container in 0..self.state.containers.len() {
            if matches!(self.state.containers[container].now, Now::Starting | Now::Running(_)) {
                self.exited(container, Exit::unknown(), self.now);
            }
        }
    }

    /// Settles what was under way when the last agent ended.
    fn adopt(&mut self, found: &[Found]) {
        if matches!(self.state.sandbox, Sandbox::Requested | Sandbox::Absent | Sandbox::Retry(_)) {
            self.state.sandbox = Sandbox::Ready;
        }
        for container in 0..self.state.containers.len() {
            let attempt = self.state.containers[container].restarts;
            let known = found.iter().find(|found| found.container == container && found.attempt == attempt);
            self.settle(container, known);
        }
    }

    fn delete(&mut self, grace_s: i64) {
        let deadline = deadline(self.now, grace_s);
        if self.state.deletion.is_some_and(|before| before <= deadline) {
            return;
        }
        self.state.deletion = Some(deadline);
        for container in 0..self.state.containers.len() {
            if matches!(self.state.containers[container].now, Now::Running(_)) {
                self.stop(container, deadline);
            }
        }
    }
}
