//! What one table holds, as a value.
//!
//! An Image is made by `observe` from a kernel's dumps, or starts out absent; `plan` reads it, and [`Image::apply`]
//! carries a Plan out on it, so that it follows the kernel without being read again. Everything in it can be derived
//! from the kernel's elements, but for the names of affinity pools ([`Image::name_pools`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{Affinity, Endpoint, Family, Frontend, LocalPods, Model, Outcome, Pool, PoolName, Provenance, Rule, Scope};
use rustc_hash::FxHashMap;

use crate::chain::Chain;
use crate::element::Element;
use crate::entry::{Entry, Shared, Slot, Target};
use crate::observe::Deviation;
use crate::plan::Plan;
use crate::rule::Detector;
use crate::set::{SETS, Side};

/// What one table holds.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) family: Family,
    pub(crate) state: State,
    pub(crate) detector: Detector,
    pub(crate) entries: FxHashMap<Frontend, Entry>,
    pub(crate) node_addresses: BTreeSet<IpAddr>,
    pub(crate) service_ranges: BTreeSet<IpNet>,
    pub(crate) local_sources: BTreeSet<IpNet>,
    /// How many users each shared thing has; at least 1.
    pub(crate) shared: FxHashMap<Shared, u32>,
    /// Affinity pools by id.
    pub(crate) pools: FxHashMap<u32, AffinityPool>,
    pub(crate) names: FxHashMap<Arc<PoolName>, u32>,
    /// The index of each timeout that is in use.
    pub(crate) timeouts: BTreeMap<u32, u8>,
    /// How many elements each set has room for, and how many it holds.
    pub(crate) sizes: [u32; SETS],
    pub(crate) fill: [u32; SETS],
    pub(crate) strays: Strays,
}

/// Whether the table is there, and ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no such table.
    Absent,
    /// There is one, but this version didn't write it so. The next Plan replaces it in one transaction.
    Foreign(Deviation),
    /// It is as this version writes it.
    Ours,
}

/// Endpoints whose clients are remembered together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AffinityPool {
    pub name: Option<Arc<PoolName>>,
    pub members: BTreeMap<(IpAddr, u16), Member>,
    /// The numbers that are taken.
    pub numbers: BTreeSet<u16>,
}

/// An endpoint's number in its pool, and how many slots hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub number: u16,
    pub uses: u32,
}

/// What the kernel holds without any use. The next Plan deletes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strays {
    pub elements: Vec<Element>,
    pub chains: BTreeSet<Chain>,
}

impl Image {
    /// No table.
    pub fn absent(family: Family) -> Image {
        Image {
            family,
            state: State::Absent,
            detector: Detector::None,
            entries: FxHashMap::default(),
            node_addresses: BTreeSet::new(),
            service_ranges: BTreeSet::new(),
            local_sources: BTreeSet::new(),
            shared: FxHashMap::default(),
            pools: FxHashMap::default(),
            names: FxHashMap::default(),
            timeouts: BTreeMap::new(),
            sizes: [0; SETS],
            fill: [0; SETS],
            strays: Strays::default(),
        }
    }

    /// A table that has to be written anew, with larger sets: before Linux 6.5 a set keeps the size that it was made with,
    /// and the kernel says nothing until it is full.
    pub fn outgrown(family: Family) -> Image {
        Image { state: State::Foreign(Deviation::Full), ..Image::absent(family) }
    }

    /// Which family's table.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether the table is there, and ours.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How many frontends it holds.
    pub fn frontends(&self) -> usize {
        self.entries.len()
    }

    /// How many elements there are that belong to nothing.
    pub fn strays(&self) -> usize {
        self.strays.elements.len() + self.strays.chains.len()
    }

    /// How many elements the table holds, without what packets put there.
    pub fn elements(&self) -> u64 {
        self.fill.iter().map(|count| u64::from(*count)).sum()
    }

    /// What the table does, as a Model without provenance and pool names.
    pub fn model(&self) -> Model {
        Model {
            family: self.family,
            frontends: self.entries.iter().map(|(frontend, entry)| (*frontend, rule(frontend, entry))).collect(),
            node_addresses: self.node_addresses.clone(),
            service_ranges: self.service_ranges.clone(),
            local_pods: match &self.detector {
                Detector::None => LocalPods::Unknown,
                Detector::Ranges => LocalPods::Ranges(self.local_sources.clone()),
                Detector::Interface(name) => LocalPods::Interface(name.clone()),
                Detector::InterfacePrefix(prefix) => LocalPods::InterfacePrefix(prefix.clone()),
            },
        }
    }

    /// Says which affinity pools an observed table holds. The kernel knows no names, so without this a frontend that is
    /// added after a restart would not share the memory of its Service port's other frontends (S-324). `model` is what
    /// was programmed: frontends that it lacks, or has otherwise, are left unnamed.
    ///
    /// Nor does the kernel know who said that an address is here, if several endpoints have it, so that is taken over too.
    pub fn name_pools(&mut self, model: &Model) {
        self.attribute_hairpins(model);
        for (frontend, rule) in model.frontends.iter().filter(|(_, rule)| rule.affinity.is_some()) {
            let Some(entry) = self.entries.get(frontend) else { continue };
            for (side, target) in entry.targets() {
                let outcome = if side == Side::Near { &rule.near } else { &rule.far };
                if let (Target::Slots { pool, .. }, Outcome::Pool(named)) = (target, outcome)
                    && let Some(unnamed) = self.pools.get_mut(pool).filter(|pool| pool.name.is_none())
                    && !self.names.contains_key(&named.name)
                {
                    unnamed.name = Some(named.name.clone());
                    self.names.insert(named.name.clone(), *pool);
                }
            }
        }
    }

