//! A Plan in the making: an Image, and beside it what will be different.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::{Family, Frontend, Masquerade, PoolName};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::affinity::{member_number, pool_id};
use crate::chain::{Chain, Verdict};
use crate::code::Branch;
use crate::element::Element;
use crate::entry::{Entry, Memory, Shared, Slot, Target};
use crate::image::{AffinityPool, Image, Member, State};
use crate::operation::Operation;
use crate::plan::{Cut, Effects, Plan, Step, Subject, Unplannable, Why};
use crate::rule::{Detector, rules};
use crate::set::{Kind, SETS, Set, Side, Stage};

/// After this many elements a group of frontends ends, so that a Plan can be cut into transactions.
const GROUP: usize = 2500;

pub(crate) struct Draft<'a> {
    image: &'a Image,
    report: Vec<Unplannable>,
    entries: Vec<(Frontend, Option<Entry>)>,
    groups: Vec<Group>,
    users: FxHashMap<Shared, i64>,
    pools: BTreeMap<u32, AffinityPool>,
    names: FxHashMap<Arc<PoolName>, u32>,
    timeouts: BTreeMap<u32, u8>,
    detector: Option<Detector>,
    node_addresses: Option<BTreeSet<IpAddr>>,
    service_ranges: Option<BTreeSet<IpNet>>,
    local_sources: Option<BTreeSet<IpNet>>,
}

/// What is deleted from and added to each set, together.
#[derive(Default)]
struct Group {
    sets: BTreeMap<Set, (Vec<Element>, Vec<Element>)>,
    size: usize,
}

impl Group {
    fn delete(&mut self, element: Element) {
        self.sets.entry(element.set()).or_default().0.push(element);
        self.size += 1;
    }

    fn add(&mut self, element: Element) {
        self.sets.entry(element.set()).or_default().1.push(element);
        self.size += 1;
    }
}

impl<'a> Draft<'a> {
    pub fn new(image: &'a Image) -> Draft<'a> {
        Draft {
            image,
            report: Vec::new(),
            entries: Vec::new(),
            groups: Vec::new(),
            users: FxHashMap::default(),
            pools: BTreeMap::new(),
            names: FxHashMap::default(),
            timeouts: image.timeouts.clone(),
            detector: None,
            node_addresses: None,
            service_ranges: None,
            local_sources: None,
        }
    }

    pub fn family(&self) -> Family {
        self.image.family
    }

    pub fn report(&mut self, subject: Subject, why: Why) {
        self.report.push(Unplannable { subject, why });
    }

    pub fn set_detector(&mut self, detector: Detector, ranges: BTreeSet<IpNet>) {
        self.detector = (detector != self.image.detector).then_some(detector);
        self.local_sources = (ranges != self.image.local_sources).then_some(ranges);
    }

    pub fn set_node_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        self.node_addresses = (addresses != self.image.node_addresses).then_some(addresses);
    }

    pub fn set_service_ranges(&mut self, ranges: BTreeSet<IpNet>) {
        self.service_ranges = (ranges != self.image.service_ranges).then_some(ranges);
    }

    /// The slots that a frontend has now, and their affinity pool.
    pub fn old_slots(&self, frontend: &Frontend, side: Side) -> (u32, &'a [Slot]) {
        let entry = self.image.entries.get(frontend);
        match entry.and_then(|entry| entry.targets().find(|(found, _)| *found == side)) {
            Some((_, Target::Slots { pool, slots })) => (*pool, slots),
            _ => (0, &[]),
        }
    }

    /// The index of a timeout: its own, or the lowest that is free.
    pub fn memory(&mut self, timeout_s: u32) -> Result<Memory, Why> {
        if let Some(index) = self.timeouts.get(&timeout_s) {
            return Ok(Memory { timeout_s, index: *index });
        }
        let taken: BTreeSet<u8> = self.timeouts.values().copied().collect();
        let index = (0..=u8::MAX).find(|index| !taken.contains(index)).ok_or(Why::TooManyTimeouts)?;
        self.timeouts.insert(timeout_s, index);
        Ok(Memory { timeout_s, index })
    }

