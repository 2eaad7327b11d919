//! How far a Pod is. The agent keeps this beside the Pod's parent process, so that the next agent goes on from it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backoff::Crash;
use crate::probe::Watch;
use crate::{Mode, PodPlan, RestartPolicy};

/// How far a Pod is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodState {
    /// When the agent first saw it.
    pub seen: Timestamp,
    /// Its addresses, once it has some; they stay its own until it is gone.
    pub addresses: Vec<IpAddr>,
    /// It runs elsewhere, at these addresses, whatever its annotation says meanwhile.
    #[serde(default)]
    pub elsewhere: bool,
    /// Whether there is something that containers can be started in.
    pub sandbox: Sandbox,
    /// In the order of the plan.
    pub containers: Vec<ContainerState>,
    /// Until when it must be gone, once it is being deleted.
    pub deletion: Option<Timestamp>,
    /// Why it could not be set up, for people.
    pub trouble: Option<String>,
}

/// The Pod's parent process with its namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sandbox {
    /// There is none, and the agent has not been asked for one.
    Absent,
    /// The agent was asked; `Ready` or `Broken` follows.
    Requested,
    /// Setting it up failed; it is tried again at this time.
    Retry(Timestamp),
    /// Containers can be started.
    Ready,
    /// All containers have ended and it was given back.
    Released,
    /// The Pod is gone; nothing follows.
    Removed,
}

/// How far a container is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// The number of its attempt: the one that runs or has ended, else the one that comes next.
    pub restarts: u32,
    /// What it does.
    pub now: Now,
    /// How the attempt before ended.
    pub last: Option<Ended>,
    /// What past restarts cost it.
    pub crash: Option<Crash>,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Now {
    /// It is started once there is a sandbox and, after a crash, at this time.
    Waiting {
        /// The end of the pause; `None` before the first start.
        until: Option<Timestamp>,
    },
    /// The agent was asked to start it; `Started` or `Exited` follows.
    Starting,
    /// It runs; `Exited` follows.
    Running(Running),
    /// It has ended and won't be started again.
    Ended(Ended),
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Since when.
    pub since: Timestamp,
    /// The startup probe has succeeded, or there is none.
    pub started: bool,
    /// The readiness probe has succeeded, or there is none and the container has started.
    pub ready: bool,
    /// The startup probe.
    pub startup: Option<Watch>,
    /// The liveness probe, once started.
    pub liveness: Option<Watch>,
    /// The readiness probe, once started.
    pub readiness: Option<Watch>,
    /// It is being stopped.
    pub stopping: Option<Stopping>,
}

/// A container on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// What was done last.
    pub stage: Stage,
    /// When the next stage begins; after the last, when its end is not waited for any longer in a Pod that is being deleted.
    pub deadline: Timestamp,
}

/// The stages of stopping a container, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// The preStop hook runs.
    PreStop,
    /// SIGTERM was sent.
    Term,
    /// SIGKILL was sent; only its end can follow.
    Kill,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code; 128 + the signal's number if one killed it.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// One word for the status where the code doesn't say all (`StartError`, `ContainerStatusUnknown`).
    pub reason: Option<String>,
    /// A sentence for people.
    pub message: String,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// When it was started, if it was.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Timestamp,
}

impl Exit {
    /// An exit with this code.
    pub fn code(code: i32) -> Exit {
        Exit { code, signal: None, reason: None, message: String::new() }
    }

    /// A death by this signal.
    pub fn signal(signal: i32) -> Exit {
        Exit { code: 128 + signal, signal: Some(signal), reason: None, message: String::new() }
    }

    /// The program could not be started.
    pub fn not_started(message: impl Into<String>) -> Exit {
        Exit { code: 128, signal: None, reason: Some("StartError".to_owned()), message: message.into() }
    }

    /// It is gone, and nobody knows how it ended.
    pub fn unknown() -> Exit {
        let message = "The container could not be located when the Pod's parent process was gone".to_owned();
        Exit { code: 137, signal: None, reason: Some("ContainerStatusUnknown".to_owned()), message }
    }
}

