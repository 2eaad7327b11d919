//! The transactions that wait for the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Revision, Transaction, Write};

/// So many transactions wait at most; further callers wait to enter.
const ROOM: usize = 4096;

/// A transaction and who waits for its outcome.
pub(crate) type Request = (Transaction, Reply);

/// There is no writer any more.
#[derive(Debug)]
pub(crate) struct Closed;

/// The way back to who waits for an outcome; with its place in the queue, which others get once it is answered.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: oneshot::Sender<Result<Revision, Error>>,
    _room: OwnedSemaphorePermit,
}

impl Reply {
    pub(crate) fn answer(self, outcome: Result<Revision, Error>) {
        // A caller that has gone away doesn't want to know.
        let _ = self.sender.send(outcome);
    }
}

/// Transactions in the order in which they came.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    woken: bool,
    closed: bool,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue { waiting: Mutex::default(), arrived: Condvar::new(), room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Enters a transaction, unless the queue is closed. Dropping the future before it is done leaves nothing behind.
    pub(crate) async fn enter(
        &self,
        transaction: Transaction,
    ) -> Result<oneshot::Receiver<Result<Revision, Error>>, Closed> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| Closed)?;
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Closed);
        }
        waiting.requests.push_back((transaction, Reply { sender, _room: room }));
        drop(waiting);
        self.arrived.notify_one();
        Ok(answer)
    }

    /// Has the writer look after its upkeep.
    pub(crate) fn wake(&self) {
        self.waiting.lock().woken = true;
        self.arrived.notify_one();
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Lets go of all that wait: they find that the queue is closed.
    pub(crate) fn clear(&self) {
        self.waiting.lock().requests.clear();
    }

    /// All that wait, up to about so many bytes of writes; waits for the first one as long as `patience`. `None` once
    /// the queue is closed and empty.
    pub(crate) fn take(&self, bytes: usize, patience: Duration) -> Option<Vec<Request>> {
        let until = Instant::now() + patience;
        let mut waiting = self.waiting.lock();
        while waiting.requests.is_empty() && !waiting.woken && !waiting.closed {
            if self.arrived.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        waiting.woken = false;
        if waiting.closed && waiting.requests.is_empty() {
            return None;
        }
        let mut taken = Vec::new();
        let mut size = 0;
        while size < bytes
            && let Some(request) = waiting.requests.pop_front()
        {
            size += bytes_of(&request.0);
            taken.push(request);
        }
        Some(taken)
    }
}

/// About how many bytes a transaction adds to the log.
fn bytes_of(transaction: &Transaction) -> usize {
    let value = |write: &Write| match write {
        Write::Put(_, value) => value.len(),
        Write::Delete(_) => 0,
    };
    transaction.writes.iter().map(|write| write.key().len() + value(write)).sum()
}
