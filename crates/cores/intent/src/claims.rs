//! Who has a frontend that several Services want: the oldest of them (S-317).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Frontend;

use crate::ServiceKey;

/// Which Services want which frontend. Most frontends are wanted by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    by_frontend: BTreeMap<Frontend, Vec<Arc<ServiceKey>>>,
    contested: BTreeSet<Frontend>,
}

impl Claims {
    /// A Service wants a frontend.
    pub fn add(&mut self, frontend: Frontend, service: &Arc<ServiceKey>) {
        let claimants = self.by_frontend.entry(frontend).or_insert_with(|| Vec::with_capacity(1));
        claimants.push(Arc::clone(service));
        if claimants.len() > 1 {
            self.contested.insert(frontend);
        }
    }

    /// A Service wants it no longer.
    pub fn remove(&mut self, frontend: Frontend, service: &ServiceKey) {
        let Some(claimants) = self.by_frontend.get_mut(&frontend) else { return };
        claimants.retain(|one| **one != *service);
        if claimants.len() < 2 {
            self.contested.remove(&frontend);
        }
        if claimants.is_empty() {
            self.by_frontend.remove(&frontend);
        }
    }

    /// Who wants it.
    pub fn claimants(&self, frontend: Frontend) -> &[Arc<ServiceKey>] {
        self.by_frontend.get(&frontend).map_or(&[], Vec::as_slice)
    }

    /// The frontends that more than one Service wants.
    pub fn contested(&self) -> impl Iterator<Item = Frontend> {
        self.contested.iter().copied()
    }
}
