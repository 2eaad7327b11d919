//! From a kernel's dumps to an Image.
//!
//! A table that this version didn't write, rule for rule, is [`State::Foreign`]: its Image is empty, and the next Plan
//! replaces it. In a table of ours, elements that don't make up a whole frontend are strays: the Image doesn't hold that
//! frontend, and the next Plan deletes them. So an Image never claims more than the kernel does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use model::{Family, Frontend, Sources};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::chain::{Chain, Verdict};
use crate::code::{Branch, Code};
use crate::draft::fixed_elements;
use crate::element::{Element, range};
use crate::encode::{INTERVAL_END, SUBSYSTEM, TABLE, data_type, family_number, head, key_type, kind, set_flags};
use crate::entry::{Entry, Memory, Shared, Slot, Target};
use crate::expression::{Expression, value_of};
use crate::image::{AffinityPool, Image, Member, State};
use crate::key::Fields;
use crate::operation::hook;
use crate::rule::{Detector, POOL_MASK, rules};
use crate::set::{Kind, Set, Side, Stage};
use crate::wire::{Message, Writer, attributes, be32, find, find_be32, find_text, flag, messages};

/// In what a table differs from what this version writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Deviation {
    /// A set is missing, or has other types or flags.
    #[error("set {0} is missing or declared otherwise")]
    Set(Set),
    /// There is a set that maitred doesn't make.
    #[error("unknown set {0}")]
    UnknownSet(String),
    /// A chain is missing, or is hooked otherwise.
    #[error("chain {0} is missing or hooked otherwise")]
    Chain(Chain),
    /// There is a chain that maitred doesn't make.
    #[error("unknown chain {0}")]
    UnknownChain(String),
    /// A chain has other rules.
    #[error("chain {0} has other rules")]
    Rules(Chain),
    /// A set holds an element that maitred doesn't make, or lacks one that it always makes.
    #[error("set {0} holds other elements")]
    Elements(Set),
    /// The table is switched off.
    #[error("the table is dormant")]
    Dormant,
    /// A set of it has no room, and the kernel gives it none.
    #[error("a set is full")]
    Full,
}

/// What to ask the kernel for: one dump per request, in this order. That there is no such table or set is an answer
/// too (ENOENT): an empty one.
pub fn requests(family: Family) -> Vec<Vec<u8>> {
    let request = |message: u16, body: &dyn Fn(&mut Writer)| {
        let mut out = Writer::default();
        out.message(head(SUBSYSTEM << 8 | message, flag::DUMP, family), |out| body(out));
        out.bytes
    };
    let sets = Set::all().filter(|set| *set != Set::Affinity).map(|set| {
        request(kind::GET_ELEMENT, &|out| {
            out.text(1, TABLE);
            out.text(2, &set.to_string());
        })
    });
    [
        request(kind::GET_TABLE, &|_| ()),
        request(kind::GET_CHAIN, &|_| ()),
        request(kind::GET_RULE, &|out| out.text(1, TABLE)),
        request(kind::GET_SET, &|out| out.text(1, TABLE)),
    ]
    .into_iter()
    .chain(sets)
    .collect()
}

/// What the kernel holds, from the answers to [`requests`]. Total: any bytes give some Image.
pub fn observe<B: AsRef<[u8]>>(family: Family, dumps: &[B]) -> Image {
    let mut table = Table::default();
    let read = dumps
        .iter()
        .flat_map(|dump| messages(dump.as_ref()))
        .filter(|message| message.kind >> 8 == SUBSYSTEM && message.family == family_number(family))
        .try_for_each(|message| table.read(&message, family));
    if !table.exists {
        return Image::absent(family);
    }
    match read.and_then(|()| table.image(family)) {
        Ok(image) => image,
        Err(deviation) => Image { state: State::Foreign(deviation), ..Image::absent(family) },
    }
}

/// What was read so far.
#[derive(Default)]
struct Table {
    exists: bool,
    chains: BTreeSet<Chain>,
    rules: BTreeMap<Chain, Vec<Vec<Expression>>>,
    sizes: BTreeMap<Set, u32>,
    /// Those of frontends.
    own: FxHashMap<Frontend, Vec<Element>>,
    /// All others.
    other: FxHashSet<Element>,
    /// Where ranges begin and end in plain interval sets.
    bounds: BTreeMap<Set, Vec<(IpAddr, bool)>>,
}

