//! The elements of a table's sets and maps, as values, as text, and as keys and data.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use model::{Family, Frontend, Masquerade, Role};

use crate::chain::{Chain, Verdict};
use crate::code::{Branch, Code, class_word, classid};
use crate::expression::{decode_verdict, value_of};
use crate::key::{Fields, Value, key_address, low_bits};
use crate::set::{Set, Side, Stage};

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// A frontend's code at one stage.
    Code {
        /// Where it is asked for.
        stage: Stage,
        /// Whose.
        frontend: Frontend,
        /// What becomes of the packet.
        code: Code,
    },
    /// An endpoint in a slot.
    Slot {
        /// Near or far clients.
        side: Side,
        /// Whose.
        frontend: Frontend,
        /// Its number, from 0.
        slot: u32,
        /// Where the slot leads.
        endpoint: SocketAddr,
    },
    /// A range of clients that may come in.
    SourceRange {
        /// Whose.
        frontend: Frontend,
        /// Which clients.
        range: IpNet,
    },
    /// The pool whose memory a frontend shares.
    AffinityId {
        /// Near or far clients.
        side: Side,
        /// Whose.
        frontend: Frontend,
        /// The pool's id, in the high 18 bits.
        pool: u32,
    },
    /// An endpoint id in a slot.
    AffinitySlot {
        /// Near or far clients.
        side: Side,
        /// Whose.
        frontend: Frontend,
        /// Its number, from 0.
        slot: u32,
        /// The endpoint's id: its pool's and a number in the low 14 bits.
        id: u32,
    },
    /// The endpoint with an id.
    AffinityEndpoint {
        /// The endpoint's id.
        id: u32,
        /// Where it is.
        endpoint: SocketAddr,
    },
    /// Where a branch leads at one stage.
    Dispatch {
        /// At which.
        stage: Stage,
        /// Which branch.
        branch: Branch,
        /// Where to.
        verdict: Verdict,
    },
    /// The chain of a shard.
    Shard(u8),
    /// The chain of a masquerade class.
    Class(Masquerade),
    /// A node address that accepts node ports.
    NodeportIp(IpAddr),
    /// A cluster IP.
    ClusterIp(IpAddr),
    /// The address of a local endpoint.
    Hairpin(IpAddr),
    /// A Service range.
    ServiceCidr(IpNet),
    /// A range of this node's Pods.
    LocalSource(IpNet),
}

impl Element {
    /// A stage after the first knows only branches.
    pub(crate) fn later_code(stage: Stage, frontend: Frontend, branch: Branch) -> Element {
        let code = Code { branch, masquerade: Masquerade::Never, role: Role::ClusterIp };
        Element::Code { stage, frontend, code }
    }

    /// The set it belongs to.
    pub fn set(&self) -> Set {
        match self {
            Element::Code { stage, .. } => Set::Frontends(*stage),
            Element::Slot { side, frontend, .. } => Set::endpoints_of(frontend, *side),
            Element::SourceRange { .. } => Set::SourceRanges,
            Element::AffinityId { side, .. } => Set::AffinityIds(*side),
            Element::AffinitySlot { side, .. } => Set::AffinitySlots(*side),
            Element::AffinityEndpoint { .. } => Set::AffinityEndpoints,
            Element::Dispatch { stage, .. } => Set::Dispatch(*stage),
            Element::Shard(_) => Set::Shards,
            Element::Class(_) => Set::Masq,
            Element::NodeportIp(_) => Set::NodeportIps,
            Element::ClusterIp(_) => Set::ClusterIps,
            Element::Hairpin(_) => Set::Hairpin,
            Element::ServiceCidr(_) => Set::ServiceCidrs,
            Element::LocalSource(_) => Set::LocalSources,
        }
    }

    /// The key; of a range its beginning.
    pub(crate) fn key(&self, family: Family) -> Value {
        let key = Value::new();
        match *self {
            Element::Code { frontend, .. } | Element::AffinityId { frontend, .. } => key.frontend(&frontend, family),
            Element::Slot { frontend, slot, .. } | Element::AffinitySlot { frontend, slot, .. } => {
                key.frontend(&frontend, family).word(slot)
            }
            Element::SourceRange { frontend, range } => key.frontend(&frontend, family).address(range.network()),
            Element::AffinityEndpoint { id, .. } => key.word(id),
            Element::Dispatch { branch, .. } => key.word(branch.word()),
            Element::Shard(shard) => key.address(low_bits(family, shard)),
            Element::Class(class) => key.word(class_word(class)),
            Element::NodeportIp(address) | Element::ClusterIp(address) => key.address(address),
            Element::Hairpin(address) => key.address(address).address(address),
            Element::ServiceCidr(range) | Element::LocalSource(range) => key.address(range.network()),
        }
    }

    /// The last key that a range covers, if this is a range.
    pub(crate) fn last_key(&self, family: Family) -> Option<Value> {
        match *self {
            Element::SourceRange { frontend, range } => {
                Some(Value::new().frontend(&frontend, family).address(range.broadcast()))
            }
            Element::ServiceCidr(range) | Element::LocalSource(range) => Some(Value::new().address(range.broadcast())),
            _ => None,
        }
    }

    /// The value that a map holds under the key.
    pub(crate) fn value(&self) -> Option<Value> {
        let value = Value::new();
        match *self {
            Element::Code { code, .. } => Some(value.word(code.word())),
            Element::Slot { endpoint, .. } | Element::AffinityEndpoint { endpoint, .. } => Some(value.socket(endpoint)),
            Element::AffinityId { pool, .. } => Some(value.word(pool)),
            Element::AffinitySlot { id, .. } => Some(value.word(id)),
            _ => None,
        }
    }

