//! The controllers against the real API server, in process.

mod addresses;
mod garbage;
mod harness;
mod namespaces;
mod nodes;
mod scheduling;
