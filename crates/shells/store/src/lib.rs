//! A revisioned key-value store with a watch on key ranges.
//!
//! One trait, [`Store`]; the embedded implementation keeps a log on disk. Every commit gets one revision, one
//! more than the last; all keys of a transaction share it. A write becomes visible to readers and watchers only once it
//! is durable. What the values mean is left to the API server.

mod embedded;
pub mod files;
mod group;
mod index;
mod log;
mod options;
mod queue;
mod recovery;
#[cfg(any(test, feature = "simulated"))]
pub mod simulated;
mod snapshot;
mod watchers;
mod writer;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use embedded::Embedded;
pub use files::Files;
pub use options::{Options, Stats};

/// Numbers the commits, from 1. Revision 0 is the empty store.
pub type Revision = u64;

/// A key: path-like UTF-8, ordered by its bytes.
pub type Key = Arc<str>;

/// A key with its value at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// The value's bytes, shared by every reader.
    pub value: Bytes,
    /// The revision that created the key.
    pub created: Revision,
    /// The revision that last wrote the key.
    pub modified: Revision,
}

/// A range of keys: all that begin with a prefix, from a key on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// What the keys begin with.
    pub prefix: String,
    /// The first key wanted, or none to begin at the prefix. It is exclusive, so a page continues after its last key.
    pub after: Option<String>,
    /// At most so many keys, or no limit.
    pub limit: Option<usize>,
}

impl Range {
    /// All keys with this prefix.
    pub fn prefix(prefix: impl Into<String>) -> Range {
        Range { prefix: prefix.into(), after: None, limit: None }
    }
}

/// The answer to a range request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Keys and values in key order.
    pub items: Vec<KeyValue>,
    /// The revision at which they were read.
    pub revision: Revision,
    /// How many keys of the range are beyond the limit.
    pub remaining: usize,
}

/// What must hold for a transaction to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent(Key),
    /// The key was last written by this revision.
    Modified(Key, Revision),
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the key.
    Put(Key, Bytes),
    /// Removes the key; removing an absent key is no error and no event.
    Delete(Key),
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> &Key {
        match self {
            Write::Put(key, _) | Write::Delete(key) => key,
        }
    }
}

/// Compare and write, all or nothing. A key stands in at most one write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All must hold.
    pub expect: Vec<Expect>,
    /// Carried out in one revision.
    pub writes: Vec<Write>,
}

/// A change of one key, as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The revision of the change.
    pub revision: Revision,
    /// The key's value after the change, or `None` if it was removed.
    pub current: Option<KeyValue>,
    /// The key's value before the change, or `None` if it was created.
    pub previous: Option<KeyValue>,
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> &Key {
        let value = self.current.as_ref().or(self.previous.as_ref());
        &value.expect("an event has a value before or after it").key
    }
}

/// Why the store did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An expectation did not hold; the key whose expectation failed, and what stands there now.
    #[error("{key} was changed by somebody else")]
    Conflict {
        /// The key.
        key: Key,
        /// What stands there now.
        current: Option<KeyValue>,
    },
    /// The revision asked for is no longer kept.
    #[error("revision {asked} was compacted away, the oldest is {oldest}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest revision that is kept.
        oldest: Revision,
    },
    /// The revision asked for is not there yet.
    #[error("revision {asked} is in the future, the newest is {newest}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// The newest revision.
        newest: Revision,
    },
    /// The store takes no writes any more; the text says why and what to do.
    #[error("the store is read-only: {0}")]
    ReadOnly(Arc<str>),
    /// The store's files could not be read or are damaged; the text names the file and the way out.
    #[error("{0}")]
    Unreadable(Arc<str>),
}

/// Changes in revision order. The stream ends with an error item if the watcher fell too far behind (`Compacted`) or
/// the store stopped.
pub type Watch = BoxStream<'static, Result<Arc<[Event]>, Error>>;

/// A revisioned key-value store.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// The value of a key, now or at a revision.
    fn get<'a>(&'a self, key: &'a str, at: Option<Revision>) -> BoxFuture<'a, Result<Option<KeyValue>, Error>>;

    /// A range of keys, now or at a revision.
    fn range<'a>(&'a self, range: &'a Range, at: Option<Revision>) -> BoxFuture<'a, Result<Page, Error>>;

    /// Carries out a transaction; resolves once it is durable, with its revision.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Revision, Error>>;

    /// All changes of keys with a prefix after a revision. One item of the stream holds all events of one revision.
    fn watch<'a>(&'a self, prefix: &'a str, after: Revision) -> BoxFuture<'a, Result<Watch, Error>>;

    /// The newest durable revision. Its changes, and all before, have been handed to the watchers by then: what a watch
    /// has waiting after this answer includes them.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>>;

    /// Forgets history before a revision; values that are current at it stay.
    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), Error>>;

    /// Why the store takes no writes, if it does not.
    fn read_only(&self) -> Option<Arc<str>>;
}

#[cfg(test)]
mod tests;
