//! The controllers against the real API server, in process.

mod addresses;
mod endpoints;
mod garbage;
mod harness;
mod namespaces;
mod nodes;
mod scheduling;
