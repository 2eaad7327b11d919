//! Two Models side by side. (Follows.)

use crate::{Change, Model};

/// One element in which two Models differ.
pub type Difference = Change;

/// What `observed` lacks or has too much.
pub fn compare(intended: &Model, observed: &Model) -> Difference {
    Change::between(observed, intended)
}
