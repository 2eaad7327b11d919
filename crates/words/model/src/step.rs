//! The way of a packet through a Model, told in sentences.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Affinity, ClientClass, Endpoint, Frontend, Masquerade, Outcome, Provenance, Role, Sources};

/// The decisions on the way to a verdict, in order. Prints one sentence per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The decisions.
    pub steps: Vec<Step>,
}

impl Trace {
    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(out, "{step}"))
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The packet knocks at this frontend.
    Frontend {
        /// Which.
        frontend: Frontend,
        /// What kind of address it has.
        role: Role,
        /// Who put it there.
        provenance: Provenance,
    },
    /// There is such a node port, but the destination does not accept node ports (S-319).
    NotANodeAddress {
        /// Where the packet goes.
        address: IpAddr,
        /// The node port.
        frontend: Frontend,
        /// Who put it there.
        provenance: Provenance,
    },
    /// A cluster IP, but no port that it has (S-341).
    UnusedPort {
        /// The cluster IP.
        address: IpAddr,
        /// Whose it is.
        provenance: Provenance,
    },
    /// An address of a Service range that no Service has (S-341).
    UnassignedAddress {
        /// Where the packet goes.
        address: IpAddr,
        /// The range.
        range: IpNet,
    },
    /// No Service has this address and port.
    NotOurs {
        /// Where the packet goes.
        address: IpAddr,
    },
    /// The source is in an allowed range (S-316).
    SourceAllowed {
        /// Where the packet comes from.
        source: IpAddr,
        /// The range.
        range: IpNet,
    },
    /// The source is in no allowed range (S-316).
    SourceRefused {
        /// Where the packet comes from.
        source: IpAddr,
        /// Who is allowed.
        sources: Sources,
    },
    /// Which class of client sent it (S-313).
    Client {
        /// Where the packet comes from.
        source: IpAddr,
        /// The class.
        class: ClientClass,
    },
    /// What that class gets.
    Outcome {
        /// It.
        outcome: Outcome,
    },
    /// The client stays with its endpoint (S-324).
    Affinity {
        /// For how long.
        affinity: Affinity,
    },
    /// Whether the rule rewrites the source (S-312…S-314).
    Masquerade {
        /// Whose source the rule rewrites.
        class: Masquerade,
        /// Whether this client's.
        masquerade: bool,
    },
    /// This endpoint is the client, so the source is rewritten for it alone (S-315).
    Hairpin {
        /// The endpoint.
        endpoint: Endpoint,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Frontend { frontend, role, provenance } => {
                write!(out, "{frontend} is a {role}{}.", from(provenance))
            }
            Step::NotANodeAddress { address, frontend, provenance } => {
                write!(out, "{address} does not accept node ports, so {frontend}{} has no say.", from(provenance))
            }
            Step::UnusedPort { address, provenance } => {
                write!(out, "{address} is a cluster IP{}, but has no such port: reject.", from(provenance))
            }
            Step::UnassignedAddress { address, range } => {
                write!(out, "No Service has {address}, which is in the Service range {range}: drop.")
            }
            Step::NotOurs { address } => write!(out, "No Service has {address} with this port: the packet goes on."),
            Step::SourceAllowed { source, range } => write!(out, "Source {source} is allowed by {range}."),
            Step::SourceRefused { source, sources } => {
                write!(out, "Source {source} may not come in ({sources}): drop.")
            }
            Step::Client { source, class } => write!(out, "Client {source} is {class}."),
            Step::Outcome { outcome } => told(outcome, out),
            Step::Affinity { affinity } => {
                write!(
                    out,
                    "The client stays with its endpoint for {} s after its last new connection.",
                    affinity.timeout_s
                )
            }
            Step::Masquerade { class, masquerade } => {
                let kept = if *masquerade { "becomes the node's" } else { "is kept" };
                write!(out, "The source address {kept} (masquerade: {class}).")
            }
            Step::Hairpin { endpoint } => {
                write!(out, "If {endpoint} is chosen, it is the client itself: the source address becomes the node's.")
            }
        }
    }
}

fn told(outcome: &Outcome, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match outcome {
        Outcome::Pool(pool) => write!(out, "It gets one of the {}: {outcome}.", pool.name),
        Outcome::Reject => out.write_str("There is no endpoint anywhere: reject."),
        Outcome::Drop => out.write_str("There are endpoints, but none on this node: drop."),
    }
}

/// Where a rule comes from, if that is known.
fn from(provenance: &Provenance) -> String {
    provenance.origin().map_or(String::new(), |_| format!(" from {provenance}"))
}