impl Table {
    fn read(&mut self, message: &Message, family: Family) -> Result<(), Deviation> {
        let body = message.body;
        if find_text(body, 1) != Some(TABLE) {
            return Ok(());
        }
        match message.kind & 0xff {
            kind::NEW_TABLE => {
                self.exists = true;
                if find_be32(body, 2).unwrap_or(0) & 1 != 0 { Err(Deviation::Dormant) } else { Ok(()) }
            }
            kind::NEW_CHAIN => self.read_chain(body),
            kind::NEW_RULE => self.read_rule(body),
            kind::NEW_SET => self.read_set(body, family),
            kind::NEW_ELEMENT => self.read_elements(body, family),
            _ => Ok(()),
        }
    }

    fn read_chain(&mut self, body: &[u8]) -> Result<(), Deviation> {
        let name = find_text(body, 3).unwrap_or_default();
        let chain = Chain::parse(name).ok_or_else(|| Deviation::UnknownChain(name.into()))?;
        let found = find(body, 4).map(|hook| (find_be32(hook, 1), find_be32(hook, 2)));
        let expected = hook(chain).map(|(number, priority, _)| (Some(number), Some(priority as u32)));
        let is_nat = expected.is_none() || find_text(body, 7) == Some("nat");
        if found != expected || !is_nat {
            return Err(Deviation::Chain(chain));
        }
        self.chains.insert(chain);
        Ok(())
    }

    fn read_rule(&mut self, body: &[u8]) -> Result<(), Deviation> {
        let name = find_text(body, 2).unwrap_or_default();
        let chain = Chain::parse(name).ok_or_else(|| Deviation::UnknownChain(name.into()))?;
        let expressions = Expression::decode_all(find(body, 4).unwrap_or_default()).ok_or(Deviation::Rules(chain))?;
        self.rules.entry(chain).or_default().push(expressions);
        Ok(())
    }

    fn read_set(&mut self, body: &[u8], family: Family) -> Result<(), Deviation> {
        let name = find_text(body, 2).unwrap_or_default();
        let set = Set::parse(name).ok_or_else(|| Deviation::UnknownSet(name.into()))?;
        let key = (find_be32(body, 4).unwrap_or(0), find_be32(body, 5).unwrap_or(0));
        let data = find_be32(body, 6).map(|number| (number, find_be32(body, 7).unwrap_or(0)));
        let data = data.map(|(number, length)| if number == 0xffff_ff00 { (number, 0) } else { (number, length) });
        let size = find(body, 9).and_then(|description| find_be32(description, 1)).unwrap_or(0);
        let is_ours = find_be32(body, 3).unwrap_or(0) == set_flags(set)
            && key == key_type(set, family)
            && data == data_type(set, family)
            && (size > 0) == matches!(set.kind(), Kind::Sized(_) | Kind::Dynamic(_));
        if !is_ours {
            return Err(Deviation::Set(set));
        }
        self.sizes.insert(set, size);
        Ok(())
    }

    fn read_elements(&mut self, body: &[u8], family: Family) -> Result<(), Deviation> {
        let name = find_text(body, 2).unwrap_or_default();
        let set = Set::parse(name).ok_or_else(|| Deviation::UnknownSet(name.into()))?;
        for (_, element) in find(body, 3).into_iter().flat_map(attributes) {
            self.read_element(set, element, family).ok_or(Deviation::Elements(set))?;
        }
        Ok(())
    }

    fn read_element(&mut self, set: Set, bytes: &[u8], family: Family) -> Option<()> {
        let (mut key, mut last, mut data, mut flags) = (None, None, None, 0);
        for (kind, payload) in attributes(bytes) {
            match kind {
                1 => key = value_of(payload),
                2 => data = Some(payload),
                3 => flags = be32(payload)?,
                10 => last = value_of(payload),
                _ => {}
            }
        }
        if set.kind() == Kind::Interval {
            let mut fields = Fields::new(key?, family);
            let address = fields.address().filter(|_| fields.is_empty())?;
            self.bounds.entry(set).or_default().push((address, flags & INTERVAL_END != 0));
            return Some(());
        }
        let element = Element::decode(set, family, key?, last, data.unwrap_or_default())?;
        match frontend_of(&element) {
            Some(frontend) => self.own.entry(frontend).or_default().push(element),
            None => drop(self.other.insert(element)),
        }
        Some(())
    }

    fn image(self, family: Family) -> Result<Image, Deviation> {
        let detector = self.check_structure(family)?;
        let mut image = Image { state: State::Ours, detector, ..Image::absent(family) };
        image.service_ranges =
            ranges(self.bounds.get(&Set::ServiceCidrs), family).ok_or(Deviation::Elements(Set::ServiceCidrs))?;
        image.local_sources =
            ranges(self.bounds.get(&Set::LocalSources), family).ok_or(Deviation::Elements(Set::LocalSources))?;
        self.count(&mut image);
        self.assemble(&mut image)?;
        Ok(image)
    }

