//! What can be set, and what can be counted.

use std::time::Duration;

/// How an embedded store keeps its history and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// So many of the newest revisions are kept, …
    pub history_revisions: u64,
    /// … and all that are younger than this, …
    pub history_age: Duration,
    /// … unless the values they replaced take more than so many bytes of memory.
    pub history_bytes: usize,
    /// A segment of the log has about so many bytes.
    pub segment_bytes: u64,
    /// A snapshot is written once it lets at least so many bytes of the log go, and at least its own size.
    pub checkpoint_bytes: u64,
    /// A watcher that has not taken so many revisions is dropped.
    pub watch_queue: usize,
    /// Transactions of about so many bytes become durable together.
    pub group_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            history_revisions: 10_000,
            history_age: Duration::from_secs(300),
            history_bytes: 128 << 20,
            segment_bytes: 8 << 20,
            checkpoint_bytes: 32 << 20,
            watch_queue: 10_000,
            group_bytes: 1 << 20,
        }
    }
}

/// What an embedded store has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions carried out.
    pub commits: u64,
    /// Transactions refused because an expectation did not hold.
    pub conflicts: u64,
    /// Groups of transactions that became durable together.
    pub groups: u64,
    /// Syncs that a commit waited for: one per group.
    pub syncs: u64,
    /// Syncs for new segments, seals and snapshots.
    pub upkeep_syncs: u64,
    /// Bytes appended to the log.
    pub bytes: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Bytes in the log's files.
    pub log_bytes: u64,
    /// Watchers at the moment.
    pub watchers: u64,
}
