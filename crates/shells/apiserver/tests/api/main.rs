//! The API's protocol, in one process and without a socket: what clients rely on and kubectl alone does not show.

mod claims;
mod forms;
mod lists;
mod rig;
mod watches;
mod writes;