    /// Whether sets, chains and rules are those that this version writes.
    fn check_structure(&self, family: Family) -> Result<Detector, Deviation> {
        if let Some(missing) = Set::all().find(|set| !self.sizes.contains_key(set)) {
            return Err(Deviation::Set(missing));
        }
        if let Some(missing) = Chain::fixed().find(|chain| !self.chains.contains(chain)) {
            return Err(Deviation::Chain(missing));
        }
        let detector = self.detector().ok_or(Deviation::Rules(Chain::ExternalLocal))?;
        let none = Vec::new();
        for chain in &self.chains {
            let expected = rules(*chain, family, &detector);
            let found = self.rules.get(chain).unwrap_or(&none);
            if !found.iter().eq(expected.iter().map(|rule| &rule.expressions)) {
                return Err(Deviation::Rules(*chain));
            }
        }
        match fixed_elements().find(|element| !self.other.contains(element)) {
            Some(missing) => Err(Deviation::Elements(missing.set())),
            None => Ok(detector),
        }
    }

    /// How the first rule of `ext-local` knows local Pods.
    fn detector(&self) -> Option<Detector> {
        Some(match self.rules.get(&Chain::ExternalLocal)?.first()?.as_slice() {
            [_, Expression::Lookup { set: Set::LocalSources, .. }, ..] => Detector::Ranges,
            [Expression::Meta { .. }, Expression::Compare { data, .. }, ..] => {
                let end = data.iter().position(|byte| *byte == 0);
                let name = std::str::from_utf8(&data[..end.unwrap_or(data.len())]).ok()?.to_owned();
                if end.is_some() { Detector::Interface(name) } else { Detector::InterfacePrefix(name) }
            }
            _ => Detector::None,
        })
    }

    fn count(&self, image: &mut Image) {
        for (set, size) in &self.sizes {
            image.sizes[set.index()] = *size;
        }
        for element in self.own.values().flatten().chain(&self.other) {
            image.fill[element.set().index()] += 1;
        }
        image.fill[Set::ServiceCidrs.index()] = image.service_ranges.len() as u32;
        image.fill[Set::LocalSources.index()] = image.local_sources.len() as u32;
    }

    fn assemble(self, image: &mut Image) -> Result<(), Deviation> {
        let known = Known::new(&self)?;
        let mut timeouts = BTreeMap::new();
        for (frontend, mut elements) in self.own {
            match known.entry(frontend, &mut elements).filter(|entry| numbers_agree(entry, image)) {
                Some(entry) => {
                    known.take_up(frontend, &entry, image);
                    timeouts.extend(entry.memory.map(|memory| (memory.timeout_s, memory.index)));
                    image.entries.insert(frontend, entry);
                }
                None => image.strays.elements.extend(elements),
            }
        }
        image.timeouts = timeouts;
        image.node_addresses = known.node_addresses;
        let members: FxHashSet<u32> = (image.pools.iter())
            .flat_map(|(id, pool)| pool.members.values().map(move |member| id | u32::from(member.number)))
            .collect();
        let fixed: FxHashSet<Element> = fixed_elements().collect();
        let is_used = |element: &Element| match element {
            Element::AffinityEndpoint { id, .. } => members.contains(id),
            Element::NodeportIp(_) => true,
            other => fixed.contains(other) || shared_of(other).is_some_and(|shared| image.shared.contains_key(&shared)),
        };
        image.strays.elements.extend(self.other.iter().filter(|element| !is_used(element)));
        image.strays.elements.sort_unstable();
        let is_idle = |chain: &&Chain| !chain.is_fixed() && !image.shared.contains_key(&Shared::Chain(**chain));
        image.strays.chains = self.chains.iter().filter(is_idle).copied().collect();
        Ok(())
    }
}

/// What frontends refer to.
struct Known {
    chains: BTreeSet<Chain>,
    dispatch: FxHashSet<Shared>,
    timeouts: FxHashMap<u8, u32>,
    hairpin: FxHashSet<IpAddr>,
    cluster_ips: FxHashSet<IpAddr>,
    node_addresses: BTreeSet<IpAddr>,
    endpoints: FxHashMap<u32, (IpAddr, u16)>,
}

