//! One driver for every reconcile loop: wake-up, period, retry, last result.
//!
//! A loop's body reads the newest state, plans and applies; it never learns *why* it runs. A [`Wake`] carries no data,
//! so any number of wake-ups before a run are one run. A slow period repairs drift. Controllers retry nowhere else: after
//! a failure the body runs again after a pause that doubles up to a limit, or at the next wake-up, whichever is first.
//!
//! A loop whose work falls into many keys, each with failures of its own, keeps them in a [`Queue`].

mod keyed;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use keyed::{Pauses, Queue};

/// Wakes a loop.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// A wake-up for one loop.
    pub fn new() -> Wake {
        Wake::default()
    }

    /// Has the loop run soon.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// When a loop runs without being woken.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// After a success.
    pub period: Duration,
    /// After a first failure.
    pub retry_min: Duration,
    /// After many failures.
    pub retry_max: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            period: Duration::from_secs(60),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
        }
    }
}

/// How the last run of a loop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastRun {
    /// How many runs there were.
    pub runs: u64,
    /// Failures since the last success; of a [`Queue`], how many of its keys fail.
    pub failures: u32,
    /// What the last failure said, if the last run failed; of a [`Queue`], what one of them said.
    pub error: Option<String>,
}

/// Runs a loop until its future is dropped, and shows how it goes.
pub async fn run<F, R, E>(name: &str, timing: Timing, wake: Wake, shown: watch::Sender<LastRun>, mut body: F)
where
    F: FnMut() -> R,
    R: Future<Output = Result<(), E>>,
    E: std::error::Error,
{
    loop {
        let result = body().await;
        let last = shown.borrow().clone();
        let next = after(last, result.as_ref().err().map(|error| chain(error)));
        if let Some(error) = &next.error {
            tracing::warn!(name, failures = next.failures, error, "a run failed; trying again");
        }
        let pause = pause(&timing, next.failures);
        shown.send_replace(next);
        tokio::select! {
            () = wake.0.notified() => {}
            () = tokio::time::sleep_until(Instant::now() + pause) => {}
        }
    }
}

/// What is shown after a run.
fn after(last: LastRun, error: Option<String>) -> LastRun {
    let failures = if error.is_some() { last.failures + 1 } else { 0 };
    LastRun { runs: last.runs + 1, failures, error }
}

/// How long to wait after so many failures in a row.
fn pause(timing: &Timing, failures: u32) -> Duration {
    match failures {
        0 => timing.period,
        n => doubled((timing.retry_min, timing.retry_max), n),
    }
}

/// The pause after so many failures in a row, one at least: it doubles from the first to the greatest.
fn doubled((first, greatest): (Duration, Duration), failures: u32) -> Duration {
    (first * 2u32.saturating_pow((failures - 1).min(16))).min(greatest)
}

/// An error with all its causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_with_failures_up_to_a_limit() {
        let timing = Timing {
            period: Duration::from_secs(60),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(1),
        };
        let millis = |failures| pause(&timing, failures).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 4_000_000].map(millis), [60_000, 100, 200, 400, 800, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_run_is_retried_and_a_wake_up_runs_at_once() {
        let wake = Wake::new();
        let (shown, mut last) = watch::channel(LastRun::default());
        let mut runs = 0;
        let body = move || {
            runs += 1;
            let result = if runs == 1 { Err(std::io::Error::other("not yet")) } else { Ok(()) };
            std::future::ready(result)
        };
        let task = tokio::spawn(run("test", Timing::default(), wake.clone(), shown, body));
        let begun = Instant::now();
        last.wait_for(|last| last.runs == 2 && last.error.is_none()).await.expect("the loop runs");
        assert!(begun.elapsed() < Duration::from_secs(1), "the retry came after {:?}", begun.elapsed());
        wake.wake();
        last.wait_for(|last| last.runs == 3).await.expect("the loop runs");
        assert!(begun.elapsed() < Duration::from_secs(1), "the wake-up came after {:?}", begun.elapsed());
        task.abort();
    }
}
