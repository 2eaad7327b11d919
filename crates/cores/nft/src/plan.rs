//! From a change of the Model to the steps that carry it out.
//!
//! The cost of [`plan`] is that of the change: it looks at the frontends that the change names, and at nothing else but
//! what they share. Order within a Plan: what others will lean on, then frontends with their rows, then what nobody
//! leans on any more, so that even a Plan that is too large for one transaction can be cut anywhere between steps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use model::{Change, Destination, Family, Frontend, LocalPods, Outcome, Pool, Rule, Sources};

use crate::code::SLOTS_MAX;
use crate::draft::Draft;
use crate::element::Element;
use crate::entry::{Entry, Shared, Slot, Target, arrange};
use crate::image::{AffinityPool, Image};
use crate::operation::Operation;
use crate::rule::Detector;
use crate::set::{Set, Side};

/// The steps that carry out a change, and what cannot be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) family: Family,
    pub(crate) steps: Vec<Step>,
    pub(crate) effects: Effects,
    /// What the table cannot express, and so doesn't hold.
    pub report: Vec<Unplannable>,
}

/// An operation, and where a transaction may be cut.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub operation: Operation,
    pub cut: Cut,
}

/// Whether a transaction may, or must, end before a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut {
    /// No: the step replaces what the one before deletes.
    Never,
    /// Yes, though a frontend may be half written.
    Possible,
    /// Yes: every frontend before is complete.
    #[default]
    Good,
    /// It must: the kernel gives a set more room only at the end of a transaction.
    Needed,
}

/// What a Plan makes of its Image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    pub writes: bool,
    pub entries: Vec<(Frontend, Option<Entry>)>,
    pub shared: Vec<(Shared, u32)>,
    pub pools: Vec<(u32, Option<AffinityPool>)>,
    pub timeouts: Option<BTreeMap<u32, u8>>,
    pub detector: Option<Detector>,
    pub node_addresses: Option<BTreeSet<IpAddr>>,
    pub service_ranges: Option<BTreeSet<IpNet>>,
    pub local_sources: Option<BTreeSet<IpNet>>,
    /// Set, its size, its elements.
    pub sets: Vec<(Set, u32, u32)>,
}

/// Something that a table cannot express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject} cannot be programmed: {why}")]
pub struct Unplannable {
    /// What.
    pub subject: Subject,
    /// Why.
    pub why: Why,
}

/// A part of a Model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A frontend; the table doesn't hold it at all.
    Frontend(Frontend),
    /// A node address that is left out.
    NodeAddress(IpAddr),
    /// A Service range that is left out.
    ServiceRange(IpNet),
    /// A Pod range that is left out.
    PodRange(IpNet),
    /// The local-traffic detector: no packet counts as a local Pod's.
    LocalPods,
}

/// Why something cannot be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Families don't mix.
    #[error("an address of the other IP family")]
    OtherFamily,
    /// The zero address stands for the node.
    #[error("the zero address is no destination")]
    ZeroAddress,
    /// Port 0.
    #[error("port 0 is no port")]
    ZeroPort,
    /// Source ranges guard virtual addresses only (S-316).
    #[error("source ranges on a node port")]
    GuardedNodePort,
    /// A pool is never empty.
    #[error("a pool without endpoints")]
    EmptyPool,
    /// Codes have 18 bits for the number of slots.
    #[error("more than {SLOTS_MAX} slots")]
    TooManySlots,
    /// Endpoint ids have 14 bits for an endpoint's number in its pool.
    #[error("more than {} endpoints with session affinity", crate::affinity::MEMBERS_MAX)]
    TooManyMembers,
    /// Endpoint ids have 18 bits for the pool.
    #[error("more than {} pools with session affinity", crate::affinity::POOLS_MAX)]
    TooManyPools,
    /// Codes have 8 bits for the timeout.
    #[error("more than 256 different affinity timeouts")]
    TooManyTimeouts,
    /// Linux allows 15 bytes.
    #[error("not the name of an interface")]
    InterfaceName,
}