    /// The id of a pool: by its name, else the one that this frontend has if nobody else's name is on it, else a new one.
    pub fn pool(&mut self, name: &Arc<PoolName>, old: u32) -> Result<u32, Why> {
        if let Some(id) = self.names.get(name).or_else(|| self.image.names.get(name)) {
            return Ok(*id);
        }
        let unnamed = old != 0 && self.pool_at(old).is_some_and(|pool| pool.name.is_none());
        let id = match unnamed {
            true => old,
            false => pool_id(name, |id| self.pool_at(id).is_some()).ok_or(Why::TooManyPools)?,
        };
        self.pool_mut(id).name = Some(name.clone());
        self.names.insert(name.clone(), id);
        Ok(id)
    }

    /// The id of an endpoint in a pool.
    pub fn member(&mut self, pool: u32, address: IpAddr, port: u16) -> Result<u32, Why> {
        let pool_id = pool;
        let pool = self.pool_mut(pool_id);
        if let Some(member) = pool.members.get(&(address, port)) {
            return Ok(pool_id | u32::from(member.number));
        }
        let number =
            member_number(address, port, |number| pool.numbers.contains(&number)).ok_or(Why::TooManyMembers)?;
        pool.numbers.insert(number);
        pool.members.insert((address, port), Member { number, uses: 0 });
        Ok(pool_id | u32::from(number))
    }

    fn pool_at(&self, id: u32) -> Option<&AffinityPool> {
        self.pools.get(&id).or_else(|| self.image.pools.get(&id))
    }

    fn pool_mut(&mut self, id: u32) -> &mut AffinityPool {
        self.pools.entry(id).or_insert_with(|| self.image.pools.get(&id).cloned().unwrap_or_default())
    }

    /// What a frontend is to have; each frontend is set at most once.
    pub fn set_entry(&mut self, frontend: Frontend, new: Option<Entry>) {
        let old = self.image.entries.get(&frontend);
        if old == new.as_ref() {
            return;
        }
        if let Some(new) = &new {
            self.count(frontend, new, 1);
        }
        if let Some(old) = old {
            self.count(frontend, old, -1);
        }
        let before = old.map(|entry| entry.elements(frontend)).unwrap_or_default();
        let after = new.as_ref().map(|entry| entry.elements(frontend)).unwrap_or_default();
        self.exchange(&before, &after);
        self.entries.push((frontend, new));
    }

    fn count(&mut self, frontend: Frontend, entry: &Entry, change: i64) {
        for shared in entry.shared(frontend) {
            *self.users.entry(shared).or_default() += change;
        }
        for (_, target) in entry.targets() {
            let Target::Slots { pool: pool @ 1.., slots } = target else { continue };
            let members = &mut self.pool_mut(*pool).members;
            for slot in slots {
                if let Some(member) = members.get_mut(&(slot.address, slot.port)) {
                    member.uses = member.uses.saturating_add_signed(change as i32);
                }
            }
        }
    }

    fn exchange(&mut self, before: &[Element], after: &[Element]) {
        if self.groups.last().is_none_or(|group| group.size >= GROUP) {
            self.groups.push(Group::default());
        }
        let group = self.groups.last_mut().expect("a group was just made");
        let (old, new): (FxHashSet<_>, FxHashSet<_>) = (before.iter().collect(), after.iter().collect());
        before.iter().filter(|element| !new.contains(element)).for_each(|element| group.delete(*element));
        after.iter().filter(|element| !old.contains(element)).for_each(|element| group.add(*element));
    }

    /// Puts everything in order.
    pub fn finish(mut self) -> Plan {
        self.drop_unused_members();
        let (mut head, mut tail) = (Group::default(), Group::default());
        let (mut new_chains, dead_chains, shared) = self.settle_shared(&mut head, &mut tail);
        self.settle_pools(&mut head, &mut tail);
        self.settle_addresses(&mut head);
        let (flushed, ranges) = self.settle_ranges();
        let (stray, stray_chains) = self.settle_strays(&mut head, &mut tail, &mut new_chains);

        let groups = || [&stray, &head].into_iter().chain(&self.groups).chain([&ranges, &tail]);
        let sets = self.sizes(groups());
        let mut steps = Steps::default();
        steps.add(self.grown(&sets));
        let grown = steps.0.len();
        self.base(&sets, &mut steps);
        steps.group(&stray);
        steps.add(stray_chains.into_iter().rev().map(Operation::DeleteChain));
        self.change_detector(&mut steps);
        self.add_chains(&new_chains, &mut steps);
        steps.group(&head);
        steps.add(flushed.into_iter().map(Operation::FlushSet));
        steps.group_joined(&ranges);
        self.groups.iter().for_each(|group| steps.group(group));
        steps.group(&tail);
        steps.add(dead_chains.into_iter().rev().map(Operation::DeleteChain));
        if let (1.., Some(step)) = (grown, steps.0.get_mut(grown)) {
            step.cut = Cut::Needed;
        }
        self.into_plan(steps.0, shared, sets)
    }

