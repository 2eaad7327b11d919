//! The embedded store: a log and snapshots in one directory, everything in memory.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::files::{Directory, Files};
use crate::index::Scan;
use crate::queue::{Closed, Queue};
use crate::watchers::Subscription;
use crate::writer::{Shared, Writer};
use crate::{Error, KeyValue, Options, Page, Range, Revision, Stats, Store, Transaction, Watch};

/// A reader of a range looks at so many keys before it lets the writer in.
const SCAN_STEP: usize = 1024;

/// A store in a directory of this machine, for one process at a time.
pub struct Embedded {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    watch_queue: usize,
    /// None once it has been joined.
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store in a directory, which is made if it is missing.
    pub fn open(dir: &Path) -> Result<Embedded, Error> {
        Embedded::open_with(dir, Options::default())
    }

    /// Opens the store in a directory, which is made if it is missing.
    pub fn open_with(dir: &Path, options: Options) -> Result<Embedded, Error> {
        Embedded::open_on(Arc::new(Directory::open(dir)?), options)
    }

    /// Opens the store on any file layer.
    pub fn open_on(files: Arc<dyn Files>, options: Options) -> Result<Embedded, Error> {
        let (watch_queue, group_bytes) = (options.watch_queue, options.group_bytes);
        let place = files.place();
        let writer = Writer::open(files, options)?;
        let (shared, queue) = (writer.shared.clone(), Arc::new(Queue::new()));
        let waiting = queue.clone();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(writer, &waiting, group_bytes))
            .map_err(|e| Error::Unreadable(Arc::from(format!("cannot start the writer of {place}: {e}"))))?;
        Ok(Embedded { shared, queue, watch_queue, thread: Some(thread) })
    }

    /// What it has done and holds.
    pub fn stats(&self) -> Stats {
        let watchers = self.shared.watchers.lock().count() as u64;
        Stats { watchers, ..*self.shared.stats.lock() }
    }

    fn page(&self, range: &Range, at: Option<Revision>) -> Result<Page, Error> {
        let revision = self.shared.index.read().readable(at)?;
        let mut scan = Scan::default();
        loop {
            let index = self.shared.index.read();
            match index.readable(Some(revision)) {
                Ok(_) => {}
                // Compaction has overtaken a slow reader who asked for no revision in particular.
                Err(_) if at.is_none() => {
                    let (mut scan, revision) = (Scan::default(), index.revision());
                    index.scan(range, revision, &mut scan, usize::MAX);
                    return Ok(Page { items: scan.items, revision, remaining: scan.remaining });
                }
                Err(error) => return Err(error),
            }
            if index.scan(range, revision, &mut scan, SCAN_STEP) {
                return Ok(Page { items: scan.items, revision, remaining: scan.remaining });
            }
        }
    }

    fn subscribe(&self, prefix: &str, after: Revision) -> Result<Watch, Error> {
        let newest = || self.shared.index.read().revision();
        let (mut subscription, newest) = Subscription::new(&self.shared.watchers, prefix, self.watch_queue, newest);
        if after > newest {
            return Err(Error::Future { asked: after, newest });
        }
        let history = self.shared.index.read().history_after(after)?;
        subscription.replay(history, newest);
        Ok(subscription.stream())
    }
}

/// Turns callers away once there is no writer, also if it panicked.
struct Closing<'a>(&'a Queue, Arc<Shared>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "its writer panicked, which is a bug; restart";
            self.1.read_only.lock().get_or_insert_with(|| Arc::from(why));
        }
        self.0.close();
        self.0.clear();
    }
}

/// The writer's thread: until the queue is closed and empty.
fn run(mut writer: Writer, queue: &Queue, group_bytes: usize) {
    let _closing = Closing(queue, writer.shared.clone());
    let mut patience = Duration::ZERO;
    while let Some(requests) = queue.take(group_bytes, patience) {
        if !requests.is_empty() {
            let (transactions, replies): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
            let outcomes = writer.commit(transactions, Instant::now());
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                reply.answer(outcome);
            }
        }
        let more = writer.step(Instant::now());
        patience = if more { Duration::ZERO } else { writer.patience() };
    }
    writer.seal();
}

fn closed() -> Error {
    Error::ReadOnly(Arc::from("it was closed"))
}

impl Store for Embedded {
    fn get<'a>(&'a self, key: &'a str, at: Option<Revision>) -> BoxFuture<'a, Result<Option<KeyValue>, Error>> {
        let index = self.shared.index.read();
        ready(index.readable(at).map(|revision| index.at(key, revision))).boxed()
    }

    fn range<'a>(&'a self, range: &'a Range, at: Option<Revision>) -> BoxFuture<'a, Result<Page, Error>> {
        async move { self.page(range, at) }.boxed()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Revision, Error>> {
        async move {
            let closed = || self.read_only().map_or_else(closed, Error::ReadOnly);
            let answer = self.queue.enter(transaction).await.map_err(|Closed| closed())?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        }
        .boxed()
    }

    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Watch, Error>> {
        async move { self.subscribe(prefix, after) }.boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        // Once the lock is free, what the index holds has been handed out.
        let _handed_out = self.shared.watchers.lock();
        ready(Ok(self.shared.index.read().revision())).boxed()
    }

    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            self.shared.index.write().compact(before)?;
            self.queue.wake();
            Ok(())
        }
        .boxed()
    }

    fn read_only(&self) -> Option<Arc<str>> {
        self.shared.read_only.lock().clone()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
        self.shared.watchers.lock().close(&closed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::SimFiles;

    #[tokio::test]
    async fn a_writer_that_panics_leaves_no_caller_waiting_and_says_why() {
        let writer = Writer::open(Arc::new(SimFiles::new()), Options::default()).unwrap();
        let (shared, queue) = (writer.shared.clone(), Arc::new(Queue::new()));
        let waiting = queue.enter(Transaction::default()).await.unwrap();
        let thread = std::thread::spawn({
            let (shared, queue) = (shared.clone(), queue.clone());
            move || {
                let _closing = Closing(&queue, shared);
                panic!("a planted bug");
            }
        });
        let store = Embedded { shared, queue, watch_queue: 1, thread: Some(thread) };
        assert!(waiting.await.is_err(), "who waited is let go");
        let refused = store.commit(Transaction::default()).await;
        let Err(Error::ReadOnly(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("panicked"), "{why}");
        assert_eq!(store.read_only(), Some(why));
    }
}
