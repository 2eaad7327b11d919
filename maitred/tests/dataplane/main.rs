//! What the kernel does with packets is what the Model says: real packets between network namespaces, through the
//! nftables of one node (`node-0`), programmed from API objects without an API server.
//!
//! ```text
//!   objects ──Intent──► Model ──Nftables──► the kernel of node-0
//!                         │                     │ packets from five kinds of client
//!                       eval ───── judge ───────┘
//! ```
//!
//! * [`generated`]: random object sets, each applied as a change of the one before; every packet against `eval`.
//! * [`table`]: cases written by hand from docs/semantics.md, which name no rule of `intent`.
//! * [`counts`], [`flapping`]: what a change costs, and that it breaks nothing.
//! * [`mutations`]: that the comparisons above notice planted mistakes.
//!
//! The whole proof of the generated tests takes a while, so that by default only a few sets are tried:
//!
//! ```text
//! MAITRED_DATAPLANE_SETS=500 cargo test -p maitred --test dataplane generated -- --nocapture
//! MAITRED_DATAPLANE_SEED=7 …                       another history; a failure prints the seed to replay it
//! ```

mod counts;
mod flapping;
mod generated;
mod judge;
mod mutations;
mod objects;
mod probe;
mod random;
mod scene;
mod table;
