//! The part of the state machine that concerns single containers.

use jiff::{SignedDuration, Timestamp};

use super::UNANSWERED;
use crate::probe::Watch;
use crate::state::{Ended, Now, PodState, Running, Sandbox, Stage, Stopping};
use crate::{
    Action, Backoff, ContainerPlan, Effect, Exit, Found, Mode, Notice, PodPlan, Probe, ProbeKind, RestartPolicy,
};

/// The least time between SIGTERM and SIGKILL, after a hook that used the grace period up.
const LEAST_GRACE: SignedDuration = SignedDuration::from_secs(2);

/// A step under way.
pub(super) struct Containers<'a> {
    pub(super) plan: &'a PodPlan,
    pub(super) backoff: &'a Backoff,
    pub(super) now: Timestamp,
    pub(super) state: &'a mut PodState,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl<'a> Containers<'a> {
    fn plan_of(&self, container: usize) -> &'a ContainerPlan {
        &self.plan.containers[container]
    }

    fn running(&mut self, container: usize) -> Option<&mut Running> {
        match &mut self.state.containers[container].now {
            Now::Running(running) => Some(running),
            _ => None,
        }
    }

    /// Does what is due for one container.
    pub(super) fn advance_container(&mut self, container: usize) {
        match &self.state.containers[container].now {
            Now::Waiting { until } => {
                let due = until.is_none_or(|until| until <= self.now);
                if due && self.state.sandbox == Sandbox::Ready && self.state.deletion.is_none() {
                    self.start(container);
                }
            }
            Now::Running(running) => match running.stopping {
                Some(stopping) if stopping.stage < Stage::Kill && stopping.deadline <= self.now => {
                    self.next_stage(container, stopping.stage);
                }
                _ => self.probe(container),
            },
            Now::Starting | Now::Ended(_) => {}
        }
    }

    fn start(&mut self, container: usize) {
        if matches!(self.plan.mode, Mode::Elsewhere(_)) {
            self.started(container, self.now);
            return self.probe(container);
        }
        let attempt = self.state.containers[container].restarts;
        self.state.containers[container].now = Now::Starting;
        self.effects.push(Effect::Start { container, attempt });
    }

    pub(super) fn started(&mut self, container: usize, since: Timestamp) {
        if !matches!(self.state.containers[container].now, Now::Starting | Now::Waiting { .. }) {
            return;
        }
        let startup = self.plan_of(container).startup.as_ref().map(|probe| first(probe, since, since));
        let stopping = None;
        let running =
            Running { since, started: false, ready: false, startup, liveness: None, readiness: None, stopping };
        self.state.containers[container].now = Now::Running(running);
        if self.plan_of(container).startup.is_none() {
            self.has_started(container);
        }
        if matches!(self.plan.mode, Mode::Host) {
            let name = &self.plan_of(container).name;
            self.effects.push(Notice::normal("Started", format!("Started container {name}")));
        }
        // The Pod may have been deleted while the container was being started.
        if let Some(deadline) = self.state.deletion {
            self.stop(container, deadline);
        }
    }

    /// The startup probe has succeeded, or there is none: the other two begin.
    fn has_started(&mut self, container: usize) {
        let (plan, now) = (self.plan_of(container), self.now);
        let Some(running) = self.running(container) else { return };
        let since = running.since;
        running.started = true;
        running.startup = None;
        running.liveness = plan.liveness.as_ref().map(|probe| first(probe, since, now));
        running.readiness = plan.readiness.as_ref().map(|probe| first(probe, since, now));
        running.ready = plan.readiness.is_none();
    }

    /// Asks for every probe that is due.
    fn probe(&mut self, container: usize) {
        let (plan, now) = (self.plan_of(container), self.now);
        let attempt = self.state.containers[container].restarts;
        for kind in [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness] {
            let (Some(probe), Some(running)) = (plan.probe(kind), self.running(container)) else { continue };
            let Some(watch) = running.watch(kind).filter(|watch| !watch.in_flight && watch.due <= now) else {
                continue;
            };
            watch.in_flight = true;
            watch.due = now + SignedDuration::from_secs(probe.period_s);
            self.effects.push(Effect::Probe { container, attempt, kind });
        }
    }

    pub(super) fn probed(&mut self, container: usize, attempt: u32, kind: ProbeKind, result: Result<(), String>) {
        let plan = self.plan_of(container);
        if self.state.containers[container].restarts != attempt {
            return;
        }
        let (Some(probe), Some(running)) = (plan.probe(kind), self.running(container)) else { return };
        let Some(verdict) = running.watch(kind).map(|watch| watch.count(probe, result.is_ok())) else { return };
        let is_stopping = running.stopping.is_some();
        if kind == ProbeKind::Readiness
            && let Some(ready) = verdict
        {
            running.ready = ready;
        }
        if let Err(why) = result {
            let message = format!("{kind:?} probe of container {} failed: {why}", plan.name);
            self.effects.push(Notice::warning("Unhealthy", message));
        }
        match (kind, verdict) {
            (ProbeKind::Startup, Some(true)) => self.has_started(container),
            (ProbeKind::Startup | ProbeKind::Liveness, Some(false)) if !is_stopping => {
                self.restart(container, kind, probe);
            }
            _ => {}
        }
    }

    /// Stops a container that a probe found dead; its end starts it again.
    fn restart(&mut self, container: usize, kind: ProbeKind, probe: &Probe) {
        if matches!(self.plan.mode, Mode::Elsewhere(_)) {
            return;
        }
        let name = &self.plan_of(container).name;
        let kind = format!("{kind:?}").to_lowercase();
        self.effects
            .push(Notice::normal("Killing", format!("Container {name} failed its {kind} probe and will be restarted")));
        let grace_s = probe.grace_s.unwrap_or(self.plan.grace_s);
        self.stop(container, self.now + SignedDuration::from_secs(grace_s));
    }

    /// Begins to stop a running container, or shortens the time it has.
    pub(super) fn stop(&mut self, container: usize, deadline: Timestamp) {
        let attempt = self.state.containers[container].restarts;
        let (hook, now) = (self.plan_of(container).pre_stop.clone(), self.now);
        let elsewhere = matches!(self.plan.mode, Mode::Elsewhere(_));
        let Some(running) = self.running(container) else { return };
        // Readiness goes on: connections may drain through a container that still answers (S-205, `serving`).
        running.startup = None;
        running.liveness = None;
        if let Some(stopping) = &mut running.stopping {
            if stopping.stage < Stage::Kill {
                stopping.deadline = stopping.deadline.min(deadline);
            }
            return;
        }
        let stage = if hook.is_some() && deadline > now { Stage::PreStop } else { Stage::Term };
        running.stopping = Some(Stopping { stage, deadline });
        if elsewhere {
            return self.exited(container, Exit::code(0), self.now);
        }
        self.effects.push(match stage {
            Stage::PreStop => Effect::PreStop { container, attempt },
            Stage::Term | Stage::Kill => Effect::Terminate { container },
        });
    }

    pub(super) fn hook_done(&mut self, container: usize, attempt: u32) {
        let at_stage = |stopping: &Stopping| stopping.stage == Stage::PreStop;
        let is_current = self.state.containers[container].restarts == attempt;
        if is_current && self.running(container).is_some_and(|running| running.stopping.as_ref().is_some_and(at_stage))
        {
            self.next_stage(container, Stage::PreStop);
        }
    }

    /// What follows a stage of stopping.
    fn next_stage(&mut self, container: usize, stage: Stage) {
        let now = self.now;
        let Some(stopping) = self.running(container).and_then(|running| running.stopping.as_mut()) else { return };
        match stage {
            Stage::PreStop => {
                *stopping = Stopping { stage: Stage::Term, deadline: stopping.deadline.max(now + LEAST_GRACE) };
                self.effects.push(Effect::Terminate { container });
            }
            Stage::Term => {
                *stopping = Stopping { stage: Stage::Kill, deadline: now + UNANSWERED };
                self.effects.push(Effect::Kill { container });
            }
            Stage::Kill => {}
        }
    }

    /// An attempt has ended: the container waits for the next, or that was it.
    pub(super) fn exited(&mut self, container: usize, exit: Exit, finished: Timestamp) {
        let started = match &self.state.containers[container].now {
            Now::Starting => None,
            Now::Running(running) => Some(running.since),
            Now::Waiting { .. } | Now::Ended(_) => return,
        };
        let restarts = self.state.deletion.is_none()
            && match self.plan.restart_policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => exit.code != 0,
                RestartPolicy::Never => false,
            };
        let name = &self.plan_of(container).name;
        if exit.reason.is_some() {
            self.effects.push(Notice::warning("Failed", format!("Container {name}: {}", exit.message)));
        }
        let state = &mut self.state.containers[container];
        let ended = Ended { exit, started, finished };
        if !restarts {
            state.now = Now::Ended(ended);
            return;
        }
        let (until, crash) = self.backoff.after(state.crash, self.now);
        if until > self.now {
            let message = format!("Back-off restarting failed container {name}");
            self.effects.push(Notice::warning("BackOff", message));
        }
        state.last = Some(ended);
        state.crash = Some(crash);
        state.restarts += 1;
        state.now = Now::Waiting { until: Some(until) };
    }

    /// Brings a container to what its parent process says of its current attempt.
    pub(super) fn settle(&mut self, container: usize, known: Option<&Found>) {
        let (attempt, now) = (self.state.containers[container].restarts, self.now);
        match (known, &self.state.containers[container].now) {
            (None, Now::Starting) => self.state.containers[container].now = Now::Waiting { until: None },
            (None, Now::Running(_)) => return self.exited(container, Exit::unknown(), now),
            (None, Now::Waiting { .. } | Now::Ended(_)) | (_, Now::Ended(_)) => return,
            (Some(found), Now::Starting | Now::Waiting { .. }) => self.started(container, found.started),
            (Some(_), Now::Running(_)) => {}
        }
        if let Some((finished, exit)) = known.and_then(|found| found.ended.clone()) {
            return self.exited(container, exit, finished);
        }
        // What the agent that is gone was doing to end it may not have reached it, or its end was to be told to that agent.
        let Some(stopping) = self.running(container).and_then(|running| running.stopping.as_mut()) else { return };
        let again = match stopping.stage {
            Stage::PreStop => Effect::PreStop { container, attempt },
            Stage::Term => Effect::Terminate { container },
            Stage::Kill => {
                stopping.deadline = now + UNANSWERED;
                Effect::Kill { container }
            }
        };
        self.effects.push(again);
    }
}

fn first(probe: &Probe, since: Timestamp, now: Timestamp) -> Watch {
    debug_assert!(!matches!(probe.action, Action::Sleep(_)), "a probe does something");
    Watch::starting(now.max(since + SignedDuration::from_secs(probe.initial_delay_s)))
}