impl Known {
    fn new(table: &Table) -> Result<Known, Deviation> {
        let mut known = Known {
            chains: table.chains.clone(),
            dispatch: FxHashSet::default(),
            timeouts: FxHashMap::default(),
            hairpin: FxHashSet::default(),
            cluster_ips: FxHashSet::default(),
            node_addresses: BTreeSet::new(),
            endpoints: FxHashMap::default(),
        };
        for element in &table.other {
            known.read(element).ok_or(Deviation::Elements(element.set()))?;
        }
        Ok(known)
    }

    fn read(&mut self, element: &Element) -> Option<()> {
        match *element {
            Element::Hairpin(address) => drop(self.hairpin.insert(address)),
            Element::ClusterIp(address) => drop(self.cluster_ips.insert(address)),
            Element::NodeportIp(address) => drop(self.node_addresses.insert(address)),
            Element::AffinityEndpoint { id, endpoint } => {
                self.endpoints.insert(id, (endpoint.ip(), endpoint.port()));
            }
            Element::Dispatch { branch: Branch::Random { .. } | Branch::Affinity { .. }, .. } => {
                let shared = shared_of(element)?;
                if let Shared::Dispatch {
                    branch: Branch::Affinity { index, .. },
                    chain: Chain::AffinityRandom { timeout_s, .. },
                    ..
                } = shared
                    && self.timeouts.insert(index, timeout_s).is_some_and(|other| other != timeout_s)
                {
                    return None;
                }
                self.dispatch.insert(shared);
            }
            _ => {}
        }
        Some(())
    }

    /// The Entry that these elements make up, if they make up one, and everything is there that it refers to.
    fn entry(&self, frontend: Frontend, elements: &mut [Element]) -> Option<Entry> {
        let entry = self.guess(elements)?;
        let complete = entry.shared(frontend).iter().all(|shared| match shared {
            Shared::Chain(chain) => self.chains.contains(chain),
            Shared::ClusterIp(address) => self.cluster_ips.contains(address),
            Shared::Hairpin(_) => true,
            dispatch => self.dispatch.contains(dispatch),
        });
        let mut expected = entry.elements(frontend);
        expected.sort_unstable();
        elements.sort_unstable();
        (complete && expected == elements).then_some(entry)
    }

    /// An Entry after the codes; whether it fits all elements is for the caller to see.
    fn guess(&self, elements: &[Element]) -> Option<Entry> {
        let mut rows = Rows::default();
        elements.iter().for_each(|element| rows.read(element));
        let first = rows.codes.get(&Stage::Services)?;
        let branch = |stage| rows.codes.get(&stage).map(|code: &Code| code.branch);
        let guarded = first.branch == Branch::Guarded;
        let open = if guarded { branch(Stage::Guarded)? } else { first.branch };
        let (near, far) = match open {
            Branch::ExternalLocal => (branch(Stage::Cluster)?, Some(branch(Stage::Local)?)),
            near => (near, None),
        };
        let index = [Some(near), far].into_iter().flatten().find_map(|branch| match branch {
            Branch::Affinity { index, .. } => Some(index),
            _ => None,
        });
        let memory = match index {
            Some(index) => Some(Memory { timeout_s: *self.timeouts.get(&index)?, index }),
            None => None,
        };
        let target = |side, branch| self.target(side, branch, &rows);
        Some(Entry {
            role: first.role,
            masquerade: first.masquerade,
            sources: if guarded { Sources::Only(rows.sources.clone()) } else { Sources::Any },
            memory,
            near: target(Side::Near, near)?,
            far: far.map(|far| target(Side::Far, far)).map_or(Some(None), |far| far.map(Some))?,
        })
    }

    fn target(&self, side: Side, branch: Branch, rows: &Rows) -> Option<Target> {
        let slot = |address, port, id| Slot { address, port, local: self.hairpin.contains(&address), id };
        let rows_of = |element: &Element| match *element {
            Element::Slot { side: found, endpoint, .. } if found == side => {
                Some(slot(endpoint.ip(), endpoint.port(), 0))
            }
            Element::AffinitySlot { side: found, id, .. } if found == side => {
                let own = Some(&(id & POOL_MASK)) == rows.pools.get(&side);
                self.endpoints.get(&id).filter(|_| own).map(|(address, port)| slot(*address, *port, id))
            }
            _ => None,
        };
        match branch {
            Branch::Refuse => Some(Target::Refuse),
            Branch::Drop => Some(Target::Drop),
            Branch::Random { .. } | Branch::Affinity { .. } => {
                let slots: Vec<Slot> = rows.slots.values().filter_map(rows_of).collect();
                let pool = rows.pools.get(&side).copied().unwrap_or(0);
                (!slots.is_empty()).then_some(Target::Slots { pool, slots })
            }
            Branch::Guarded | Branch::ExternalLocal => None,
        }
    }

