//! What a control plane does besides Services, as plan functions: values in, writes and Events out.
//!
//! | module | keeps true |
//! |---|---|
//! | [`schedule`] | every Pod that fits somewhere is bound to a Ready node |
//! | [`node_health`] | a node that stopped giving signs of life says so, and so do its Pods |
//! | [`orphans`] | a Pod whose node no longer exists goes too |
//! | [`expiry`] | an Event is forgotten an hour after it was last told |
//! | [`pod_ranges`] | every node has a range of Pod addresses per family, and no two overlap |
//! | [`garbage`] | an object whose owners are all gone goes too |
//! | [`namespaces`] | a namespace disappears once everything in it has |
//! | [`repair`] | cluster IPs and node ports are held by the Services that use them (S-145, S-146) |
//! | [`service_cidrs`] | ServiceCIDRs exist as configured and go when nothing needs them (S-143, S-144) |
//! | [`api_endpoints`] | `default/kubernetes` leads to the live API servers (S-149) |
//!
//! Nothing here reads a clock: `now` is an argument, and where waiting is part of a plan, the plan says until when.
//! Planning again on the result of a plan gives nothing. Reading, writing and repeating is left to `controllers`.

pub mod api_endpoints;
mod event;
pub mod expiry;
pub mod garbage;
pub mod namespaces;
pub mod node_health;
pub mod orphans;
pub mod pod_ranges;
pub mod repair;
pub mod schedule;
pub mod service_cidrs;

pub use event::{Event, Severity};

#[cfg(test)]
mod fixture;
