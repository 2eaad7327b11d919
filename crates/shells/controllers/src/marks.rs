//! Names that changes touched and that a loop has yet to look at, so that a run costs what changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A set of names with any number of writers and one loop that takes them. A plain lock: held for single operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Arc<Mutex<BTreeSet<String>>>);

const UNPOISONED: &str = "no holder of this lock panics";

impl Marks {
    /// Marks a name; the empty one names nothing.
    pub(crate) fn add(&self, name: &str) {
        if !name.is_empty() {
            self.0.lock().expect(UNPOISONED).insert(name.to_owned());
        }
    }

    /// Takes all marks away.
    pub(crate) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.0.lock().expect(UNPOISONED))
    }
}
