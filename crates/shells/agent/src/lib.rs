//! A standalone node: registers itself, renews its Lease, runs the Pods bound to it and says how they are.
//!
//! ```text
//!   API ── Pods of this node ──► one task per Pod ── pods::step ──► effects ──► the Pod's parent process ──► processes
//!    ▲                             ▲   │ probes                        │             (init of its PID namespace)
//!    └──────── status ─────────────┼───┘                               └──► veth, addresses, routes
//!                                  └─────── exits ◄─────────────────────────────────────┘
//! ```
//!
//! What a Pod means and what follows from what stands in `pods`; here is only what touches the machine. Agents come and go:
//! a Pod's parent process and the state file beside it outlive the agent, and the next one goes on from there. The
//! proxy and the DNS server of the node are wired beside this by the binary.

mod claim;
mod config;
mod dns_slices;
mod driver;
mod egress;
mod network;
mod node;
mod parent;
mod paths;
mod pod;
mod ranges;
mod routes;
mod traces;

pub use claim::claim_files;
pub use config::{Config, ParentCommand, host_resolv_conf};
pub use dns_slices::DnsEndpoint;
pub use driver::{AgentError, Running, Status, start};
pub use parent::{ParentError, pod_parent};
pub use routes::PROTOCOL as ROUTE_PROTOCOL;
pub use traces::{PodParent, PodTrace, is_pod_link, pods};
