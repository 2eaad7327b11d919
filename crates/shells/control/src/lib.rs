//! The control socket that each long-running process has, `/run/maitred/NAME.sock`: JSON, one request a line, one answer
//! a line.
//!
//! ```text
//!   {"command":"status"}      ──►  serve ──► handler          what a command means is the process's own business
//!   {"node":"n1", …}          ◄──                             an answer
//!   {"error":"there is no …"} ◄──                             or why there is none
//! ```
//!
//! The socket also says that the process is there: whoever holds it is the one `maitred NAME` of this machine, and the
//! kernel tells its process number. A socket file whose process died is nobody's, and is replaced.
//!
//! One more sign is in no directory: a [`Programmer`] keeps the Service rules of its network namespace, and is the only one.
//!
//! Only root and the user of the process may speak here: the file's mode says so, and the peer's credentials are asked for,
//! too, since the mode comes a moment after the file.

mod client;
mod error;
mod programmer;
mod request;
mod seat;
mod server;

pub use client::ask;
pub use error::ControlError;
pub use programmer::{Found, Programmer, programmer};
pub use request::Request;
pub use seat::{Holder, Seat, holders, lock_file, seats};
pub use server::{Held, serve};
