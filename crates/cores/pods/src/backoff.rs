//! How long a container that ended waits before it is started again.
//!
//! The first restart comes at once. From then on each waits twice as long as the one before, up to a limit; a container
//! that ran for twice the limit begins anew.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second restart.
    pub base: SignedDuration,
    /// The longest.
    pub max: SignedDuration,
}

impl Default for Backoff {
    /// 10 seconds to 5 minutes, as on Kubernetes.
    fn default() -> Backoff {
        Backoff { base: SignedDuration::from_secs(10), max: SignedDuration::from_secs(300) }
    }
}

/// What a container's past restarts cost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// The pause before the next restart.
    pub next_pause: SignedDuration,
    /// When the last restart was decided on.
    pub restarted: Timestamp,
}

impl Backoff {
    /// When a container that ended `now` starts again, and what it remembers.
    pub(crate) fn after(&self, crash: Option<Crash>, now: Timestamp) -> (Timestamp, Crash) {
        let recent = crash.filter(|crash| now.duration_since(crash.restarted) <= self.max * 2);
        let (pause, next_pause) = match recent {
            None => (SignedDuration::ZERO, self.base),
            Some(crash) => (crash.next_pause, (crash.next_pause * 2).min(self.max)),
        };
        let restarted = now + pause;
        (restarted, Crash { next_pause, restarted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_a_long_run_forgives() {
        let mut now: Timestamp = "2030-01-01T00:00:00Z".parse().expect("a time");
        let mut crash = None;
        let mut pause_after_a_run_of = |seconds: i64| {
            now += SignedDuration::from_secs(seconds);
            let (start, next) = Backoff::default().after(crash, now);
            let pause = start.duration_since(now).as_secs();
            (now, crash) = (start, Some(next));
            pause
        };
        let pauses: Vec<i64> = std::iter::repeat_with(|| pause_after_a_run_of(1)).take(9).collect();
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(pause_after_a_run_of(600), 300, "exactly twice the limit is not longer than it");
        assert_eq!(pause_after_a_run_of(601), 0);
        assert_eq!(pause_after_a_run_of(1), 10);
    }
}