    fn into_plan(self, steps: Vec<Step>, shared: Vec<(Shared, u32)>, sets: Vec<(Set, u32, u32)>) -> Plan {
        let live: FxHashSet<u32> = self.live_timeouts(&shared);
        let timeouts = self.timeouts.into_iter().filter(|(timeout_s, _)| live.contains(timeout_s)).collect();
        let effects = Effects {
            writes: !steps.is_empty() || !self.entries.is_empty(),
            entries: self.entries,
            shared,
            pools: self.pools.into_iter().map(|(id, pool)| (id, (!pool.members.is_empty()).then_some(pool))).collect(),
            timeouts: (timeouts != self.image.timeouts).then_some(timeouts),
            detector: self.detector,
            node_addresses: self.node_addresses,
            service_ranges: self.service_ranges,
            local_sources: self.local_sources,
            sets,
        };
        Plan { family: self.image.family, steps, effects, report: self.report }
    }

    /// The timeouts that some chain still has.
    fn live_timeouts(&self, shared: &[(Shared, u32)]) -> FxHashSet<u32> {
        let changed: FxHashMap<Shared, u32> = shared.iter().copied().collect();
        let is_live = |timeout_s: u32| {
            Side::BOTH.into_iter().any(|side| {
                let chain = Shared::Chain(Chain::Affinity { side, timeout_s });
                changed.get(&chain).or_else(|| self.image.shared.get(&chain)).is_some_and(|count| *count > 0)
            })
        };
        self.timeouts.keys().copied().filter(|timeout_s| is_live(*timeout_s)).collect()
    }

    fn drop_unused_members(&mut self) {
        for pool in self.pools.values_mut() {
            pool.members.retain(|_, member| member.uses > 0);
            pool.numbers = pool.members.values().map(|member| member.number).collect();
        }
    }

    /// Chains to make, chains to delete, and the new counts.
    fn settle_shared(
        &mut self,
        head: &mut Group,
        tail: &mut Group,
    ) -> (BTreeSet<Chain>, BTreeSet<Chain>, Vec<(Shared, u32)>) {
        let (mut new, mut dead) = (BTreeSet::new(), BTreeSet::new());
        let mut changed: Vec<(Shared, i64)> = self.users.drain().filter(|(_, change)| *change != 0).collect();
        changed.sort_unstable();
        let mut counts = Vec::new();
        for (shared, change) in changed {
            let before = self.image.shared.get(&shared).copied().unwrap_or(0);
            let after = u32::try_from(i64::from(before) + change).unwrap_or(0);
            counts.push((shared, after));
            match (shared, before, after) {
                (Shared::Chain(chain), 0, 1..) => drop(new.insert(chain)),
                (Shared::Chain(chain), 1.., 0) => drop(dead.insert(chain)),
                // A cluster IP's unused ports are refused only once its used ones are served.
                (Shared::ClusterIp(address), 0, 1..) => tail.add(Element::ClusterIp(address)),
                (other, 0, 1..) => other.element().into_iter().for_each(|element| head.add(element)),
                (other, 1.., 0) => other.element().into_iter().for_each(|element| tail.delete(element)),
                _ => {}
            }
        }
        (new, dead, counts)
    }

    /// What belongs to nothing goes, unless it is just what this Plan adds: of a frontend that lacks an element, the
    /// others are strays, and stay.
    fn settle_strays(
        &mut self,
        head: &mut Group,
        tail: &mut Group,
        new_chains: &mut BTreeSet<Chain>,
    ) -> (Group, Vec<Chain>) {
        let strays = &self.image.strays;
        let mut kept = FxHashSet::default();
        if !strays.elements.is_empty() {
            let all: FxHashSet<&Element> = strays.elements.iter().collect();
            for group in [head, tail].into_iter().chain(&mut self.groups) {
                for (_, added) in group.sets.values_mut() {
                    added.retain(|element| !all.contains(element) || !kept.insert(*element));
                }
            }
        }
        let mut group = Group::default();
        let gone = strays.elements.iter().filter(|element| !kept.contains(element));
        gone.for_each(|element| group.delete(*element));
        let chains = strays.chains.iter().filter(|chain| !new_chains.remove(chain));
        (group, chains.copied().collect())
    }

