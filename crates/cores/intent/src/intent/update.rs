//! From the objects to the Models: computes the Services that were touched, and settles who has what (S-317).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use model::{Change, Family, Frontend, Rule};

use super::{Intent, index};
use crate::addresses::Addresses;
use crate::candidates::{self, candidates};
use crate::rules::{Ingredients, port_at, rules};
use crate::{Candidate, Problem, ServiceKey};

impl Intent {
    pub(super) fn update(&mut self, family: Family, touched: &BTreeSet<Arc<ServiceKey>>) -> Change {
        let mut computed: BTreeMap<Arc<ServiceKey>, BTreeMap<Frontend, Rule>> =
            touched.iter().map(|key| (Arc::clone(key), self.rules(key, family))).collect();
        let mut frontends = BTreeSet::new();
        for (key, rules) in &computed {
            self.claim(family, key, rules, &mut frontends);
        }
        let mut change = self.update_surroundings(family);
        for frontend in frontends {
            let winner = self.winner(family, frontend).cloned();
            let rule = winner.and_then(|winner| {
                let rules = computed.entry(winner).or_insert_with_key(|key| self.rules(key, family));
                rules.remove(&frontend)
            });
            if self.side(family).model.frontends.get(&frontend) != rule.as_ref() {
                change.frontends.insert(frontend, rule);
            } else if let Some(rule) = rule {
                // Equal but for its provenance, which is to name the latest version of the object.
                self.side_mut(family).model.frontends.insert(frontend, rule);
            }
        }
        self.side_mut(family).model.apply(change.clone());
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
        let before = std::mem::replace(&mut known.claimed[index(family)], rules.keys().copied().collect());
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

    /// Who has a frontend (S-317): the oldest, then the lowest UID. Names are the last resort for objects without both.
    pub(super) fn winner(&self, family: Family, frontend: Frontend) -> Option<&Arc<ServiceKey>> {
        self.side(family).claims.claimants(frontend).iter().min_by_key(|key| (self.age(key), (*key).clone()))
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
            losers.map(move |loser| Problem::Conflict {
                frontend,
                winner: winner.as_ref().clone(),
                loser: loser.as_ref().clone(),
            })
        })
    }

    pub(super) fn candidates(&self, key: &ServiceKey, family: Family, frontend: &Frontend) -> Vec<Candidate<'_>> {
        let known = self.services.get(key);
        let port = known.and_then(|known| port_at(known.service.as_ref()?, *frontend));
        match (known, port) {
            (Some(known), Some(port)) => candidates(known.slices(), port, family, &self.here.name),
            _ => Vec::new(),
        }
    }

    /// Writes down what is wrong with a Service and its slices, and forgets a Service of which nothing is left.
    pub(super) fn note_problems(&mut self, key: &Arc<ServiceKey>) {
        let Some(known) = self.services.get_mut(key) else { return };
        if known.service.is_none() && known.slices.is_empty() {
            self.services.remove(key);
            return;
        }
        known.problems = match &known.service {
            Some(service) => {
                let slices = known.slices.values().flat_map(|slice| candidates::problems(slice));
                Addresses::of(service).1.into_iter().chain(slices).collect()
            }
            None => Vec::new(),
        };
    }
}
