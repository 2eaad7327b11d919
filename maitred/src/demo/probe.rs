//! Clients that wait for a change to arrive.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::{Namespace, Outcome, Request};
use tokio::task::JoinSet;

use super::scene::PATIENCE;

/// How often a waiting client tries.
const EVERY: Duration = Duration::from_millis(1);
/// So many attempts may wait at the same time: more than are begun while one waits.
const AT_ONCE: usize = 256;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(250);

/// Does something while a client tries each millisecond, and returns the time from before it was done to the first
/// outcome that is wanted.
pub(crate) fn live_in(
    client: &Namespace,
    to: SocketAddr,
    wanted: impl Fn(&Outcome) -> bool + Sync,
    done: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    Ok(live_at(client, to, wanted, done)?.saturating_duration_since(begun))
}

/// The same; returns when the first outcome that is wanted came.
pub(crate) fn live_at(
    client: &Namespace,
    to: SocketAddr,
    wanted: impl Fn(&Outcome) -> bool + Sync,
    done: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Instant> {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (wanted, ended) = (&wanted, &ended);
        let waiting = scope.spawn(move || wait_for(client, to, wanted, ended));
        let result = done();
        if result.is_err() {
            ended.store(true, Ordering::Relaxed);
        }
        let seen = waiting.join().expect("the client does not panic");
        result?;
        seen?.with_context(|| format!("it did not come to be in {} s", PATIENCE.as_secs()))
    })
}

/// Waits until an attempt has the outcome that is wanted.
pub(crate) fn until(
    client: &Namespace,
    to: SocketAddr,
    wanted: impl Fn(&Outcome) -> bool + Sync,
) -> anyhow::Result<()> {
    live_at(client, to, wanted, || Ok(())).map(drop)
}

fn wait_for(
    client: &Namespace,
    to: SocketAddr,
    wanted: &(dyn Fn(&Outcome) -> bool + Sync),
    ended: &AtomicBool,
) -> anyhow::Result<Option<Instant>> {
    let begun = Instant::now();
    let request = Request { reset_at_end: true, ..Request::new(to, ATTEMPT) };
    // Attempts overlap: one that is dropped must not keep the next ones from being made.
    let attempts = async {
        let mut running = JoinSet::new();
        let mut next = tokio::time::interval(EVERY);
        while begun.elapsed() < PATIENCE && !ended.load(Ordering::Relaxed) {
            tokio::select! {
                _ = next.tick(), if running.len() < AT_ONCE => drop(running.spawn(async move { request.send_here().await })),
                Some(outcome) = running.join_next() => {
                    if wanted(&outcome.expect("a request does not panic")) {
                        return Some(Instant::now());
                    }
                }
            }
        }
        None
    };
    client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        anyhow::Ok(runtime.block_on(attempts))
    })?
}

/// Waits until only these Pods have answered so many attempts in a row; returns when the first of the row was answered.
/// By chance that may be a few attempts before the others were out of the choice.
pub(crate) fn settled(
    client: &Namespace,
    to: SocketAddr,
    pods: &BTreeSet<&str>,
    in_a_row: usize,
) -> anyhow::Result<Instant> {
    let row = Mutex::new((0, Instant::now()));
    until(client, to, |outcome| {
        let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.pod().is_some_and(|pod| pods.contains(pod)) {
            true if row.0 == 0 => *row = (1, Instant::now()),
            true => row.0 += 1,
            false => row.0 = 0,
        }
        row.0 >= in_a_row
    })?;
    Ok(row.into_inner().unwrap_or_else(PoisonError::into_inner).1)
}
