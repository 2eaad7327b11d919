//! What a table holds for one frontend, and the elements in which it holds it.
//!
//! A rule asks up to three questions, and each has its stage: may the source come in (`guarded`), is the client near or
//! far (`external-local`), which slot. A frontend's elements follow from its Entry alone; what it shares with other
//! frontends (chains, cluster IPs, hairpin addresses) is named by [`Entry::shared`] and counted by the Image.

use std::net::{IpAddr, SocketAddr};

use model::{Destination, Frontend, Masquerade, Role, Sources};

use crate::chain::{Chain, Verdict};
use crate::code::{Branch, Code};
use crate::element::Element;
use crate::set::{Side, Stage};

/// What a table holds for one frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub role: Role,
    pub masquerade: Masquerade,
    pub sources: Sources,
    pub memory: Option<Memory>,
    pub near: Target,
    /// None where far clients get what near ones get.
    pub far: Option<Target>,
}

/// How long clients are remembered, and the index that stands for it in codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub timeout_s: u32,
    pub index: u8,
}

/// What one side's clients get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Refuse,
    Drop,
    /// One of these slots; never empty. `pool` is zero without affinity.
    Slots {
        pool: u32,
        slots: Vec<Slot>,
    },
}

/// An endpoint under a number. A weight is an endpoint in several slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub address: IpAddr,
    pub port: u16,
    pub local: bool,
    /// The endpoint's affinity id; zero without affinity.
    pub id: u32,
}

impl Slot {
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// Something that several frontends need, and that exists as long as one of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Shared {
    /// A chain, after the chains that it leads to.
    Chain(Chain),
    Dispatch {
        stage: Stage,
        branch: Branch,
        chain: Chain,
    },
    Hairpin(IpAddr),
    ClusterIp(IpAddr),
}

impl Shared {
    /// The element, unless it is a chain.
    pub fn element(&self) -> Option<Element> {
        match *self {
            Shared::Chain(_) => None,
            Shared::Dispatch { stage, branch, chain } => {
                Some(Element::Dispatch { stage, branch, verdict: Verdict::dispatch(stage, chain) })
            }
            Shared::Hairpin(address) => Some(Element::Hairpin(address)),
            Shared::ClusterIp(address) => Some(Element::ClusterIp(address)),
        }
    }
}

impl Target {
    pub fn branch(&self, memory: Option<Memory>) -> Branch {
        match (self, memory) {
            (Target::Refuse, _) => Branch::Refuse,
            (Target::Drop, _) => Branch::Drop,
            (Target::Slots { slots, .. }, None) => Branch::Random { n: slots.len() as u32 },
            (Target::Slots { slots, .. }, Some(Memory { index, .. })) => {
                Branch::Affinity { index, n: slots.len() as u32 }
            }
        }
    }

    pub fn slots(&self) -> &[Slot] {
        match self {
            Target::Slots { slots, .. } => slots,
            _ => &[],
        }
    }
}

impl Entry {
    pub fn is_guarded(&self) -> bool {
        self.sources != Sources::Any
    }

    /// Both sides' targets.
    pub fn targets(&self) -> impl Iterator<Item = (Side, &Target)> {
        [(Side::Near, &self.near)].into_iter().chain(self.far.as_ref().map(|far| (Side::Far, far)))
    }

