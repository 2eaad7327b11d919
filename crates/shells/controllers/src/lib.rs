//! The controllers' shell: caches, queues and writes around the pure plan functions of `slices` and `lifecycle`.
//!
//! ```text
//!   reflectors ──► World (one owner) ──dirty Services──► plan (pure) ──► writes, several Services at once
//!                    ▲                                                      │
//!                    └────────────── what the server answered ◄─────────────┘
//! ```

mod endpoints;
mod feed;
mod world;
mod writes;

pub use endpoints::{Settings, run};
