//! The DNS zone of a cluster as a value (`Kubernetes DNS-Based Service Discovery`, version 1.1.0).
//!
//! ```text
//! objects ─ Event ─▶ ZoneState ─ take_changed ─▶ shards ─┐
//!                                                        ▼
//!                                query ───────────▶ answer ───▶ reply, in wire form
//! ```
//!
//! [`ZoneState`] turns Services, EndpointSlices and namespaces into [`Shard`]s: a fixed array of immutable parts by owner
//! (a Service; a namespace for its own nodes; an address for reverse names). All names of a Service are in one shard and
//! so change at once; a change rebuilds that shard and those of the addresses concerned. [`answer()`] reads one shard
//! through [`Lookup`] and writes the reply, without allocation and for any bytes whatever.
//!
//! Sockets, forwarding, time and random numbers are the shell's (`dns`). The same objects make the same shards, whatever
//! came before.

mod answer;
mod chase;
mod config;
mod facts;
mod forward;
mod message;
mod name;
mod owners;
mod place;
mod reply;
mod resolv_conf;
mod reverse;
mod shard;
mod state;

pub use answer::{Answer, Lookup, answer, answer_chased};
pub use chase::{chase_query, query_type};
pub use config::{Config, ConfigError, PodMode};
pub use forward::{failure, fit, is_reply_to, is_truncated, replace_id};
pub use message::{HEADER_BYTES, Rcode, rtype};
pub use name::{Name, NameError, QueryName};
pub use reply::{Client, Transport};
pub use resolv_conf::{DnsConfig, DnsPolicy, ResolvConf, resolv_conf};
pub use shard::Shard;
pub use state::{Event, ZoneState};

#[cfg(test)]
mod tests;
