//! What a backend does, whichever kernel mechanism it programs.

use model::{Change, Model};

/// A kernel mechanism that can hold a Model. Both families are always meant, IPv4 first.
pub trait Dataplane: Send {
    /// What the kernel really holds. Reads only.
    fn observe(&mut self) -> Result<[Model; 2], DataplaneError>;

    /// Tells what the observed Models were meant to be, for what a kernel cannot hold, such as which pools share their
    /// affinity memory (S-324). Elements that differ are ignored.
    fn recognize(&mut self, models: [&Model; 2]);

    /// Changes the kernel, in one atomic step where it can. After an error nothing is known until `observe`.
    fn apply(&mut self, changes: &[Change; 2]) -> Result<Applied, DataplaneError>;

    /// A wait for changes that somebody else makes to what `apply` wrote: says whether there was one before the time was
    /// over. `None` if the mechanism does not tell.
    fn watch(&self) -> Result<Option<ForeignWatch>, DataplaneError> {
        Ok(None)
    }

    /// Removes everything that `apply` ever wrote, and nothing else.
    fn cleanup(&mut self) -> Result<(), DataplaneError>;
}

/// Waits at most so long for a foreign change, and says whether there was one.
pub type ForeignWatch = Box<dyn FnMut(std::time::Duration) -> bool + Send>;

/// What an `apply` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Kernel messages written.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// What this backend cannot express, each with the reason and the frontend if it is one.
    pub unserved: Vec<(Option<model::Frontend>, String)>,
}

/// Why a backend could not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct DataplaneError {
    /// What was tried, and where there is one, the way out.
    pub action: String,
    /// What the kernel said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