    fn settle_pools(&self, head: &mut Group, tail: &mut Group) {
        let none = AffinityPool::default();
        for (id, pool) in &self.pools {
            let old = self.image.pools.get(id).unwrap_or(&none);
            let elements = |pool: &AffinityPool| -> BTreeSet<Element> {
                (pool.members.iter())
                    .map(|((address, port), member)| Element::AffinityEndpoint {
                        id: id | u32::from(member.number),
                        endpoint: (*address, *port).into(),
                    })
                    .collect()
            };
            let (before, after) = (elements(old), elements(pool));
            after.difference(&before).for_each(|element| head.add(*element));
            before.difference(&after).for_each(|element| tail.delete(*element));
        }
    }

    fn settle_addresses(&self, head: &mut Group) {
        let Some(addresses) = &self.node_addresses else { return };
        let old = &self.image.node_addresses;
        old.difference(addresses).for_each(|address| head.delete(Element::NodeportIp(*address)));
        addresses.difference(old).for_each(|address| head.add(Element::NodeportIp(*address)));
    }

    /// Ranges are few, and written anew as a whole: the kernel looks for overlaps with what is about to go.
    fn settle_ranges(&self) -> (Vec<Set>, Group) {
        let mut group = Group::default();
        let mut flushed = Vec::new();
        if let Some(ranges) = &self.service_ranges {
            flushed.extend((!self.image.service_ranges.is_empty()).then_some(Set::ServiceCidrs));
            ranges.iter().for_each(|range| group.add(Element::ServiceCidr(*range)));
        }
        if let Some(ranges) = &self.local_sources {
            flushed.extend((!self.image.local_sources.is_empty()).then_some(Set::LocalSources));
            ranges.iter().for_each(|range| group.add(Element::LocalSource(*range)));
        }
        (flushed, group)
    }

    /// Whether the table has to be written from scratch.
    fn is_fresh(&self) -> bool {
        self.image.state != State::Ours
    }

    /// The table with its sets, and its fixed chains and elements, unless they are there.
    fn base(&self, sets: &[(Set, u32, u32)], steps: &mut Steps) {
        match self.image.state {
            State::Ours => return,
            State::Foreign(_) => steps.add([Operation::DeleteTable]),
            State::Absent => {}
        }
        steps.add([Operation::AddTable]);
        steps.add(sets.iter().map(|(set, size, _)| Operation::AddSet { set: *set, size: *size }));
        steps.add(Chain::fixed().map(Operation::AddChain));
        let detector = self.detector.as_ref().unwrap_or(&self.image.detector);
        Chain::fixed().for_each(|chain| self.add_rules(chain, detector, steps));
        let mut fixed = Group::default();
        fixed_elements().for_each(|element| fixed.add(element));
        steps.group(&fixed);
        // Half of it would lead packets nowhere.
        steps.0.iter_mut().skip(1).for_each(|step| step.cut = Cut::Never);
    }

    fn add_rules(&self, chain: Chain, detector: &Detector, steps: &mut Steps) {
        let rules = rules(chain, self.image.family, detector);
        steps.add(rules.into_iter().map(|rule| Operation::AddRule { chain, rule }));
    }

    fn change_detector(&self, steps: &mut Steps) {
        let Some(detector) = self.detector.as_ref().filter(|_| !self.is_fresh()) else { return };
        let start = steps.0.len();
        for chain in Detector::CHAINS {
            steps.add([Operation::FlushChain(chain)]);
            self.add_rules(chain, detector, steps);
        }
        steps.0[start + 1..].iter_mut().for_each(|step| step.cut = Cut::Never);
    }

    fn add_chains(&self, chains: &BTreeSet<Chain>, steps: &mut Steps) {
        steps.add(chains.iter().map(|chain| Operation::AddChain(*chain)));
        chains.iter().for_each(|chain| self.add_rules(*chain, &Detector::None, steps));
    }

