//! From the objects to the Models: computes the Services that were touched, and settles who has what (S-317).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::ServicePort;
use ipnet::IpNet;
use model::{Change, Destination, Family, Frontend, Outcome, Protocol, Rule};

use super::Intent;
use crate::addresses::Addresses;
use crate::candidates::{self, candidates};
use crate::rules::{Ingredients, port_at, rules};
use crate::stale::Answers;
use crate::{Candidate, Precedence, Problem, ServiceKey};

impl Intent {
    pub(super) fn update(&mut self, family: Family, touched: &BTreeSet<Arc<ServiceKey>>) -> Change {
        let mut computed: BTreeMap<Arc<ServiceKey>, BTreeMap<Frontend, Rule>> =
            touched.iter().map(|key| (Arc::clone(key), self.rules(key, family))).collect();
        let mut frontends = BTreeSet::new();
        for (key, rules) in &computed {
            self.claim(family, key, rules, &mut frontends);
        }
        let mut change = self.update_surroundings(family);
        let mut answers = Answers::default();
        for frontend in frontends {
            let winner = self.winner(family, frontend).cloned();
            let rule = winner.and_then(|winner| {
                let rules = computed.entry(winner).or_insert_with_key(|key| self.rules(key, family));
                rules.remove(&frontend)
            });
            if frontend.protocol == Protocol::Udp {
                let answering = rule.is_some().then(|| answers.at(self, family, &frontend));
                self.side_mut(family).answering.set(frontend, answering);
            }
            let before = self.side(family).model.frontends.get(&frontend);
            if before != rule.as_ref()
                || before.zip(rule.as_ref()).is_some_and(|(old, new)| remembers_elsewhere(old, new))
            {
                change.frontends.insert(frontend, rule);
            } else if let Some(rule) = rule {
                // Equal but for its provenance, which is to name the latest version of the object.
                self.side_mut(family).model.frontends.insert(frontend, rule);
            }
        }
        let side = self.side_mut(family);
        let had = |address: &IpAddr| side.model.node_addresses.contains(address);
        if change.node_addresses.as_ref().is_some_and(|addresses| !addresses.iter().all(had)) {
            side.answering.doubt();
        }
        side.model.apply(change.clone());
        change
    }

    /// Writes down which frontends a Service wants, and adds all that it wanted or wants to `frontends`.
    fn claim(
        &mut self,
        family: Family,
        key: &Arc<ServiceKey>,
        rules: &BTreeMap<Frontend, Rule>,
        frontends: &mut BTreeSet<Frontend>,
    ) {
        let Some(known) = self.services.get_mut(key) else { return };
        let before = std::mem::replace(&mut known.claimed[family.index()], rules.keys().copied().collect());
        let claims = &mut self.side_mut(family).claims;
        for frontend in before.iter().filter(|frontend| !rules.contains_key(frontend)) {
            claims.remove(*frontend, key);
        }
        for frontend in rules.keys().filter(|frontend| before.binary_search(frontend).is_err()) {
            claims.add(*frontend, key);
        }
        frontends.extend(before.iter().chain(rules.keys()));
    }

    /// What the Model says beside frontends.
    fn update_surroundings(&self, family: Family) -> Change {
        let (model, here) = (self.model(family), self.here.in_family(family));
        let ranges: Vec<IpNet> = self.service_cidrs.values().flat_map(|cidr| cidr.spec.cidrs.iter().copied()).collect();
        let ranges = crate::here::in_family(&ranges, family);
        Change {
            frontends: BTreeMap::new(),
            node_addresses: (model.node_addresses != here.accepted).then(|| here.accepted.clone()),
            service_ranges: (model.service_ranges != ranges).then_some(ranges),
            local_pods: (model.local_pods != here.local_pods).then(|| here.local_pods.clone()),
        }
    }

    /// The rules that a Service asks for in one family.
    pub(super) fn rules(&self, key: &ServiceKey, family: Family) -> BTreeMap<Frontend, Rule> {
        let Some(known) = self.services.get(key) else { return BTreeMap::new() };
        let Some(service) = &known.service else { return BTreeMap::new() };
        let (here, masquerade_all) = (&self.here, self.config.masquerade_all);
        let ingredients = Ingredients { service, slices: known.slices().collect(), here, masquerade_all };
        rules(&ingredients, &Addresses::of(service).0, family)
    }