impl PodState {
    /// A Pod that the agent sees for the first time.
    pub fn new(plan: &PodPlan, now: Timestamp) -> PodState {
        let waiting = ContainerState { restarts: 0, now: Now::Waiting { until: None }, last: None, crash: None };
        let addresses = match &plan.mode {
            Mode::Host => Vec::new(),
            Mode::Elsewhere(addresses) => addresses.clone(),
        };
        let elsewhere = plan.fixed_addresses().is_some();
        let (containers, sandbox) = (vec![waiting; plan.containers.len()], Sandbox::Absent);
        PodState { seen: now, addresses, elsewhere, sandbox, containers, deletion: None, trouble: None }
    }

    /// A Pod of which nothing is known here but what the API shows, because the machine was started anew, say. What ran
    /// has ended; what had ended for good stays so.
    pub fn recalled(plan: &PodPlan, status: &Value, now: Timestamp) -> PodState {
        let mut state = PodState::new(plan, now);
        let is_over = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
        let shown = |name: &str| status["containerStatuses"].as_array()?.iter().find(|shown| shown["name"] == name);
        for (plan_of, container) in plan.containers.iter().zip(&mut state.containers) {
            let Some(shown) = shown(&plan_of.name) else { continue };
            let count = u32::try_from(shown["restartCount"].as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
            let ended = recalled_end(&shown["state"]["terminated"], now);
            let before = recalled_end(&shown["lastState"]["terminated"], now);
            let ran = ended.is_some() || !shown["state"]["running"].is_null();
            let again = !is_over
                && match plan.restart_policy {
                    RestartPolicy::Always => true,
                    RestartPolicy::OnFailure => ended.as_ref().is_none_or(|ended| ended.exit.code != 0),
                    RestartPolicy::Never => !ran,
                };
            // What waits to be started once more is counted only when it starts.
            let has_run = ran || before.is_some();
            container.restarts = if has_run && again { count.saturating_add(1) } else { count };
            let ended = ran.then(|| ended.unwrap_or(Ended { exit: Exit::unknown(), started: None, finished: now }));
            match (again, ended) {
                (true, ended) => container.last = ended.or(before),
                (false, Some(ended)) => container.now = Now::Ended(ended),
                (false, None) => {
                    container.now = Now::Ended(Ended { exit: Exit::unknown(), started: None, finished: now });
                }
            }
        }
        if is_over && state.is_over() {
            state.sandbox = Sandbox::Released;
        }
        state
    }

    /// Whether every container has ended for good.
    pub fn is_over(&self) -> bool {
        self.containers.iter().all(|container| matches!(container.now, Now::Ended(_)))
    }

    /// Whether some process runs or is being started.
    pub(crate) fn has_processes(&self) -> bool {
        self.containers.iter().any(|container| matches!(container.now, Now::Starting | Now::Running(_)))
    }
}

/// The end that a status shows, if it shows one.
fn recalled_end(terminated: &Value, now: Timestamp) -> Option<Ended> {
    let code = i32::try_from(terminated["exitCode"].as_i64()?).unwrap_or(i32::MAX);
    let text = |field: &str| terminated[field].as_str();
    let reason = text("reason").filter(|reason| !matches!(*reason, "Completed" | "Error")).map(str::to_owned);
    let signal = terminated["signal"].as_i64().and_then(|signal| i32::try_from(signal).ok());
    Some(Ended {
        exit: Exit { code, signal, reason, message: text("message").unwrap_or_default().to_owned() },
        started: text("startedAt").and_then(|time| time.parse().ok()),
        finished: text("finishedAt").and_then(|time| time.parse().ok()).unwrap_or(now),
    })
}

impl ContainerState {
    /// Whether Services may lead to it.
    pub fn is_ready(&self) -> bool {
        matches!(&self.now, Now::Running(running) if running.ready)
    }
}

impl Running {
    /// A probe's count.
    pub(crate) fn watch(&mut self, kind: crate::ProbeKind) -> Option<&mut Watch> {
        match kind {
            crate::ProbeKind::Startup => self.startup.as_mut(),
            crate::ProbeKind::Liveness => self.liveness.as_mut(),
            crate::ProbeKind::Readiness => self.readiness.as_mut(),
        }
    }
}
