//! Which endpoints get new connections: readiness, fall-back to terminating ones, traffic policy and topology.
//!
//! Everything Kubernetes decides about the endpoints of one Service port stands here, as a pure function over small
//! values, and as a table in the tests beside it. The random choice among the result is left to the data path (S-310).
//!
//! * S-306 which of the two sets a port needs: [`Uses`]
//! * S-307 who is in the Cluster set and in the Local set: [`choose`]
//! * S-308 topology: only the Cluster set, only ready endpoints
//! * S-309 whether there is an endpoint anywhere: [`Choice::anywhere`]

#[cfg(test)]
mod tests;

use model::Endpoint;

/// A traffic policy: lead to endpoints of the whole cluster, or only to those on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everywhere.
    #[default]
    Cluster,
    /// Only on this node.
    Local,
}

/// Which sets of endpoints a Service port needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// Endpoints of the whole cluster.
    pub cluster: bool,
    /// Endpoints on this node.
    pub local: bool,
}

impl Uses {
    /// S-306. `external` says whether the port has a frontend other than the cluster IP. Under `externalTrafficPolicy:
    /// Local` such a port needs both sets: clients on this node may go anywhere (S-313).
    pub fn of(internal_policy: Policy, external_policy: Policy, external: bool) -> Uses {
        Uses {
            cluster: internal_policy == Policy::Cluster || external,
            local: internal_policy == Policy::Local || (external_policy == Policy::Local && external),
        }
    }
}

/// Where the choice is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// This node's name.
    pub node: &'a str,
    /// Its zone, if it is labelled with one.
    pub zone: Option<&'a str>,
}

/// An endpoint of one Service port, before the choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Address, port, and whether it is on this node.
    pub endpoint: Endpoint,
    /// May get new connections.
    pub ready: bool,
    /// Answers, perhaps while it terminates.
    pub serving: bool,
    /// Is being deleted.
    pub terminating: bool,
    /// Who should prefer it.
    pub hints: Hints<'a>,
}

/// Who should prefer an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints<'a> {
    /// Names of nodes.
    pub nodes: Vec<&'a str>,
    /// Names of zones.
    pub zones: Vec<&'a str>,
}

/// What was chosen. A set that is not needed stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// For traffic that may go everywhere.
    pub cluster: Vec<Endpoint>,
    /// For traffic that has to stay on this node.
    pub local: Vec<Endpoint>,
    /// Whether any endpoint in the cluster could take a connection (S-309). If not, clients are refused; if one could,
    /// but none here, they are dropped (S-311).
    pub anywhere: bool,
}

/// Chooses among the endpoints of one Service port (S-307, S-309). Order is kept.
pub fn choose(candidates: &[Candidate], uses: Uses, place: Place) -> Choice {
    let cluster = if uses.cluster { cluster_set(candidates, place) } else { Vec::new() };
    let local = if uses.local { local_set(candidates) } else { Vec::new() };
    let anywhere = !cluster.is_empty() || (uses.local && candidates.iter().any(|one| one.ready || draining(one)));
    Choice { cluster, local, anywhere }
}

/// Ready endpoints after topology; if there is none, those that still serve while they terminate.
fn cluster_set(candidates: &[Candidate], place: Place) -> Vec<Endpoint> {
    let ready: Vec<&Candidate> = candidates.iter().filter(|one| one.ready).collect();
    let near = preferred(ready, place);
    if near.is_empty() { endpoints(candidates.iter().filter(|one| draining(one))) } else { endpoints(near) }
}

/// The same on this node only; topology never applies.
fn local_set(candidates: &[Candidate]) -> Vec<Endpoint> {
    let here = || candidates.iter().filter(|one| one.endpoint.local);
    let ready = endpoints(here().filter(|one| one.ready));
    if ready.is_empty() { endpoints(here().filter(|one| draining(one))) } else { ready }
}

/// Topology among ready endpoints (S-308): hints count only if every endpoint has them and one of them means us, so that
/// stale or partial hints can't leave a node without endpoints.
fn preferred<'a, 'b>(ready: Vec<&'a Candidate<'b>>, place: Place) -> Vec<&'a Candidate<'b>> {
    let for_node = |one: &&Candidate| one.hints.nodes.contains(&place.node);
    let for_zone = |one: &&Candidate| place.zone.is_some_and(|zone| one.hints.zones.contains(&zone));
    if ready.iter().all(|one| !one.hints.nodes.is_empty()) && ready.iter().any(for_node) {
        return ready.into_iter().filter(for_node).collect();
    }
    if ready.iter().all(|one| !one.hints.zones.is_empty()) && ready.iter().any(for_zone) {
        return ready.into_iter().filter(for_zone).collect();
    }
    ready
}

/// On its way out, but still answering: better than nothing (KEP-1669).
fn draining(one: &Candidate) -> bool {
    one.serving && one.terminating
}

fn endpoints<'a, 'b: 'a>(candidates: impl IntoIterator<Item = &'a Candidate<'b>>) -> Vec<Endpoint> {
    candidates.into_iter().map(|one| one.endpoint).collect()
}