    /// The verdict that a verdict map holds under the key.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        match *self {
            Element::Dispatch { verdict, .. } => Some(verdict),
            Element::Shard(shard) => Some(Verdict::Jump(Chain::PickShard(shard))),
            Element::Class(Masquerade::Always) => Some(Verdict::Goto(Chain::MasqAlways)),
            Element::Class(Masquerade::UnlessLocalPod) => Some(Verdict::Goto(Chain::MasqUnlessLocalPod)),
            Element::Class(Masquerade::OnlyHost) => Some(Verdict::Goto(Chain::MasqOnlyHost)),
            _ => None,
        }
    }

    /// The element of this set with this key and data. Ranges of plain interval sets are put together by `observe`.
    pub(crate) fn decode(set: Set, family: Family, key: &[u8], last: Option<&[u8]>, data: &[u8]) -> Option<Element> {
        let mut keys = Fields::new(key, family);
        let mut values = Fields::new(value_of(data).unwrap_or_default(), family);
        let element = match set {
            Set::Frontends(stage) => {
                let (frontend, code) = (keys.frontend()?, Code::from_word(values.word()?)?);
                Element::Code { stage, frontend, code }
            }
            Set::Endpoints(_) | Set::EndpointsNodeport | Set::EndpointsLocal => {
                let side = if set == Set::EndpointsLocal { Side::Far } else { Side::Near };
                let (frontend, slot) = (keys.frontend()?, keys.word()?);
                Element::Slot { side, frontend, slot, endpoint: values.socket()? }
            }
            Set::SourceRanges => {
                let (frontend, first) = (keys.frontend()?, keys.address()?);
                let mut lasts = Fields::new(last?, family);
                let range = range(first, (lasts.frontend()? == frontend).then(|| lasts.address()).flatten()?)?;
                Element::SourceRange { frontend, range }
            }
            Set::AffinityIds(side) => Element::AffinityId { side, frontend: keys.frontend()?, pool: values.word()? },
            Set::AffinitySlots(side) => {
                let (frontend, slot) = (keys.frontend()?, keys.word()?);
                Element::AffinitySlot { side, frontend, slot, id: values.word()? }
            }
            Set::AffinityEndpoints => Element::AffinityEndpoint { id: keys.word()?, endpoint: values.socket()? },
            Set::Dispatch(stage) => {
                let branch = Branch::from_word(keys.word()?)?;
                Element::Dispatch { stage, branch, verdict: decode_verdict(data)? }
            }
            Set::Shards => {
                let address = keys.address()?;
                let shard = (0..16).find(|shard| low_bits(family, *shard) == address)?;
                let element = Element::Shard(shard);
                (decode_verdict(data) == element.verdict()).then_some(element)?
            }
            Set::Masq => {
                let word = keys.word()?;
                let classes = [Masquerade::Always, Masquerade::UnlessLocalPod, Masquerade::OnlyHost];
                let element = Element::Class(classes.into_iter().find(|class| class_word(*class) == word)?);
                (decode_verdict(data) == element.verdict()).then_some(element)?
            }
            Set::NodeportIps => Element::NodeportIp(keys.address()?),
            Set::ClusterIps => Element::ClusterIp(keys.address()?),
            Set::Hairpin => {
                let address = keys.address()?;
                (keys.address()? == address).then_some(Element::Hairpin(address))?
            }
            Set::ServiceCidrs | Set::LocalSources | Set::Affinity => return None,
        };
        (keys.is_empty() && values.is_empty() && element.set() == set).then_some(element)
    }

    /// As `nft` would print it.
    pub(crate) fn text(&self, family: Family) -> String {
        let key = |frontend: &Frontend| {
            format!("{} . {} . {}", key_address(frontend, family), frontend.protocol, frontend.port)
        };
        let socket = |socket: &SocketAddr| format!("{} . {}", socket.ip(), socket.port());
        match self {
            Element::Code { frontend, code, .. } => format!("{} : {}", key(frontend), classid(code.word())),
            Element::Slot { frontend, slot, endpoint, .. } => {
                format!("{} . {} : {}", key(frontend), classid(*slot), socket(endpoint))
            }
            Element::SourceRange { frontend, range } => format!("{} . {range}", key(frontend)),
            Element::AffinityId { frontend, pool, .. } => format!("{} : {}", key(frontend), classid(*pool)),
            Element::AffinitySlot { frontend, slot, id, .. } => {
                format!("{} . {} : {}", key(frontend), classid(*slot), classid(*id))
            }
            Element::AffinityEndpoint { id, endpoint } => format!("{} : {}", classid(*id), socket(endpoint)),
            Element::Dispatch { branch, verdict, .. } => format!("{} : {verdict}", classid(branch.word())),
            Element::Shard(shard) => {
                format!("{} : {}", low_bits(family, *shard), Verdict::Jump(Chain::PickShard(*shard)))
            }
            Element::Class(class) => {
                format!("{} : {}", classid(class_word(*class)), self.verdict().unwrap_or(Verdict::Return))
            }
            Element::NodeportIp(address) | Element::ClusterIp(address) => address.to_string(),
            Element::Hairpin(address) => format!("{address} . {address}"),
            Element::ServiceCidr(range) | Element::LocalSource(range) => range.to_string(),
        }
    }
}

/// The range from the first to the last address, if it is one of CIDR notation.
pub(crate) fn range(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let (bits, length) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => ((first.to_bits() ^ last.to_bits()).leading_zeros(), 32),
        (IpAddr::V6(first), IpAddr::V6(last)) => ((first.to_bits() ^ last.to_bits()).leading_zeros(), 128),
        _ => return None,
    };
    let net = IpNet::new(first, bits.min(length) as u8).ok()?;
    (net.network() == first && net.broadcast() == last).then_some(net)
}