    /// The size and the number of elements of each set that changes. A set is sized for twice what it holds: for a
    /// moment a transaction holds both what it deletes and what it adds.
    fn sizes<'g>(&self, groups: impl Iterator<Item = &'g Group>) -> Vec<(Set, u32, u32)> {
        let fresh = self.is_fresh();
        let mut change = [(0u32, 0u32); SETS];
        for (set, (deleted, added)) in groups.flat_map(|group| &group.sets) {
            change[set.index()].0 += deleted.len() as u32;
            change[set.index()].1 += added.len() as u32;
        }
        if fresh {
            fixed_elements().for_each(|element| change[element.set().index()].1 += 1);
        }
        if self.service_ranges.is_some() {
            change[Set::ServiceCidrs.index()].0 += self.image.service_ranges.len() as u32;
        }
        if self.local_sources.is_some() {
            change[Set::LocalSources.index()].0 += self.image.local_sources.len() as u32;
        }
        let changed = |set: &Set| fresh || change[set.index()] != (0, 0);
        Set::all()
            .filter(changed)
            .map(|set| {
                let (deleted, added) = change[set.index()];
                let (size, fill) = (self.image.sizes[set.index()], self.image.fill[set.index()]);
                let peak = fill + added;
                let size = match set.kind() {
                    Kind::Sized(least) if fresh => least.max((2 * peak).next_power_of_two()),
                    Kind::Sized(_) if peak > size => (2 * peak).next_power_of_two(),
                    Kind::Dynamic(most) if fresh => most,
                    _ => size,
                };
                (set, size, peak.saturating_sub(deleted))
            })
            .collect()
    }

    fn grown(&self, sets: &[(Set, u32, u32)]) -> Vec<Operation> {
        sets.iter()
            .filter(|(set, size, _)| !self.is_fresh() && *size != self.image.sizes[set.index()])
            .map(|(set, size, _)| Operation::ResizeSet { set: *set, size: *size })
            .collect()
    }
}

/// The elements that every table has.
pub(crate) fn fixed_elements() -> impl Iterator<Item = Element> {
    let classes = [Masquerade::Always, Masquerade::UnlessLocalPod, Masquerade::OnlyHost];
    (0..16).map(Element::Shard).chain(classes.into_iter().map(Element::Class)).chain(fixed_dispatch())
}

fn fixed_dispatch() -> impl Iterator<Item = Element> {
    Stage::ALL.into_iter().flat_map(|stage| {
        let branches: &[Branch] = match stage {
            Stage::Services => &Branch::FIXED,
            Stage::Guarded => &[Branch::Refuse, Branch::Drop, Branch::ExternalLocal],
            Stage::Cluster | Stage::Local => &[Branch::Refuse, Branch::Drop],
        };
        branches.iter().map(move |branch| {
            let verdict = match branch {
                Branch::Drop => Verdict::Drop,
                Branch::ExternalLocal => Verdict::dispatch(stage, Chain::ExternalLocal),
                Branch::Guarded => Verdict::dispatch(stage, Chain::Guard),
                _ => Verdict::Goto(Chain::Refuse),
            };
            Element::Dispatch { stage, branch: *branch, verdict }
        })
    })
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, operations: impl IntoIterator<Item = Operation>) {
        self.0.extend(operations.into_iter().map(|operation| Step { operation, cut: Cut::Good }));
    }

    /// Rows before the codes that lead to them, so backwards through the sets. What replaces an element follows at once
    /// on its deletion.
    fn group(&mut self, group: &Group) {
        let mut cut = Cut::Good;
        for (set, (deleted, added)) in group.sets.iter().rev() {
            if !deleted.is_empty() {
                let operation = Operation::DeleteElements { set: *set, elements: deleted.clone() };
                self.0.push(Step { operation, cut });
                cut = Cut::Never;
            }
            if !added.is_empty() {
                self.0.push(Step { operation: Operation::AddElements { set: *set, elements: added.clone() }, cut });
            }
            cut = Cut::Possible;
        }
    }

    /// A group that belongs to the step before it.
    fn group_joined(&mut self, group: &Group) {
        let start = self.0.len();
        self.group(group);
        self.0[start..].iter_mut().for_each(|step| step.cut = Cut::Never);
    }
}
