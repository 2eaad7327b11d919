//! Models programmed into a real kernel, read back, and tried with packets, each in network namespaces of its own.
//!
//! Needs root (or CAP_NET_ADMIN and CAP_SYS_ADMIN); otherwise each test says that it is skipped. The host's own network
//! namespace is never touched: a thread leaves it before it opens a socket.

mod clients;
mod host;
mod listing;
mod servers;
mod table;
mod transactions;
