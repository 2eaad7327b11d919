//! The controllers' shell: caches, queues and writes around the pure plan functions of `slices` and `lifecycle`.
//!
//! ```text
//!   reflectors ──► World (one owner) ──► Queue of Services ──► plan (pure) ──► writes, several Services at once
//!                    ▲                                                      │
//!                    └────────────── what the server answered ◄─────────────┘
//!
//!   reflectors ──► Cache ──what matters to a loop wakes it──► loop: plan (pure) ──► writes, Events
//! ```
//!
//! The endpoint controllers write most, and each Service by itself: they are [`runloop::Queue`]s, whose keys are
//! Services, one for EndpointSlices and one for Endpoints. Every other loop is one [`runloop::run`]: it is woken by the
//! changes that can matter to it, by the time that its last plan asked for, and by a slow period. It holds no copy of the
//! state besides the caches, except where it must remember what it wrote until the caches show it. A write that the server
//! refuses because it knows better (404, 409) is no failure: the caches are behind.

mod addresses;
mod cache;
mod drive;
mod endpoints;
mod expiry;
mod feed;
mod garbage;
mod labels;
mod marks;
mod namespaces;
mod node_health;
mod orphans;
mod pod_ranges;
mod pods;
mod ports;
mod scheduler;
mod service_cidrs;
mod start;
mod world;
mod writes;

pub use lifecycle::pod_ranges::{Pool, PoolError};
pub use ports::{Holder, PERIOD_DEFAULT as PORTS_PERIOD_DEFAULT, PortKeys, PortKeysError, Ports};
pub use start::{Clock, Running, Settings, pod_pools, start};
