//! The controllers against the real API server, in process.

mod addresses;
mod endpoints;
mod events;
mod garbage;
mod harness;
mod namespaces;
mod nodes;
mod orphans;
mod ports;
mod refusals;
mod scheduling;
mod tap;
mod watches;
