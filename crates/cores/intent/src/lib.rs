//! What Services mean: Services, EndpointSlices, the own Node, ServiceCIDRs and a few settings become a [`Model`] of this
//! node's data path, one per IP family.
//!
//! ```text
//!   Service ──► addresses ─┐                                  ┌─► conflicts ──► Model
//!                          ├─► rules: frontend × port ─► Rule ┤   (claims)
//!   slices ──► candidates ─┴─► choose: Cluster and Local set ─┘
//!   Node, host ──► here: zone, node addresses, who is a local Pod
//! ```
//!
//! Read [`choose`] first: it is the heart, a pure function with its rules as a table. `rules` is the table of frontends,
//! `candidates` says what an EndpointSlice contributes, `here` what this node contributes, `claims` who wins where two
//! Services want one frontend. [`Intent`] holds the objects and recomputes what an event touches.
//!
//! Invariants: the Model depends on the current objects, never on the order in which they came. One event costs work in
//! proportion to the Service it touches. This crate knows nothing of nftables, conntrack or sockets, and no other crate
//! decides what a Service means.
//!
//! Left to others: to wait for the first complete list of Services and EndpointSlices before writing anything (S-304),
//! conntrack clean-up (S-330, which asks [`Intent::serving`]), health check ports (S-356, which ask
//! [`Intent::local_ready`]).
//!
//! See KEP-752 (EndpointSlice), KEP-1669 (terminating endpoints), KEP-2086 (internal traffic policy), KEP-2433 and
//! KEP-3015 (topology), KEP-1860 (`ipMode`).

mod addresses;
mod candidates;
mod choose;
mod claims;
mod config;
mod event;
mod here;
mod intent;
mod problem;
mod rules;
#[cfg(test)]
mod sample;

pub use choose::{Candidate, Choice, Hints, Place, Policy, Uses, choose};
pub use config::{Config, Detector, NodePortAddresses};
pub use event::Event;
pub use intent::Intent;
pub use model::{Change, Family, Model};
pub use problem::{Problem, ServiceKey};
