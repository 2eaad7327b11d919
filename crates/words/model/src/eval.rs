//! A packet through a Model. (The tracing evaluator follows.)

use crate::{Model, Packet};

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The Model has no opinion on it.
    NotOurs,
}

/// One decision on the way to a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step;

/// Sends the first packet of a connection through the Model.
pub fn eval(_packet: &Packet, _model: &Model) -> (Verdict, Vec<Step>) {
    (Verdict::NotOurs, Vec::new())
}