    /// Counts what an Entry uses.
    fn take_up(&self, frontend: Frontend, entry: &Entry, image: &mut Image) {
        for shared in entry.shared(frontend) {
            *image.shared.entry(shared).or_default() += 1;
        }
        for (_, target) in entry.targets() {
            let Target::Slots { pool: pool @ 1.., slots } = target else { continue };
            let AffinityPool { members, numbers, .. } = image.pools.entry(*pool).or_default();
            for slot in slots {
                let number = (slot.id & !POOL_MASK) as u16;
                numbers.insert(number);
                members.entry((slot.address, slot.port)).or_insert(Member { number, uses: 0 }).uses += 1;
            }
        }
    }
}

/// A frontend's elements, by what they say.
#[derive(Default)]
struct Rows {
    codes: BTreeMap<Stage, Code>,
    sources: BTreeSet<IpNet>,
    pools: BTreeMap<Side, u32>,
    slots: BTreeMap<(Side, u32), Element>,
}

impl Rows {
    fn read(&mut self, element: &Element) {
        match *element {
            Element::Code { stage, code, .. } => drop(self.codes.insert(stage, code)),
            Element::SourceRange { range, .. } => drop(self.sources.insert(range)),
            Element::AffinityId { side, pool, .. } => drop(self.pools.insert(side, pool)),
            Element::Slot { side, slot, .. } | Element::AffinitySlot { side, slot, .. } => {
                self.slots.insert((side, slot), *element);
            }
            _ => {}
        }
    }
}

fn frontend_of(element: &Element) -> Option<Frontend> {
    match element {
        Element::Code { frontend, .. }
        | Element::Slot { frontend, .. }
        | Element::SourceRange { frontend, .. }
        | Element::AffinityId { frontend, .. }
        | Element::AffinitySlot { frontend, .. } => Some(*frontend),
        _ => None,
    }
}

/// Whether no endpoint of the Entry's pools is known by another number.
fn numbers_agree(entry: &Entry, image: &Image) -> bool {
    entry.slots().all(|slot| {
        let member =
            image.pools.get(&(slot.id & POOL_MASK)).and_then(|pool| pool.members.get(&(slot.address, slot.port)));
        member.is_none_or(|member| u32::from(member.number) == slot.id & !POOL_MASK)
    })
}

/// What an element is for several frontends; none if maitred would not have written it so.
fn shared_of(element: &Element) -> Option<Shared> {
    let own_side = |stage, side| (stage == Stage::Local) == (side == Side::Far);
    match *element {
        Element::Hairpin(address) => Some(Shared::Hairpin(address)),
        Element::ClusterIp(address) => Some(Shared::ClusterIp(address)),
        Element::Dispatch { stage, branch, verdict: Verdict::Goto(chain) | Verdict::Jump(chain) } => {
            let fits = match (branch, chain) {
                (Branch::Random { n }, Chain::Random { side, n: of }) => n == of && own_side(stage, side),
                (Branch::Affinity { n, .. }, Chain::AffinityRandom { side, n: of, .. }) => {
                    n == of && own_side(stage, side)
                }
                _ => false,
            };
            Some(Shared::Dispatch { stage, branch, chain }).filter(|shared| fits && shared.element() == Some(*element))
        }
        _ => None,
    }
}

/// The ranges of a plain interval set, from where they begin and end.
fn ranges(bounds: Option<&Vec<(IpAddr, bool)>>, family: Family) -> Option<BTreeSet<IpNet>> {
    let mut bounds = bounds.cloned().unwrap_or_default();
    // At one address an end comes before a beginning.
    bounds.sort_unstable_by_key(|(address, is_end)| (*address, !is_end));
    let mut ranges = BTreeSet::new();
    let mut open: Option<IpAddr> = None;
    for (address, is_end) in bounds {
        match (open, is_end) {
            (Some(first), true) => {
                ranges.insert(range(first, previous(address)?)?);
                open = None;
            }
            (None, false) => open = Some(address),
            // Some programs mark that nothing lies before the first range.
            (None, true) => {}
            (Some(_), false) => return None,
        }
    }
    if let Some(first) = open {
        ranges.insert(range(first, highest(family))?);
    }
    Some(ranges)
}

fn previous(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_sub(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(address) => address.to_bits().checked_sub(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

fn highest(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(u32::MAX.into()),
        Family::V6 => IpAddr::V6(u128::MAX.into()),
    }
}
