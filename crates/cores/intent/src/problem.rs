//! What is wrong with the objects, without keeping the rest from being served.

use std::fmt;

use model::Frontend;

/// Names a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// A part of an object that has no effect, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// Two Services want one frontend, and one of them has it (S-317). Worth an Event on the loser.
    Conflict {
        /// What both want.
        frontend: Frontend,
        /// Who has it.
        winner: ServiceKey,
        /// Why.
        by: Precedence,
        /// Who waits for it.
        loser: ServiceKey,
    },
    /// A port at which load balancers ask whether this node has endpoints; nobody answers there yet (S-356). Worth an
    /// Event.
    HealthCheckPort {
        /// Whose it is.
        service: ServiceKey,
        /// Its number.
        port: u16,
    },
    /// A value that is no address or range (S-301).
    Malformed {
        /// Kind of the object.
        kind: &'static str,
        /// `namespace/name` of the object.
        object: String,
        /// Path of the field.
        field: String,
        /// What stands there.
        value: String,
    },
    /// A value of a family in which it can't be used (S-301, S-302). Worth a line in the log.
    OtherFamily {
        /// Kind of the object.
        kind: &'static str,
        /// `namespace/name` of the object.
        object: String,
        /// Path of the field.
        field: String,
        /// What stands there.
        value: String,
    },
}

/// Why one of several Services has a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// It is its cluster IP, which the API server gave to it alone.
    ClusterIp,
    /// It is the oldest.
    Age,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Conflict { frontend, winner, by: Precedence::ClusterIp, loser } => {
                write!(out, "Service {loser} does not get {frontend}: it is the cluster IP of Service {winner}")
            }
            Problem::Conflict { frontend, winner, by: Precedence::Age, loser } => {
                write!(out, "Service {loser} does not get {frontend}: the older Service {winner} has it")
            }
            Problem::HealthCheckPort { service, port } => {
                write!(
                    out,
                    "health check node port {port} of Service {service} is not served yet: a load balancer that asks \
                     there takes every node for unhealthy"
                )
            }
            Problem::Malformed { kind, object, field, value } => {
                write!(out, "{kind} {object}: {field} is ignored: {value:?} is no address or range")
            }
            Problem::OtherFamily { kind, object, field, value } => {
                write!(out, "{kind} {object}: {field} is ignored: {value} is of another IP family")
            }
        }
    }
}