/// The steps from what a table holds to what it is to hold.
///
/// ```
/// use model::{Change, Family, Model};
///
/// let image = nft::Image::absent(Family::V4);
/// let plan = nft::plan(&Change::default(), &image);
/// assert!(plan.to_string().starts_with("add table ip maitred\n"));
/// ```
pub fn plan(change: &Change, image: &Image) -> Plan {
    let mut draft = Draft::new(image);
    if let Some(local_pods) = &change.local_pods {
        set_local_pods(&mut draft, local_pods);
    }
    if let Some(addresses) = &change.node_addresses {
        set_node_addresses(&mut draft, addresses);
    }
    if let Some(ranges) = &change.service_ranges {
        let ranges = own_family(&mut draft, ranges, Subject::ServiceRange);
        draft.set_service_ranges(ranges);
    }
    for (frontend, rule) in &change.frontends {
        let entry = rule.as_ref().map(|rule| entry(&mut draft, *frontend, rule)).transpose();
        let entry = entry.unwrap_or_else(|why| {
            draft.report(Subject::Frontend(*frontend), why);
            None
        });
        draft.set_entry(*frontend, entry);
    }
    draft.finish()
}

fn set_local_pods(draft: &mut Draft, local_pods: &LocalPods) {
    let name_is_valid = |name: &String| {
        (1..=15).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    };
    let (detector, ranges) = match local_pods {
        LocalPods::Ranges(ranges) => (Detector::Ranges, own_family(draft, ranges, Subject::PodRange)),
        LocalPods::Interface(name) | LocalPods::InterfacePrefix(name) if !name_is_valid(name) => {
            draft.report(Subject::LocalPods, Why::InterfaceName);
            (Detector::None, BTreeSet::new())
        }
        other => (Detector::of(other), BTreeSet::new()),
    };
    draft.set_detector(detector, ranges);
}

fn set_node_addresses(draft: &mut Draft, addresses: &BTreeSet<IpAddr>) {
    let (own, other): (BTreeSet<_>, BTreeSet<_>) =
        addresses.iter().copied().partition(|address| Family::of(*address) == draft.family());
    for address in other {
        draft.report(Subject::NodeAddress(address), Why::OtherFamily);
    }
    draft.set_node_addresses(own);
}

/// Those ranges that are of the table's family, as the kernel takes them: none overlaps another.
fn own_family(draft: &mut Draft, ranges: &BTreeSet<IpNet>, subject: fn(IpNet) -> Subject) -> BTreeSet<IpNet> {
    let (own, other): (Vec<_>, Vec<_>) = ranges.iter().partition(|range| Family::of_net(range) == draft.family());
    for range in other {
        draft.report(subject(range), Why::OtherFamily);
    }
    IpNet::aggregate(&own).into_iter().collect()
}

fn entry(draft: &mut Draft, frontend: Frontend, rule: &Rule) -> Result<Entry, Why> {
    match frontend.destination {
        Destination::Address(address) if Family::of(address) != draft.family() => return Err(Why::OtherFamily),
        Destination::Address(address) if address.is_unspecified() => return Err(Why::ZeroAddress),
        Destination::Node if rule.sources != Sources::Any => return Err(Why::GuardedNodePort),
        _ => {}
    }
    if frontend.port == 0 {
        return Err(Why::ZeroPort);
    }
    let leads_to_pool = [&rule.near, &rule.far].into_iter().any(|outcome| matches!(outcome, Outcome::Pool(_)));
    let affinity = rule.affinity.filter(|_| leads_to_pool);
    let memory = affinity.map(|affinity| draft.memory(affinity.timeout_s)).transpose()?;
    let near = target(draft, frontend, Side::Near, &rule.near, memory.is_some())?;
    let far = match same_for_all(rule, memory.is_some()) {
        true => None,
        false => Some(target(draft, frontend, Side::Far, &rule.far, memory.is_some())?),
    };
    let sources = sources(&rule.sources, draft.family())?;
    Ok(Entry { role: rule.role, masquerade: rule.masquerade, sources, memory, near, far })
}

