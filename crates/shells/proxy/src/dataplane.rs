//! What a backend does, whichever kernel mechanism it programs.

use model::{Change, Family, Frontend, Model};

/// A kernel mechanism that can hold a Model. The families run independently: what fails in one says nothing of the other
/// (S-361).
pub trait Dataplane: Send {
    /// What the kernel really holds of one family. Reads only.
    fn observe_family(&mut self, family: Family) -> Result<Model, DataplaneError>;

    /// The same of both, IPv4 first.
    fn observe(&mut self) -> Result<[Model; 2], DataplaneError> {
        Ok([self.observe_family(Family::V4)?, self.observe_family(Family::V6)?])
    }

    /// Tells what the observed Model of a family was meant to be, for what a kernel cannot hold, such as which pools share
    /// their affinity memory (S-324). Elements that differ are ignored.
    fn recognize(&mut self, model: &Model);

    /// Changes one family in the kernel, in one atomic step where it can. A frontend that the kernel refuses is left out
    /// and named in [`Applied::unserved`]. After an error nothing is known of the family until it is observed.
    fn apply(&mut self, family: Family, change: &Change) -> Result<Applied, DataplaneError>;

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
    /// What is not in the kernel.
    pub unserved: Vec<Unserved>,
}

/// A part of a Model that is not in the kernel: the backend cannot express it, or the kernel refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// The frontend, if it is one.
    pub frontend: Option<Frontend>,
    /// What it is, and why.
    pub why: String,
}

impl Applied {
    /// Both together.
    pub fn and(mut self, later: Applied) -> Applied {
        self.messages += later.messages;
        self.bytes += later.bytes;
        self.unserved.extend(later.unserved);
        self
    }
}

/// Why a backend could not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct DataplaneError {
    /// What was tried, and where there is one, the way out.
    pub action: String,
    /// What the kernel said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
    /// Whether only time is to blame: somebody else wrote between observation and write. Observed anew, it may succeed.
    pub outdated: bool,
}

impl DataplaneError {
    /// What was tried, and what went wrong with it whenever it is tried.
    pub(crate) fn new(
        action: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> DataplaneError {
        DataplaneError { action: action.into(), source: Box::new(source), outdated: false }
    }
}
