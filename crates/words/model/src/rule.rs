//! What happens at a frontend: Rule, Outcome, Pool and Endpoint.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::{Protocol, Provenance};

/// What happens to packets that knock at a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What kind of address the frontend is.
    pub role: Role,
    /// Who may come in; everybody else is dropped before anything else is asked (S-316, S-343).
    pub sources: Sources,
    /// For clients on this node: its Pods, and the host itself.
    pub near: Outcome,
    /// For all other clients. Differs from `near` only under `externalTrafficPolicy: Local` (S-313).
    pub far: Outcome,
    /// Whose source address is rewritten.
    pub masquerade: Masquerade,
    /// Whether a client stays with its endpoint.
    pub affinity: Option<Affinity>,
    /// Who put this rule here.
    pub provenance: Provenance,
}

/// The kind of a frontend's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A cluster IP: its unused ports are refused (S-341).
    ClusterIp,
    /// An external IP.
    ExternalIp,
    /// An ingress address of a load balancer.
    LoadBalancerIp,
    /// A port of every accepted node address.
    NodePort,
}

/// Which client addresses may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sources {
    /// Everybody.
    #[default]
    Any,
    /// Only these ranges.
    Only(BTreeSet<IpNet>),
}

/// What a class of clients gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An endpoint of this pool. The pool is never empty.
    Pool(Pool),
    /// TCP gets a RST, everything else an ICMP port-unreachable (S-311).
    Reject,
    /// Silence, so that an upstream load balancer tries another node (S-311).
    Drop,
}

/// Whose packets get the node's address as their source. A packet from an endpoint to itself always does (S-315).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Masquerade {
    /// Nobody's.
    Never,
    /// Everybody's (S-312).
    Always,
    /// Everybody's but local Pods' (S-314).
    UnlessLocalPod,
    /// Only the host's own (S-313 b).
    OnlyHost,
}

/// `sessionAffinity: ClientIP` (S-324).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Affinity {
    /// How long a client is remembered after its last new connection: 1 to 86400 s.
    pub timeout_s: u32,
}

/// Endpoints after every choice that Kubernetes makes before the random one: readiness, fall-back to terminating ones,
/// traffic policy and topology (S-306…S-309).
#[derive(Clone, Debug)]
pub struct Pool {
    /// Which Service port and set this is. Frontends with equal names share their affinity memory.
    pub name: Arc<PoolName>,
    /// Sorted by address and port, without duplicates, at least one.
    pub endpoints: Arc<[Endpoint]>,
}

/// A Pool is what it leads to: its name, like provenance, is not part of equality, since a kernel holds no names.
impl PartialEq for Pool {
    fn eq(&self, other: &Pool) -> bool {
        self.endpoints == other.endpoints
    }
}

impl Eq for Pool {}

/// The Service port and the set of endpoints that a pool stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolName {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The Service port's name, possibly empty.
    pub port: String,
    /// The Service port's protocol.
    pub protocol: Protocol,
    /// Which of the two sets.
    pub scope: Scope,
}

/// Which endpoints a pool was chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Those of the whole cluster.
    Cluster,
    /// Those on this node.
    Local,
}

/// Where a connection may be led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The endpoint's own address.
    pub address: IpAddr,
    /// The endpoint's own port.
    pub port: u16,
    /// Whether it is on this node, and so may reach itself through a virtual address (S-315). Where endpoints of one address
    /// disagree, it is ([`Model::local_endpoints`](crate::Model::local_endpoints)).
    pub local: bool,
    /// Its share of new connections, at least 1. Kubernetes gives every endpoint 1.
    pub weight: u16,
}

impl Endpoint {
    /// Address and port.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Role::ClusterIp => "cluster IP",
            Role::ExternalIp => "external IP",
            Role::LoadBalancerIp => "load-balancer IP",
            Role::NodePort => "node port",
        })
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sources::Any => out.write_str("any"),
            Sources::Only(ranges) => write!(out, "only {}", List(ranges)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Pool(pool) => write!(out, "{}", List(pool.endpoints.iter())),
            Outcome::Reject => out.write_str("reject"),
            Outcome::Drop => out.write_str("drop"),
        }
    }
}

impl fmt::Display for Masquerade {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Masquerade::Never => "never",
            Masquerade::Always => "always",
            Masquerade::UnlessLocalPod => "unless from a local Pod",
            Masquerade::OnlyHost => "only from the host",
        })
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "client IP for {} s", self.timeout_s)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Scope::Cluster => "Cluster",
            Scope::Local => "Local",
        })
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolName { namespace, service, port, protocol, scope } = self;
        let colon = if port.is_empty() { "" } else { ":" };
        write!(out, "{scope} pool of {namespace}/{service}{colon}{port}/{protocol}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.socket(), if self.local { " (local)" } else { "" })
    }
}

/// A list with commas.
pub(crate) struct List<I>(pub(crate) I);

impl<I> fmt::Display for List<I>
where
    I: IntoIterator<Item: fmt::Display> + Clone,
{
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.clone().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{item}")?;
        }
        Ok(())
    }
}
