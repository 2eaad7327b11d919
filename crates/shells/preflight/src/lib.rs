//! `maitred check`: whether this machine can do what maitred wants of it, before anything is changed.
//!
//! ```text
//!   Wanted ──┬──► facts::gather ──► Facts ──► judge ──► Findings    ✓ fine   ! worth a look   ✗ in the way
//!            └───────────────────────────────────┘                 each ✗ and ! with what to do
//! ```
//!
//! [`facts`] asks the kernel and leaves nothing behind: rules are tried in a network namespace that goes at once. [`judge()`] is
//! a function of values and knows what is good. What cannot be found out, for lack of rights say, is said to be unknown.

pub mod facts;
mod finding;
mod judge;
mod wanted;

pub use facts::Facts;
pub use finding::{Finding, Verdict, json, passes, text};
pub use judge::judge;
pub use wanted::{Listen, Transport, Wanted};

/// Looks at the machine, in the caller's network namespace, and judges it.
pub fn check(wanted: &Wanted) -> Vec<Finding> {
    judge(&facts::gather(wanted), wanted)
}