    /// An observed address in `hairpin` counts for all its slots. Those that the Model doesn't call local give up their
    /// share, as long as somebody keeps one: else the element would stay after its last true user.
    fn attribute_hairpins(&mut self, model: &Model) {
        for (frontend, rule) in &model.frontends {
            let Some(entry) = self.entries.get_mut(frontend) else { continue };
            let far = entry.far.as_mut().map(|far| (far, &rule.far));
            for (target, outcome) in [(&mut entry.near, &rule.near)].into_iter().chain(far) {
                let (Target::Slots { slots, .. }, Outcome::Pool(pool)) = (target, outcome) else { continue };
                for slot in slots.iter_mut().filter(|slot| slot.local) {
                    let same = |one: &Endpoint| (one.address, one.port);
                    let at = pool.endpoints.binary_search_by_key(&(slot.address, slot.port), same);
                    let is_foreign = at.is_ok_and(|at| !pool.endpoints[at].local);
                    let users = self.shared.get_mut(&Shared::Hairpin(slot.address));
                    if let Some(users) = users.filter(|users| is_foreign && **users > 1) {
                        *users -= 1;
                        slot.local = false;
                    }
                }
            }
        }
    }

    /// Carries out a Plan that was made for this Image and that the kernel has accepted.
    pub fn apply(&mut self, plan: &Plan) {
        let effects = &plan.effects;
        if effects.writes {
            self.state = State::Ours;
            self.strays = Strays::default();
        }
        for (frontend, entry) in &effects.entries {
            set(&mut self.entries, *frontend, entry.clone());
        }
        for (shared, count) in &effects.shared {
            set(&mut self.shared, *shared, (*count > 0).then_some(*count));
        }
        for (id, pool) in &effects.pools {
            let before = self.pools.get(id).and_then(|pool| pool.name.clone());
            let after = pool.as_ref().and_then(|pool| pool.name.clone());
            if let Some(name) = before.filter(|name| after.as_ref() != Some(name)) {
                self.names.remove(&name);
            }
            if let Some(name) = after {
                self.names.insert(name, *id);
            }
            set(&mut self.pools, *id, pool.clone());
        }
        if let Some(timeouts) = &effects.timeouts {
            self.timeouts.clone_from(timeouts);
        }
        if let Some(detector) = &effects.detector {
            self.detector.clone_from(detector);
        }
        if let Some(addresses) = &effects.node_addresses {
            self.node_addresses.clone_from(addresses);
        }
        if let Some(ranges) = &effects.service_ranges {
            self.service_ranges.clone_from(ranges);
        }
        if let Some(ranges) = &effects.local_sources {
            self.local_sources.clone_from(ranges);
        }
        for (set, size, fill) in &effects.sets {
            self.sizes[set.index()] = *size;
            self.fill[set.index()] = *fill;
        }
    }
}

/// Equal if the same table was written; pools' names don't count, since a kernel holds none.
impl PartialEq for Image {
    fn eq(&self, other: &Image) -> bool {
        let members = |pools: &FxHashMap<u32, AffinityPool>| {
            pools.iter().map(|(id, pool)| (*id, pool.members.clone())).collect::<BTreeMap<_, _>>()
        };
        self.family == other.family
            && self.state == other.state
            && self.detector == other.detector
            && self.entries == other.entries
            && self.node_addresses == other.node_addresses
            && self.service_ranges == other.service_ranges
            && self.local_sources == other.local_sources
            && self.shared == other.shared
            && members(&self.pools) == members(&other.pools)
            && self.timeouts == other.timeouts
            && self.sizes == other.sizes
            && self.fill == other.fill
            && self.strays == other.strays
    }
}

impl Eq for Image {}

fn set<K: std::hash::Hash + Eq, V>(map: &mut FxHashMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

fn rule(frontend: &Frontend, entry: &Entry) -> Rule {
    let near = outcome(frontend, &entry.near, Scope::Cluster);
    let far = entry.far.as_ref().map(|far| outcome(frontend, far, Scope::Local));
    Rule {
        role: entry.role,
        sources: entry.sources.clone(),
        far: far.unwrap_or_else(|| near.clone()),
        near,
        masquerade: entry.masquerade,
        affinity: entry.memory.map(|memory| Affinity { timeout_s: memory.timeout_s }),
        provenance: Provenance::default(),
    }
}

fn outcome(frontend: &Frontend, target: &Target, scope: Scope) -> Outcome {
    match target {
        Target::Refuse => Outcome::Reject,
        Target::Drop => Outcome::Drop,
        Target::Slots { slots, .. } => {
            let name = PoolName {
                namespace: String::new(),
                service: String::new(),
                port: String::new(),
                protocol: frontend.protocol,
                scope,
            };
            Outcome::Pool(Pool { name: Arc::new(name), endpoints: endpoints(slots).into() })
        }
    }
}

/// The endpoints of some slots: sorted, each once, with as much weight as it has slots.
fn endpoints(slots: &[Slot]) -> Vec<Endpoint> {
    let mut sorted: Vec<&Slot> = slots.iter().collect();
    sorted.sort_unstable_by_key(|slot| (slot.address, slot.port));
    sorted
        .chunk_by(|one, other| one.socket() == other.socket())
        .map(|same| Endpoint {
            address: same[0].address,
            port: same[0].port,
            local: same[0].local,
            weight: same.len() as u16,
        })
        .collect()
}