    /// Every slot of both sides.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.targets().flat_map(|(_, target)| target.slots())
    }

    /// The elements that are this frontend's own.
    pub fn elements(&self, frontend: Frontend) -> Vec<Element> {
        let near = self.near.branch(self.memory);
        let open = if self.far.is_some() { Branch::ExternalLocal } else { near };
        let first = if self.is_guarded() { Branch::Guarded } else { open };
        let code = Code { branch: first, masquerade: self.masquerade, role: self.role };
        let mut elements = vec![Element::Code { stage: Stage::Services, frontend, code }];
        if let Sources::Only(ranges) = &self.sources {
            elements.push(Element::later_code(Stage::Guarded, frontend, open));
            elements.extend(ranges.iter().map(|range| Element::SourceRange { frontend, range: *range }));
        }
        if let Some(far) = &self.far {
            elements.push(Element::later_code(Stage::Cluster, frontend, near));
            elements.push(Element::later_code(Stage::Local, frontend, far.branch(self.memory)));
        }
        for (side, target) in self.targets() {
            self.rows(frontend, side, target, &mut elements);
        }
        elements
    }

    fn rows(&self, frontend: Frontend, side: Side, target: &Target, elements: &mut Vec<Element>) {
        let Target::Slots { pool, slots } = target else { return };
        if self.memory.is_some() {
            elements.push(Element::AffinityId { side, frontend, pool: *pool });
        }
        elements.extend(slots.iter().zip(0..).map(|(row, slot)| match self.memory {
            Some(_) => Element::AffinitySlot { side, frontend, slot, id: row.id },
            None => Element::Slot { side, frontend, slot, endpoint: row.socket() },
        }));
    }

    /// What this frontend needs beside its own elements; some of it several times.
    pub fn shared(&self, frontend: Frontend) -> Vec<Shared> {
        let mut shared: Vec<Shared> =
            self.slots().filter(|slot| slot.local).map(|slot| Shared::Hairpin(slot.address)).collect();
        if let (Role::ClusterIp, Destination::Address(address)) = (self.role, frontend.destination) {
            shared.push(Shared::ClusterIp(address));
        }
        let near_stage = match (&self.far, self.is_guarded()) {
            (Some(_), _) => Stage::Cluster,
            (None, true) => Stage::Guarded,
            (None, false) => Stage::Services,
        };
        for (side, target) in self.targets() {
            let stage = if side == Side::Near { near_stage } else { Stage::Local };
            let branch = target.branch(self.memory);
            let chain = match (branch, self.memory) {
                (Branch::Random { n }, _) => Chain::Random { side, n },
                (Branch::Affinity { n, .. }, Some(Memory { timeout_s, .. })) => {
                    shared.push(Shared::Chain(Chain::Affinity { side, timeout_s }));
                    shared.push(Shared::Chain(Chain::AffinityPick { side, timeout_s }));
                    Chain::AffinityRandom { side, timeout_s, n }
                }
                _ => continue,
            };
            shared.push(Shared::Chain(chain));
            shared.push(Shared::Dispatch { stage, branch, chain });
        }
        shared
    }
}

/// Puts endpoints into slots so that as few slots as possible change: who has a slot keeps it, newcomers take what is
/// free, and holes that are left are filled from the end.
pub(crate) fn arrange(old: &[Slot], wanted: &[(Slot, u16)]) -> Vec<Slot> {
    let total = wanted.iter().map(|(_, weight)| usize::from(*weight)).sum::<usize>();
    let mut missing: Vec<(Slot, u16)> = wanted.to_vec();
    missing.sort_unstable_by_key(|(slot, _)| (slot.address, slot.port));
    let mut slots: Vec<Option<Slot>> = old.iter().map(|slot| take(&mut missing, slot)).collect();
    slots.resize(slots.len().max(total), None);
    let mut newcomers =
        missing.into_iter().flat_map(|(slot, weight)| std::iter::repeat_n(slot, usize::from(weight))).peekable();
    for hole in slots.iter_mut().filter(|slot| slot.is_none()) {
        *hole = newcomers.next();
    }
    while slots.len() > total {
        let last = slots.pop().flatten();
        if let (Some(last), Some(hole)) = (last, slots.iter_mut().find(|slot| slot.is_none())) {
            *hole = Some(last);
        }
    }
    slots.into_iter().flatten().collect()
}

/// The wanted slot of the same endpoint, if it isn't used up.
fn take(missing: &mut [(Slot, u16)], old: &Slot) -> Option<Slot> {
    let key = |slot: &Slot| (slot.address, slot.port);
    let at = missing.binary_search_by_key(&key(old), |(slot, _)| key(slot)).ok()?;
    let (slot, left) = &mut missing[at];
    *left = left.checked_sub(1)?;
    Some(*slot)
}
