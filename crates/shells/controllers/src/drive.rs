//! What a loop is to the driver, and why a run failed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cluster::RequestError;
use jiff::Timestamp;
use runloop::{LastRun, Timing, Wake};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::start::Clock;

/// Why a run failed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something could not be read.
    #[error("cannot read {what}")]
    Read {
        /// What.
        what: &'static str,
        /// What the server said.
        source: RequestError,
    },
    /// The keys of node ports could not be read or written.
    #[error("cannot repair node ports")]
    Ports(#[source] crate::ports::PortKeysError),
    /// Something could not be written.
    #[error("{failed} of {all} writes failed, the first")]
    Write {
        /// How many failed.
        failed: usize,
        /// How many there were.
        all: usize,
        /// What the server said of the first.
        source: RequestError,
    },
}

/// One loop: it reads the newest state, plans and writes.
pub(crate) trait Controller: Send + 'static {
    /// Runs once and says when it must run again even if nothing changes.
    fn run(&mut self) -> impl Future<Output = Result<Option<Timestamp>, Failure>> + Send;
}

/// Runs a loop until the future is dropped.
pub(crate) async fn drive<C: Controller>(
    name: &'static str,
    timing: Timing,
    wake: Wake,
    shown: watch::Sender<LastRun>,
    now: Clock,
    controller: C,
) {
    let (alarm, due) = watch::channel(None);
    // The lock is never waited for: the driver has one run at a time.
    let controller = Arc::new(Mutex::new(controller));
    let alarm = Arc::new(alarm);
    let body = move || {
        let (controller, alarm, now) = (controller.clone(), alarm.clone(), now.clone());
        async move {
            let next = controller.lock().await.run().await?;
            alarm.send_replace(next.map(|due| Instant::now() + until(due, now())));
            Ok::<(), Failure>(())
        }
    };
    tokio::join!(runloop::run(name, timing, wake.clone(), shown, body), ring(due, wake));
}

/// Wakes the loop at the time that its last run asked for.
async fn ring(mut due: watch::Receiver<Option<Instant>>, wake: Wake) {
    loop {
        let at = *due.borrow_and_update();
        let pause = async {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = due.changed() => if changed.is_err() { return },
            () = pause => {
                wake.wake();
                if due.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// How long it is until then; nothing if that is over.
fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks to be run again in an hour, once.
    struct Hourly {
        runs: u32,
        now: Clock,
    }

    impl Controller for Hourly {
        async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
            self.runs += 1;
            let hour = jiff::SignedDuration::from_hours(1);
            Ok((self.runs == 1).then(|| (self.now)() + hour))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_runs_again_when_its_plan_asked_for_it() {
        let begun = Instant::now();
        let now: Clock = Arc::new(move || Timestamp::UNIX_EPOCH + begun.elapsed());
        let (shown, mut last) = watch::channel(LastRun::default());
        let day = Timing { period: Duration::from_secs(24 * 3600), ..Timing::default() };
        let task = tokio::spawn(drive("hourly", day, Wake::new(), shown, now.clone(), Hourly { runs: 0, now }));
        last.wait_for(|last| last.runs == 2).await.expect("the loop runs");
        let hour = Duration::from_secs(3600);
        assert!((hour..hour + Duration::from_secs(1)).contains(&begun.elapsed()), "it ran after {:?}", begun.elapsed());
        last.wait_for(|last| last.runs == 3).await.expect("the loop runs");
        assert!(begun.elapsed() > 24 * hour, "no alarm is left: it ran after {:?}", begun.elapsed());
        task.abort();
    }
}
