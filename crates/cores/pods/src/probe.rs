//! Counting a probe's results to its thresholds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Probe;

/// How a probe of a running container stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// When it is to be tried next.
    pub due: Timestamp,
    /// An attempt has not been answered yet. Nobody answers the attempts of an agent that is gone, so a state that was kept has
    /// none; the field is still written for older agents, which do not read a state without it.
    #[serde(skip_deserializing)]
    pub in_flight: bool,
    successes: u32,
    failures: u32,
}

impl Watch {
    /// A probe that is first tried at a time.
    pub(crate) fn starting(due: Timestamp) -> Watch {
        Watch { due, in_flight: false, successes: 0, failures: 0 }
    }

    /// Counts a result; says what holds from now on, once a threshold is reached.
    pub(crate) fn count(&mut self, probe: &Probe, success: bool) -> Option<bool> {
        self.in_flight = false;
        (self.successes, self.failures) =
            if success { (self.successes.saturating_add(1), 0) } else { (0, self.failures.saturating_add(1)) };
        let reached = if success { self.successes >= probe.successes } else { self.failures >= probe.failures };
        reached.then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;

    /// What holds after each result: `+` and `-` in, the verdict out (`.` for none).
    fn check(failures: u32, successes: u32, results: &str, expected: &str) {
        let action = Action::Sleep(0);
        let probe = Probe { action, initial_delay_s: 0, period_s: 1, timeout_s: 1, failures, successes, grace_s: None };
        let mut watch = Watch::starting(Timestamp::UNIX_EPOCH);
        let verdict = |result| match watch.count(&probe, result == '+') {
            Some(true) => '+',
            Some(false) => '-',
            None => '.',
        };
        assert_eq!(results.chars().map(verdict).collect::<String>(), expected, "{failures} {successes} {results}");
    }

    #[test]
    fn only_so_many_results_in_a_row_count() {
        check(3, 1, "+--+---", "+..+..-");
        check(1, 1, "+-+-", "+-+-");
        check(2, 3, "++-+++-", ".....+.");
        check(3, 1, "-----", "..---");
    }
}
