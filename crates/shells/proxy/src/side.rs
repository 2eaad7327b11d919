//! One family's side of the kernel, as far as the driver knows it. The families run independently (S-361).

use std::time::Duration;

use intent::Intent;
use kernel::conntrack::ConntrackEntry;
use kernel::netlink::NetlinkError;
use model::{Change, Family, Frontend, Protocol};
use tokio::time::Instant;

use crate::flows::Flows;
use crate::{Applied, Dataplane, DataplaneError, Unserved};

/// The pause after a failure, doubling up to a limit.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A family whose failures come so far apart is no longer waited for: the machine may lack it.
const LASTING: Duration = Duration::from_secs(1);

/// So often in a row somebody else may be quicker before it counts as a failure.
const OUTDATED_MAX: usize = 5;

/// How long after a failed look for stale flows the next one is made.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    flows: Look,
    /// When a look that failed is made up for.
    look_at: Option<Instant>,
}

/// Whether flows have to be looked through (S-330).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// None can be stale.
    NotNeeded,
    /// As soon as the rules are in place, whatever happens next.
    Needed,
    /// It is being done; `again`: what happened since has to be looked for once more.
    Running { again: bool },
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
            flows: Look::NotNeeded,
            look_at: None,
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
        self.not_before.into_iter().chain(self.look_at).min()
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
            self.need_look();
        }
        if self.not_before.is_some_and(|time| now < time) || (self.kernel == Kernel::Known && change.is_empty()) {
            return Applied::default();
        }
        match self.write_in_time(intent, change, dataplane) {
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
            self.need_look();
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
            self.need_look();
        }
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

    fn need_look(&mut self) {
        self.flows = match self.flows {
            Look::NotNeeded | Look::Needed => Look::Needed,
            Look::Running { .. } => Look::Running { again: true },
        };
    }

    /// After the rules are in place: a flow that is forgotten is led by them with its next packet. An endpoint may also have
    /// stopped serving without having been chosen, by policy or topology, so this doesn't wait for a write.
    pub(crate) fn look_for_stale_flows(&mut self, flows: &mut Flows) {
        if self.flows == Look::Needed && self.kernel == Kernel::Known {
            flows.list(self.family);
            self.flows = Look::Running { again: false };
            self.look_at = None;
        }
    }

    /// A look is done. One that failed is tried again in a while; the rules are right all the same.
    pub(crate) fn looked(
        &mut self,
        intent: &Intent,
        listed: Result<Vec<ConntrackEntry>, NetlinkError>,
        flows: &mut Flows,
    ) {
        match listed {
            Ok(entries) => {
                flows.forget_stale(intent, self.family, &entries);
                self.flows = match self.flows {
                    Look::Running { again: true } => Look::Needed,
                    Look::Running { again: false } | Look::Needed | Look::NotNeeded => Look::NotNeeded,
                };
                self.look_for_stale_flows(flows);
            }
            Err(error) => {
                tracing::error!(error = runloop::chain(&error), "UDP flows could not be listed to find stale ones");
                self.look_later();
            }
        }
    }

    /// A look that runs finds them again.
    pub(crate) fn not_forgotten(&mut self, error: &NetlinkError) {
        tracing::error!(error = runloop::chain(error), "stale UDP flows could not be forgotten");
        if self.flows == Look::NotNeeded {
            self.look_later();
        }
    }

    fn look_later(&mut self) {
        self.flows = Look::Needed;
        self.look_at = Some(Instant::now() + LOOK_AGAIN);
    }
}

fn is_udp(frontend: Frontend) -> bool {
    frontend.protocol == Protocol::Udp
}
