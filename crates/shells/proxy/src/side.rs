//! One family's side of the kernel, as far as the driver knows it. The families run independently (S-361).

use std::time::Duration;

use intent::Intent;
use model::{Change, Family};
use tokio::time::Instant;

use crate::flows::Flows;
use crate::{Applied, Dataplane, DataplaneError, Unserved};

/// The pause after a failure, doubling up to a limit.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A family whose failures come so far apart is no longer waited for: the machine may lack it.
const LASTING: Duration = Duration::from_secs(1);

/// What is known of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// Nothing: it must be observed before the next write.
    Unknown,
    /// It holds what the Model said before its last change.
    Known,
}

pub(crate) struct Side {
    family: Family,
    kernel: Kernel,
    /// Whether it has held the whole Model at least once.
    programmed: bool,
    /// After a failure nothing is written before this.
    not_before: Option<Instant>,
    retry: Duration,
    /// What the last attempt said, if it failed.
    error: Option<String>,
    /// What is not in the kernel.
    unserved: Vec<Unserved>,
    /// Flows have still to be looked through, whatever happens next.
    flows_pending: bool,
}

impl Side {
    pub(crate) fn new(family: Family) -> Side {
        Side {
            family,
            kernel: Kernel::Unknown,
            programmed: false,
            not_before: None,
            retry: RETRY.0,
            error: None,
            unserved: Vec::new(),
            flows_pending: false,
        }
    }

    pub(crate) fn programmed(&self) -> bool {
        self.programmed
    }

    /// Whether it is known how this family fares: it has been programmed, or fails again and again.
    pub(crate) fn settled(&self) -> bool {
        self.programmed || self.retry >= LASTING
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(crate) fn unserved(&self) -> &[Unserved] {
        &self.unserved
    }

    /// When a failure is to be made up for.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.not_before
    }

    /// Somebody may have changed the kernel.
    pub(crate) fn doubt(&mut self) {
        self.kernel = Kernel::Unknown;
    }

    /// Brings the kernel up to date, unless a failure is too fresh. `change` is what became different since the last call,
    /// `udp` whether UDP flows may have become stale by it.
    pub(crate) fn reconcile(
        &mut self,
        intent: &Intent,
        change: Change,
        udp: bool,
        dataplane: &mut dyn Dataplane,
        now: Instant,
    ) -> Applied {
        self.flows_pending |= udp || self.kernel == Kernel::Unknown;
        if self.not_before.is_some_and(|time| now < time) || (self.kernel == Kernel::Known && change.is_empty()) {
            return Applied::default();
        }
        match self.write(intent, change, dataplane) {
            Ok(applied) => {
                self.kernel = Kernel::Known;
                (self.programmed, self.error, self.not_before, self.retry) = (true, None, None, RETRY.0);
                applied
            }
            Err(error) => {
                self.fail(runloop::chain(&error), now);
                Applied::default()
            }
        }
    }

    fn write(
        &mut self,
        intent: &Intent,
        mut change: Change,
        dataplane: &mut dyn Dataplane,
    ) -> Result<Applied, DataplaneError> {
        let model = intent.model(self.family);
        if self.kernel == Kernel::Unknown {
            let observed = dataplane.observe_family(self.family)?;
            dataplane.recognize(model);
            change = Change::between(&observed, model);
            self.unserved.clear();
        }
        let applied = dataplane.apply(self.family, &change)?;
        let settled = |one: &Unserved| one.frontend.is_some_and(|frontend| change.frontends.contains_key(&frontend));
        self.unserved.retain(|one| !settled(one));
        self.unserved.extend(applied.unserved.iter().cloned());
        Ok(applied)
    }

    /// A failure that lasts is told once.
    fn fail(&mut self, text: String, now: Instant) {
        let family = self.family;
        if self.error.as_ref() == Some(&text) {
            tracing::debug!(?family, error = text, "the kernel could still not be programmed");
        } else {
            tracing::error!(?family, error = text, "the kernel could not be programmed; trying again");
        }
        self.error = Some(text);
        self.kernel = Kernel::Unknown;
        self.not_before = Some(now + self.retry);
        self.retry = (self.retry * 2).min(RETRY.1);
    }

    /// After the rules are in place: a flow that is forgotten is led by them with its next packet. If it fails it is
    /// tried again with the next change or repair; the rules are right all the same. An endpoint may also have stopped
    /// serving without having been chosen, by policy or topology, so this doesn't wait for a write.
    pub(crate) fn forget_stale_flows(&mut self, intent: &Intent, flows: &mut Flows) {
        if !self.flows_pending || self.kernel == Kernel::Unknown {
            return;
        }
        match flows.forget_stale(intent, self.family) {
            Ok(forgotten) => {
                self.flows_pending = false;
                tracing::debug!(family = ?self.family, forgotten, "stale UDP flows");
            }
            Err(error) => tracing::error!(error = runloop::chain(&error), "stale UDP flows could not be forgotten"),
        }
    }
}
