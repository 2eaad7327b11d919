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
//! * [`reach`]: that every endpoint is reached which `eval` names, not only some of them.
//! * [`table`]: cases written by hand from docs/semantics.md, which name no rule of `intent`.
//! * [`counts`], [`flapping`]: what a change costs, and that it breaks nothing.
//! * [`related`], [`neighbours`]: ICMP errors on their way back, and proxies of others.
//! * [`growth`]: what happens where a kernel gives a set no more room.
//! * [`mutations`]: that the comparisons above notice planted mistakes.
//!
//! ```text
//! MAITRED_DATAPLANE_SEED=7 cargo test -p maitred --test dataplane generated -- --nocapture      other histories
//! MAITRED_DATAPLANE_SEED=7 MAITRED_DATAPLANE_EPOCH=12 …                                         one that failed
//! MAITRED_DATAPLANE_SETS=5000 …                                                                more of them
//! ```

mod counts;
mod flapping;
mod generated;
mod growth;
mod judge;
mod mistakes;
mod mutations;
mod neighbours;
mod objects;
mod probe;
mod random;
mod reach;
mod related;
mod scene;
mod table;
mod wire;
