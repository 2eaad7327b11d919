//! Which endpoints are on this node, where endpoints of one address disagree.
//!
//! That an endpoint is here is said of its address: two Services may name one Pod, and one of them, written by hand, may
//! say nothing of its node. A packet from an address to itself passes this node or doesn't, whichever Service it asked,
//! and a kernel holds addresses. So an address is here if any endpoint of it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::{Endpoint, Model, Outcome, Pool, Rule};

impl Model {
    /// The addresses of endpoints on this node.
    pub fn local_endpoints(&self) -> BTreeSet<IpAddr> {
        self.endpoints().filter(|endpoint| endpoint.local).map(|endpoint| endpoint.address).collect()
    }

    /// Whether an endpoint of this address is on this node.
    pub(crate) fn is_local_endpoint(&self, address: IpAddr) -> bool {
        self.endpoints().any(|endpoint| endpoint.local && endpoint.address == address)
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let outcomes = self.frontends.values().flat_map(|rule| [&rule.near, &rule.far]);
        outcomes.flat_map(|outcome| match outcome {
            Outcome::Pool(pool) => &pool.endpoints[..],
            Outcome::Reject | Outcome::Drop => &[],
        })
    }
}

impl Rule {
    /// Whether this rule does the same as another one of another Model, given the [`Model::local_endpoints`] of both.
    pub(crate) fn agrees(&self, here: &BTreeSet<IpAddr>, other: &Rule, there: &BTreeSet<IpAddr>) -> bool {
        self == other || self.with_local(here) == other.with_local(there)
    }

    fn with_local(&self, local: &BTreeSet<IpAddr>) -> Rule {
        let outcome = |outcome: &Outcome| match outcome {
            Outcome::Pool(pool) => {
                let endpoint = |one: &Endpoint| Endpoint { local: one.local || local.contains(&one.address), ..*one };
                Outcome::Pool(Pool { endpoints: pool.endpoints.iter().map(endpoint).collect(), ..pool.clone() })
            }
            other => other.clone(),
        };
        Rule { near: outcome(&self.near), far: outcome(&self.far), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::eval::tests::{endpoint, frontend, model};
    use crate::{Change, Client, Model, Outcome, Packet, Protocol, Verdict, compare, eval};

    /// 10.96.0.11:80 leads to 10.1.0.5 as well, but says nothing of its node.
    fn with_unknown_node() -> Model {
        let mut model = model();
        let rule = model.frontends.get_mut(&frontend("10.96.0.11:80")).unwrap();
        for outcome in [&mut rule.near, &mut rule.far] {
            let Outcome::Pool(pool) = outcome else { panic!("a pool") };
            pool.endpoints = Arc::from([endpoint("10.1.0.5:8080", false)]);
        }
        model
    }

    /// As a kernel holds it.
    fn observed() -> Model {
        let mut model = with_unknown_node();
        let rule = model.frontends.get_mut(&frontend("10.96.0.11:80")).unwrap();
        for outcome in [&mut rule.near, &mut rule.far] {
            let Outcome::Pool(pool) = outcome else { panic!("a pool") };
            pool.endpoints = Arc::from([endpoint("10.1.0.5:8080", true)]);
        }
        model
    }

    #[test]
    fn where_endpoints_of_one_address_disagree_a_kernel_that_holds_the_address_is_no_difference() {
        assert!(Change::between(&observed(), &with_unknown_node()).is_empty());
        assert_eq!(compare(&with_unknown_node(), &observed()).to_string(), "");
    }

    #[test]
    fn an_address_that_nobody_says_is_here_is_a_difference() {
        let mut intended = with_unknown_node();
        intended.frontends.retain(|one, _| *one == frontend("10.96.0.11:80"));
        let mut observed = observed();
        observed.frontends.retain(|one, _| *one == frontend("10.96.0.11:80"));
        assert_eq!(Change::between(&observed, &intended).frontends.len(), 1);
        assert!(!compare(&intended, &observed).is_empty());
    }

    #[test]
    fn s315_an_endpoint_reaches_itself_whichever_service_it_asks() {
        let packet = Packet {
            source: "10.1.0.5".parse().unwrap(),
            client: Client::Interface("veth0".to_owned()),
            destination: "10.96.0.11".parse().unwrap(),
            protocol: Protocol::Tcp,
            port: 80,
        };
        let (Verdict::Forward(forward), _) = eval(&packet, &with_unknown_node()) else { panic!("it is led somewhere") };
        assert!(forward.targets[0].masquerade);
    }
}
