//! The core as a whole, by tables and in virtual time.

mod parse;
mod status;
mod step;
