//! plan and observe for nftables: from a change of the Model to netlink messages, and from a kernel's dumps back.
//!
//! ```text
//!   Change ──plan──► Plan ──encode──► batches ──► the kernel
//!              ▲       │                             │
//!            Image ◄─apply                           │ requests
//!              ▲                                     ▼
//!              └──────────────observe───────────── dumps
//! ```
//!
//! One table per IP family, `ip maitred` and `ip6 maitred`, of constant shape: a frontend's element leads to a small
//! code, a small map from codes to a chain, and that chain to an endpoint in a numbered slot. So a change of the Model is
//! a change of a few elements, whatever else the table holds. [`rule`] shows the chains, [`code`] the codes.
//!
//! Pure: no socket, no clock, no randomness. Who talks to the kernel is the crate `kernel`; when, is the proxy's affair.
//! Nothing here knows Services: what the Model doesn't say isn't done.
//!
//! Layout and netlink: <https://wiki.nftables.org/wiki-nftables/index.php/Maps>,
//! `include/uapi/linux/netfilter/nf_tables.h` in Linux.

mod affinity;
mod chain;
mod cleanup;
mod code;
mod draft;
mod egress;
mod element;
mod encode;
mod entry;
mod expression;
mod image;
mod key;
mod observe;
mod operation;
mod plan;
mod rule;
mod set;
mod wire;

#[cfg(test)]
mod tests;

pub use chain::{Chain, Verdict};
pub use cleanup::cleanup;
pub use code::{Branch, Code, DISPATCH_MASK, MASQUERADE_MASK, SLOTS_MAX};
pub use egress::{EGRESS_TABLE, Egress, encode_egress_cleanup};
pub use element::Element;
pub use encode::{Batch, Options, Statistics, encode, statistics};
pub use image::{Image, State};
pub use observe::{Deviation, observe, requests};
pub use plan::{Plan, Subject, Unplannable, Why, plan};
pub use set::{Set, Side, Stage};
