//! Whether the UDP flows of one family have to be looked through for stale ones (S-330), as a state machine without I/O.
//!
//! ```text
//!   NotNeeded ──need──► Needed ──begin──► Running ──finish──► NotNeeded, or Needed if something happened meanwhile
//!                          ▲                 │
//!                          └──── failed ─────┘   after a pause
//! ```

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// The pause after a failed look. One costs the kernel a walk over all connections.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No flow can be stale.
    NotNeeded,
    /// As soon as the rules are in place, whatever happens next.
    Needed,
    /// It is being done; `again`: what happened since has to be looked for once more.
    Running { again: bool },
}

#[derive(Debug)]
pub(crate) struct Look {
    state: State,
    backoff: Backoff,
}

impl Look {
    pub(crate) fn new() -> Look {
        Look { state: State::NotNeeded, backoff: Backoff::new(RETRY.0, RETRY.1) }
    }

    /// Flows may have become stale.
    pub(crate) fn need(&mut self) {
        self.state = match self.state {
            State::NotNeeded | State::Needed => State::Needed,
            State::Running { .. } => State::Running { again: true },
        };
    }

    /// Whether to look now, which then counts as begun.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let begins = self.state == State::Needed && !self.backoff.holds(now);
        if begins {
            self.state = State::Running { again: false };
        }
        begins
    }

    /// When a look that failed is made up for.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.backoff.until().filter(|_| self.state == State::Needed)
    }

    /// Every stale flow is forgotten.
    pub(crate) fn finish(&mut self) {
        self.backoff.succeeded();
        self.state = match self.state {
            State::Running { again: true } => State::Needed,
            State::Running { again: false } | State::Needed | State::NotNeeded => State::NotNeeded,
        };
    }

    /// Stale flows may still be there. Says whether this failure is news.
    pub(crate) fn fail(&mut self, error: String, now: Instant) -> bool {
        self.state = State::Needed;
        self.backoff.failed(error, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s330_what_happens_during_a_look_is_looked_for_afterwards() {
        let (now, mut look) = (Instant::now(), Look::new());
        assert!(!look.begin(now), "nothing has happened");
        look.need();
        assert!(look.begin(now));
        assert!(!look.begin(now), "it is under way");
        look.need();
        look.finish();
        assert!(look.begin(now));
        look.finish();
        assert!(!look.begin(now));
    }

    #[test]
    fn s330_a_failed_look_is_made_up_for_after_a_pause_whatever_happens_meanwhile() {
        let (now, mut look) = (Instant::now(), Look::new());
        let failing = |look: &mut Look, now, pause| {
            look.need();
            assert!(look.begin(now));
            look.fail("no".to_owned(), now);
            look.need();
            assert!(!look.begin(now), "it costs the kernel much, so not with every change");
            assert_eq!(look.retry_at(), Some(now + Duration::from_secs(pause)));
            now + Duration::from_secs(pause)
        };
        let now = failing(&mut look, now, 1);
        let now = failing(&mut look, now, 2);
        assert!(look.begin(now));
        look.finish();
        assert_eq!(look.retry_at(), None);
        failing(&mut look, now, 1);
    }
}
