//! How long is measured.

use std::path::PathBuf;
use std::time::Duration;

use crate::machine;
use crate::protocol::{Slice, Summary, interleave};

/// How much a run takes upon itself.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// Whether the figures are only to be looked at.
    pub(crate) quick: bool,
    /// Whether a compiler beside the measurement is put up with.
    pub(crate) force: bool,
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
        Effort { quick: false, force: false, rounds: 12, slice: Duration::from_millis(400), scratch }
    }

    /// A look.
    pub(crate) fn quick(scratch: PathBuf) -> Effort {
        Effort { quick: true, force: false, rounds: 4, slice: Duration::from_millis(300), scratch }
    }

    /// Looks whether a compiler has been started; asked once in each round.
    pub(crate) fn look(&self) -> anyhow::Result<()> {
        machine::refuse_beside_compilers(self.force)
    }

    /// Lets variants take turns in so many rounds, looking for compilers in each.
    pub(crate) fn interleave<V>(
        &self,
        rounds: usize,
        variants: &mut [V],
        turn: impl FnMut(&mut V) -> anyhow::Result<Slice>,
    ) -> anyhow::Result<Vec<Summary>> {
        interleave(rounds, variants, || self.look(), turn)
    }

    /// One of two numbers.
    pub(crate) fn choose<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
