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
//! Read [`choose()`] first: it is the heart, a pure function with its rules as a table. `rules` is the table of frontends,
//! `candidates` says what an EndpointSlice contributes, `here` what this node contributes, `claims` who wins where two
//! Services want one frontend. [`Intent`] holds the objects and recomputes what an event touches.
//!
//! ```
//! use std::sync::Arc;
//!
//! use intent::{Config, Event, Family, Intent};
//! use model::{Client, Packet, Protocol, eval};
//! use serde_json::{from_value, json};
//!
//! let service = json!({
//!     "metadata": {"namespace": "default", "name": "web", "resourceVersion": "7"},
//!     "spec": {"clusterIPs": ["10.96.0.10"], "ports": [{"port": 80}]},
//! });
//! let slice = json!({
//!     "metadata": {"namespace": "default", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
//!     "addressType": "IPv4",
//!     "endpoints": [{"addresses": ["10.1.0.5"], "nodeName": "node-a"}],
//!     "ports": [{"name": "", "port": 8080}],
//! });
//! let mut intent = Intent::new(Config { node_name: "node-a".to_owned(), ..Config::default() });
//! intent.apply(Event::Service(Arc::new(from_value(service)?)));
//! intent.apply(Event::Slice(Arc::new(from_value(slice)?)));
//! let [ipv4, _] = intent.take_changes();
//! assert_eq!(ipv4.frontends.len(), 1);
//!
//! let packet = Packet {
//!     source: "192.168.0.1".parse()?,
//!     client: Client::Host,
//!     destination: "10.96.0.10".parse()?,
//!     protocol: Protocol::Tcp,
//!     port: 80,
//! };
//! let (_, trace) = eval(&packet, intent.model(Family::V4));
//! assert_eq!(
//!     trace.to_string(),
//!     "10.96.0.10:80/tcp is a cluster IP from Service default/web spec.clusterIPs[0] @7.
//! Client 192.168.0.1 is this node itself.
//! It gets one of the Cluster pool of default/web/tcp: 10.1.0.5:8080 (local).
//! The source address is kept (masquerade: never).
//! "
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: the Model depends on the current objects, never on the order in which they came. One event costs work in
//! proportion to the Service it touches. This crate knows nothing of nftables, conntrack or sockets, and no other crate
//! decides what a Service means.
//!
//! Left to others: to wait for the first complete list of Services and EndpointSlices before writing anything (S-304),
//! conntrack clean-up (S-330, which asks [`Intent::is_stale`]), health check ports (S-356, which ask
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
mod stale;

pub use choose::{Candidate, Choice, Hints, Place, Policy, Uses, choose};
pub use config::{Config, Detector, NodePortAddresses};
pub use event::Event;
pub use here::host_name;
pub use intent::Intent;
pub use model::{Change, Family, Model};
pub use problem::{Precedence, Problem, ServiceKey};
pub use stale::UdpFlow;
