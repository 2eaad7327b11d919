//! The DNS server of a cluster: the sockets, upstreams and threads around the pure `zone`.
//!
//! ```text
//!   reflectors ──Input──► one thread: ZoneState ──changed shards──► Live zone (a pointer per shard)
//!                                                                      ▲ reads, without a lock
//!                  UDP 53 ──► one thread and socket per core ──────────┤
//!                  TCP 53 ──► a runtime of its own ────────────────────┘
//!                                   │ names that are not ours
//!                                   ▼
//!                                upstreams
//! ```
//!
//! What an answer says is decided in `zone`. Here stand how bytes come and go, who may ask for other names, and how
//! the upstreams are asked for them.

mod config;
mod feed;
mod forward;
mod live;
mod server;
mod tcp;
mod udp;
mod upstream;

pub use config::{Config, private_ranges, upstreams};
pub use feed::{Input, follow, kinds};
pub use server::{Server, StartError, start};

#[cfg(test)]
mod tests;
