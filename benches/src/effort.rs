//! How long is measured.

use std::path::PathBuf;
use std::time::Duration;

/// How much a run takes upon itself.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// Whether the figures are only to be looked at.
    pub(crate) quick: bool,
    /// How often all variants take their turn.
    pub(crate) rounds: usize,
    /// How long a turn takes.
    pub(crate) slice: Duration,
    /// A directory on a disk, for what must become durable.
    pub(crate) scratch: PathBuf,
}

impl Effort {
    /// What figures are published from.
    pub(crate) fn full(scratch: PathBuf) -> Effort {
        Effort { quick: false, rounds: 12, slice: Duration::from_millis(400), scratch }
    }

    /// A look.
    pub(crate) fn quick(scratch: PathBuf) -> Effort {
        Effort { quick: true, rounds: 4, slice: Duration::from_millis(300), scratch }
    }

    /// One of two numbers.
    pub(crate) fn choose<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
