//! The per-node proxy: follows Services and EndpointSlices and keeps the node's data path as they say.
//!
//! ```text
//!   reflectors ──events──► one thread: Intent ──Change──► Dataplane ──► the kernel
//!                                        ▲                    │
//!                                        └──── observe ◄──────┘   at start, after a failure, and now and then
//! ```
//!
//! One thread owns the [`intent::Intent`] and the [`Dataplane`]; nothing else touches either. What Services mean stands
//! in `intent`, what a backend writes in its own crate.

mod backoff;
mod dataplane;
mod driver;
mod feed;
mod flows;
mod forecast;
mod gate;
mod look;
mod nftables;
mod problems;
mod side;

pub use dataplane::{Applied, Dataplane, DataplaneError, ForeignWatch, Unserved};
pub use driver::{Progress, start};
pub use forecast::{Forecast, ForecastError, forecast};
pub use intent::{Config, Detector, NodePortAddresses};
pub use nftables::Nftables;
