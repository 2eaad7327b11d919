//! A cluster's machines on one machine: nodes, Pods, a control host and outside clients as network namespaces that
//! exchange real packets. For the demo, the tests and the benchmarks.
//!
//! ```text
//!   control .2   node-0 .10        node-1 .11        client .200     172.31.0.0/24, fd00:31::/64
//!      │           │ │ └ Pods        │ │ └ Pods         │
//!      │           │ └ 10.244.0.0/24 │ └ 10.244.1.0/24  │            (and fd00:10:244:N::/64)
//!   ───┴───────────┴─────────────────┴──────────────────┴───── lan0, in the backbone .1
//! ```
//!
//! Nothing leads out of a lab: the backbone is the default gateway of the nodes and answers that nothing is there.
//! No namespace has a name, so all of it goes when the [`Lab`] is dropped or the process dies, killed or not. What
//! runs on the nodes (proxy, agent, server) is the caller's: the lab starts any program and knows none.

mod burst;
pub mod distribution;
mod dns;
mod error;
mod foreign;
mod harness;
mod host;
mod network;
mod outcome;
mod plan;
mod program;
mod request;
mod sctp;
mod server;
mod sessions;
mod udp;

pub use burst::{Burst, Tally, Transport, ask, burst};
pub use dns::{DnsAnswer, RecordType, dns_ask};
pub use error::LabError;
pub use foreign::{ForeignChain, add_foreign_table};
pub use harness::test;
pub use host::Host;
pub use network::Lab;
pub use outcome::{Answer, Outcome, Unreachable};
pub use plan::{Ips, LabConfig};
pub use program::Program;
pub use request::{Request, http_get};
pub use sctp::{SctpServer, sctp_ask};
pub use server::{Server, echo};
pub use sessions::{Break, SessionReport, Sessions};
pub use udp::{Datagram, UdpFlow, udp_ask};

pub use kernel::links::Route;
pub use kernel::netns::Namespace;