/// Whether near and far clients get the same. With affinity the Local and the Cluster set remember apart (S-324), even
/// while they hold the same endpoints.
fn same_for_all(rule: &Rule, remembers: bool) -> bool {
    rule.near == rule.far
        && match (&rule.near, &rule.far) {
            (Outcome::Pool(near), Outcome::Pool(far)) => !remembers || near.name == far.name,
            _ => true,
        }
}

fn sources(sources: &Sources, family: Family) -> Result<Sources, Why> {
    match sources {
        Sources::Any => Ok(Sources::Any),
        Sources::Only(ranges) if ranges.iter().any(|range| Family::of_net(range) != family) => Err(Why::OtherFamily),
        Sources::Only(ranges) => {
            let ranges: Vec<IpNet> = ranges.iter().copied().collect();
            Ok(Sources::Only(IpNet::aggregate(&ranges).into_iter().collect()))
        }
    }
}

fn target(
    draft: &mut Draft,
    frontend: Frontend,
    side: Side,
    outcome: &Outcome,
    remembers: bool,
) -> Result<Target, Why> {
    match outcome {
        Outcome::Reject => Ok(Target::Refuse),
        Outcome::Drop => Ok(Target::Drop),
        Outcome::Pool(pool) => slots(draft, frontend, side, pool, remembers),
    }
}

fn slots(draft: &mut Draft, frontend: Frontend, side: Side, named: &Pool, remembers: bool) -> Result<Target, Why> {
    let total: u64 = named.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    if total == 0 {
        return Err(Why::EmptyPool);
    }
    if total > u64::from(SLOTS_MAX) {
        return Err(Why::TooManySlots);
    }
    if named.endpoints.iter().any(|endpoint| Family::of(endpoint.address) != draft.family()) {
        return Err(Why::OtherFamily);
    }
    let (old_pool, old) = draft.old_slots(&frontend, side);
    let pool = if remembers { draft.pool(&named.name, old_pool)? } else { 0 };
    let wanted = named
        .endpoints
        .iter()
        .map(|endpoint| {
            let id = if remembers { draft.member(pool, endpoint.address, endpoint.port)? } else { 0 };
            let slot = Slot { address: endpoint.address, port: endpoint.port, local: endpoint.local, id };
            Ok((slot, endpoint.weight))
        })
        .collect::<Result<Vec<_>, Why>>()?;
    Ok(Target::Slots { pool, slots: arrange(old, &wanted) })
}

impl Plan {
    /// Which family's table it changes.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many elements are added, and how many deleted one by one.
    pub fn elements(&self) -> (usize, usize) {
        self.steps.iter().fold((0, 0), |(added, deleted), step| match &step.operation {
            Operation::AddElements { elements, .. } => (added + elements.len(), deleted),
            Operation::DeleteElements { elements, .. } => (added, deleted + elements.len()),
            _ => (added, deleted),
        })
    }

    /// What one step does, as text; steps are numbered from 0.
    pub fn step_text(&self, step: usize) -> Option<String> {
        let mut text = String::new();
        self.steps.get(step)?.operation.write(&mut text, self.family).ok()?;
        Some(text)
    }

    /// Every element that is added, in order.
    pub fn added(&self) -> impl Iterator<Item = &Element> {
        self.steps.iter().flat_map(|step| match &step.operation {
            Operation::AddElements { elements, .. } => elements.as_slice(),
            _ => &[],
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| step.operation.write(out, self.family))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Frontend(frontend) => write!(out, "frontend {frontend}"),
            Subject::NodeAddress(address) => write!(out, "node address {address}"),
            Subject::ServiceRange(range) => write!(out, "Service range {range}"),
            Subject::PodRange(range) => write!(out, "Pod range {range}"),
            Subject::LocalPods => out.write_str("local-traffic detector"),
        }
    }
}