    /// Who has a frontend (S-317): whose cluster IP it is, else the oldest, then the lowest UID. Names are the last resort
    /// for objects without both.
    ///
    /// S-317 speaks of external IPs, which anybody may write into a Service. A cluster IP is given to one Service by the
    /// API server, and no age gives another one the right to its clients (CVE-2020-8554).
    pub(super) fn winner(&self, family: Family, frontend: Frontend) -> Option<&Arc<ServiceKey>> {
        match self.side(family).claims.claimants(frontend) {
            [] => None,
            [only] => Some(only),
            several => {
                several.iter().min_by_key(|key| (!self.is_cluster_ip(key, frontend), self.age(key), (*key).clone()))
            }
        }
    }

    /// Whether a frontend is at a Service's cluster IP.
    fn is_cluster_ip(&self, key: &ServiceKey, frontend: Frontend) -> bool {
        let Destination::Address(address) = frontend.destination else { return false };
        let service = self.services.get(key).and_then(|known| known.service.as_ref());
        service.is_some_and(|service| Addresses::of(service).0.cluster.iter().any(|one| one.address == address))
    }

    /// Smaller is older. A Service without a creation time counts as the youngest.
    fn age(&self, key: &ServiceKey) -> (bool, &str, &str) {
        let metadata = self.services.get(key).and_then(|known| known.service.as_ref()).map(|service| &service.metadata);
        let created = metadata.and_then(|metadata| metadata.creation_timestamp.as_deref());
        (created.is_none(), created.unwrap_or(""), metadata.map_or("", |metadata| &metadata.uid))
    }

    pub(super) fn conflicts(&self, family: Family) -> impl Iterator<Item = Problem> {
        self.side(family).claims.contested().flat_map(move |frontend| {
            let winner = self.winner(family, frontend).expect("a contested frontend has claimants");
            let losers = self.side(family).claims.claimants(frontend).iter().filter(move |key| *key != winner);
            let by = if self.is_cluster_ip(winner, frontend) { Precedence::ClusterIp } else { Precedence::Age };
            losers.map(move |loser| Problem::Conflict {
                frontend,
                winner: winner.as_ref().clone(),
                by,
                loser: loser.as_ref().clone(),
            })
        })
    }

    /// The Service and its port that answer at a frontend.
    pub(crate) fn answered_at(&self, family: Family, frontend: &Frontend) -> Option<(&Arc<ServiceKey>, &ServicePort)> {
        let winner = self.winner(family, *frontend)?;
        let service = self.services.get(winner)?.service.as_ref()?;
        Some((winner, port_at(service, *frontend)?))
    }

    pub(super) fn candidates(&self, family: Family, frontend: &Frontend) -> Vec<Candidate<'_>> {
        let Some((key, port)) = self.answered_at(family, frontend) else { return Vec::new() };
        self.services.get(key).map_or(Vec::new(), |known| candidates(known.slices(), port, family, &self.here.name))
    }

    /// Writes down what is wrong with a Service and its slices, and forgets a Service of which nothing is left.
    pub(super) fn note_problems(&mut self, key: &Arc<ServiceKey>) {
        let Some(known) = self.services.get_mut(key) else { return };
        if known.service.is_none() && known.slices.is_empty() {
            self.services.remove(key);
            self.troubled.remove(key);
            return;
        }
        known.problems = match &known.service {
            Some(service) => {
                let slices = known.slices.values().flat_map(|slice| candidates::problems(slice));
                let port = Some(service.spec.health_check_node_port).filter(|port| *port != 0);
                let unserved = port.map(|port| Problem::HealthCheckPort { service: key.as_ref().clone(), port });
                Addresses::of(service).1.into_iter().chain(slices).chain(unserved).collect()
            }
            None => Vec::new(),
        };
        if known.problems.is_empty() {
            self.troubled.remove(key);
        } else {
            self.troubled.insert(Arc::clone(key));
        }
    }
}

/// Whether clients are remembered under another pool than before, though they get the same endpoints. A Pool's name is
/// no part of its equality, but frontends that are added later have to find the memory of the others (S-324).
fn remembers_elsewhere(old: &Rule, new: &Rule) -> bool {
    let renamed = |old: &Outcome, new: &Outcome| match (old, new) {
        (Outcome::Pool(old), Outcome::Pool(new)) => old.name != new.name,
        _ => false,
    };
    new.affinity.is_some() && (renamed(&old.near, &new.near) || renamed(&old.far, &new.far))
}
