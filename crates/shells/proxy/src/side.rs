//! One family's side of the kernel, as far as the driver knows it. The families run independently (S-361).

use std::time::Duration;

use intent::Intent;
use model::{Change, Family, Frontend, Protocol};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::flows::{Answer, Flows};
use crate::look::Look;
use crate::{Applied, Dataplane, DataplaneError, Unserved};

/// The pause after a failure, doubling up to a limit.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A family whose failures come so far apart is no longer waited for: the machine may lack it.
const LASTING: Duration = Duration::from_secs(1);

/// So often in a row somebody else may be quicker before it counts as a failure.
const OUTDATED_MAX: usize = 5;

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
    /// After a failure nothing is written for a while.
    backoff: Backoff,
    /// What is not in the kernel.
    unserved: Vec<Unserved>,
    look: Look,
}

impl Side {
    pub(crate) fn new(family: Family) -> Side {
        Side {
            family,
            kernel: Kernel::Unknown,
            programmed: false,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            unserved: Vec::new(),
            look: Look::new(),
        }
    }

    pub(crate) fn programmed(&self) -> bool {
        self.programmed
    }

    /// Whether it is known how this family fares: it has been programmed, or fails again and again.
    pub(crate) fn settled(&self) -> bool {
        self.programmed || self.backoff.reached(LASTING)
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.backoff.error()
    }

    pub(crate) fn unserved(&self) -> &[Unserved] {
        &self.unserved
    }

    /// When a failure is to be made up for. As long as the kernel has to be written first, a look waits for that.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        match self.kernel {
            Kernel::Unknown => self.backoff.until(),
            Kernel::Known => self.look.retry_at(),
        }
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
        if udp || self.kernel == Kernel::Unknown {
            self.look.need();
        }
        if self.backoff.holds(now) || (self.kernel == Kernel::Known && change.is_empty()) {
            return Applied::default();
        }
        match self.write_in_time(intent, change, dataplane) {
            Ok(applied) => {
                (self.kernel, self.programmed) = (Kernel::Known, true);
                self.backoff.succeeded();
                applied
            }
            Err(error) => {
                self.fail(runloop::chain(&error), now);
                Applied::default()
            }
        }
    }

    /// Others write rules as well. Where one of them was quicker, the kernel is observed anew at once.
    fn write_in_time(
        &mut self,
        intent: &Intent,
        change: Change,
        dataplane: &mut dyn Dataplane,
    ) -> Result<Applied, DataplaneError> {
        let mut result = self.write(intent, change, dataplane);
        for _ in 0..OUTDATED_MAX {
            match &result {
                Err(error) if error.outdated => {
                    tracing::debug!(family = ?self.family, "somebody else wrote rules meanwhile")
                }
                _ => break,
            }
            self.kernel = Kernel::Unknown;
            self.look.need();
            result = self.write(intent, Change::default(), dataplane);
        }
        result
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
        if self.unserved.iter().any(|one| settled(one) && one.frontend.is_some_and(is_udp)) {
            // What the kernel takes at last is a new frontend for it (S-331).
            self.look.need();
        }
        self.unserved.retain(|one| !settled(one));
        self.unserved.extend(applied.unserved.iter().cloned());
        Ok(applied)
    }

    /// A failure that lasts is told once.
    fn fail(&mut self, error: String, now: Instant) {
        self.kernel = Kernel::Unknown;
        let (family, is_news) = (self.family, self.backoff.failed(error, now));
        let error = self.backoff.error();
        if is_news {
            tracing::error!(?family, error, "the kernel could not be programmed; trying again");
        } else {
            tracing::debug!(?family, error, "the kernel could still not be programmed");
        }
    }

    /// After the rules are in place: a flow that is forgotten is led by them with its next packet. An endpoint may also have
    /// stopped serving without having been chosen, by policy or topology, so this doesn't wait for a write.
    pub(crate) fn look_for_stale_flows(&mut self, flows: &mut Flows, now: Instant) {
        if self.kernel == Kernel::Known && self.look.begin(now) {
            flows.list(self.family);
        }
    }

    /// Goes on with a look. One that failed is tried again in a while; the rules are right all the same.
    pub(crate) fn looked(&mut self, intent: &Intent, answer: Answer, flows: &mut Flows, now: Instant) {
        match answer {
            Answer::Listed(Ok(listed)) => match listed.stale(intent) {
                none if none.is_empty() => self.look.finish(),
                stale => flows.forget(self.family, stale),
            },
            Answer::Forgotten(Ok(())) => self.look.finish(),
            Answer::Listed(Err(error)) | Answer::Forgotten(Err(error)) => {
                let (family, error) = (self.family, runloop::chain(&error));
                if self.look.fail(error.clone(), now) {
                    tracing::error!(?family, error, "stale UDP flows could not be forgotten; trying again");
                }
            }
        }
        self.look_for_stale_flows(flows, now);
    }
}

fn is_udp(frontend: Frontend) -> bool {
    frontend.protocol == Protocol::Udp
}
