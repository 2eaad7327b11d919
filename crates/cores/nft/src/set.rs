//! The sets and maps of a table: names, kinds, key and data types.

use std::fmt;

use model::{Family, Frontend};

use crate::key::shard;

/// The four places where a code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Every packet.
    Services,
    /// After the source ranges.
    Guarded,
    /// Near clients of a frontend that tells near from far.
    Cluster,
    /// Far clients of such a frontend.
    Local,
}

impl Stage {
    /// All four.
    pub(crate) const ALL: [Stage; 4] = [Stage::Services, Stage::Guarded, Stage::Cluster, Stage::Local];

    fn suffix(self) -> &'static str {
        match self {
            Stage::Services => "",
            Stage::Guarded => "-guarded",
            Stage::Cluster => "-cluster",
            Stage::Local => "-local",
        }
    }
}

/// Which of a frontend's two pools rows belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// That of near clients, and of all clients where they aren't told apart.
    Near,
    /// That of far clients.
    Far,
}

impl Side {
    /// Both.
    pub(crate) const BOTH: [Side; 2] = [Side::Near, Side::Far];

    /// What names of the far side carry.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Side::Near => "",
            Side::Far => "-local",
        }
    }
}

/// A set or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// Frontend to code.
    Frontends(Stage),
    /// Code to chain.
    Dispatch(Stage),
    /// Frontend and slot to endpoint, for virtual addresses with these low 4 bits.
    Endpoints(u8),
    /// The same for node ports.
    EndpointsNodeport,
    /// The same for far clients.
    EndpointsLocal,
    /// The low 4 bits of the destination to the chain that asks their map.
    Shards,
    /// Frontend and allowed sources.
    SourceRanges,
    /// Client and pool to endpoint id: the memory. The kernel fills it.
    Affinity,
    /// Frontend to pool.
    AffinityIds(Side),
    /// Frontend and slot to endpoint id.
    AffinitySlots(Side),
    /// Endpoint id to endpoint.
    AffinityEndpoints,
    /// Masquerade class to chain.
    Masq,
    /// The node addresses that accept node ports.
    NodeportIps,
    /// The cluster IPs.
    ClusterIps,
    /// Local endpoints, as source and destination.
    Hairpin,
    /// The Service ranges.
    ServiceCidrs,
    /// The ranges of this node's Pods.
    LocalSources,
}

/// How a set is kept by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A hash table with room for this many elements at least.
    Sized(u32),
    /// A few elements, never resized.
    Small,
    /// Ranges.
    Interval,
    /// Ranges in the last field of a concatenation.
    ConcatInterval,
    /// Filled by packets, up to this many elements.
    Dynamic(u32),
}

/// Types as the `nft` program numbers them; they only make listings readable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Address,
    Protocol,
    Port,
    Word,
}

impl Field {
    pub fn number(self, family: Family) -> u32 {
        match (self, family) {
            (Field::Address, Family::V4) => 7,
            (Field::Address, Family::V6) => 8,
            (Field::Protocol, _) => 12,
            (Field::Port, _) => 13,
            (Field::Word, _) => 23,
        }
    }

    /// In bytes, padding included.
    pub fn size(self, family: Family) -> u32 {
        match (self, family) {
            (Field::Address, Family::V6) => 16,
            _ => 4,
        }
    }

    /// In bytes, as the set's description wants it.
    pub fn size_unpadded(self, family: Family) -> u32 {
        match self {
            Field::Protocol => 1,
            Field::Port => 2,
            _ => self.size(family),
        }
    }

    fn name(self, family: Family) -> &'static str {
        match (self, family) {
            (Field::Address, Family::V4) => "ipv4_addr",
            (Field::Address, Family::V6) => "ipv6_addr",
            (Field::Protocol, _) => "inet_proto",
            (Field::Port, _) => "inet_service",
            (Field::Word, _) => "classid",
        }
    }
}

/// What a set's elements hold beside the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Nothing,
    Verdict,
    Fields(&'static [Field]),
}

/// How many sets a table has.
pub(crate) const SETS: usize = 40;

impl Set {
    /// Every set, in the order in which they are made.
    pub(crate) fn all() -> impl Iterator<Item = Set> {
        let stages = Stage::ALL.into_iter();
        let sides = Side::BOTH.into_iter();
        (stages.clone().map(Set::Frontends))
            .chain(stages.map(Set::Dispatch))
            .chain((0..16).map(Set::Endpoints))
            .chain([Set::EndpointsNodeport, Set::EndpointsLocal, Set::Shards, Set::SourceRanges, Set::Affinity])
            .chain(sides.clone().map(Set::AffinityIds))
            .chain(sides.map(Set::AffinitySlots))
            .chain([Set::AffinityEndpoints, Set::Masq, Set::NodeportIps, Set::ClusterIps, Set::Hairpin])
            .chain([Set::ServiceCidrs, Set::LocalSources])
    }

    /// The set's place in [`Set::all`].
    pub(crate) fn index(self) -> usize {
        match self {
            Set::Frontends(stage) => stage as usize,
            Set::Dispatch(stage) => 4 + stage as usize,
            Set::Endpoints(shard) => 8 + usize::from(shard & 15),
            Set::EndpointsNodeport => 24,
            Set::EndpointsLocal => 25,
            Set::Shards => 26,
            Set::SourceRanges => 27,
            Set::Affinity => 28,
            Set::AffinityIds(side) => 29 + side as usize,
            Set::AffinitySlots(side) => 31 + side as usize,
            Set::AffinityEndpoints => 33,
            Set::Masq => 34,
            Set::NodeportIps => 35,
            Set::ClusterIps => 36,
            Set::Hairpin => 37,
            Set::ServiceCidrs => 38,
            Set::LocalSources => 39,
        }
    }

    /// The set with this name.
    pub(crate) fn parse(name: &str) -> Option<Set> {
        Set::all().find(|set| set.to_string() == name)
    }

    /// The map that holds a frontend's endpoints.
    pub(crate) fn endpoints_of(frontend: &Frontend, side: Side) -> Set {
        match (side, shard(frontend)) {
            (Side::Far, _) => Set::EndpointsLocal,
            (Side::Near, Some(shard)) => Set::Endpoints(shard),
            (Side::Near, None) => Set::EndpointsNodeport,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Set::Frontends(Stage::Services) => Kind::Sized(4096),
            Set::Endpoints(_) | Set::EndpointsNodeport => Kind::Sized(1024),
            Set::Frontends(_) | Set::EndpointsLocal | Set::ClusterIps | Set::Hairpin => Kind::Sized(1024),
            Set::AffinityIds(_) | Set::AffinitySlots(_) | Set::AffinityEndpoints => Kind::Sized(1024),
            Set::NodeportIps => Kind::Sized(64),
            Set::Dispatch(_) | Set::Shards | Set::Masq => Kind::Small,
            Set::SourceRanges => Kind::ConcatInterval,
            Set::Affinity => Kind::Dynamic(1 << 18),
            Set::ServiceCidrs | Set::LocalSources => Kind::Interval,
        }
    }

    pub(crate) fn key(self) -> &'static [Field] {
        use Field::{Address, Port, Protocol, Word};
        match self {
            Set::Frontends(_) | Set::AffinityIds(_) => &[Address, Protocol, Port],
            Set::Endpoints(_) | Set::EndpointsNodeport | Set::EndpointsLocal | Set::AffinitySlots(_) => {
                &[Address, Protocol, Port, Word]
            }
            Set::SourceRanges => &[Address, Protocol, Port, Address],
            Set::Affinity => &[Address, Word],
            Set::Dispatch(_) | Set::AffinityEndpoints | Set::Masq => &[Word],
            Set::Hairpin => &[Address, Address],
            Set::Shards | Set::NodeportIps | Set::ClusterIps | Set::ServiceCidrs | Set::LocalSources => &[Address],
        }
    }

    pub(crate) fn data(self) -> Data {
        use Field::{Address, Port, Word};
        match self {
            Set::Frontends(_) | Set::Affinity | Set::AffinityIds(_) | Set::AffinitySlots(_) => Data::Fields(&[Word]),
            Set::Endpoints(_) | Set::EndpointsNodeport | Set::EndpointsLocal | Set::AffinityEndpoints => {
                Data::Fields(&[Address, Port])
            }
            Set::Dispatch(_) | Set::Shards | Set::Masq => Data::Verdict,
            Set::SourceRanges | Set::NodeportIps | Set::ClusterIps | Set::Hairpin => Data::Nothing,
            Set::ServiceCidrs | Set::LocalSources => Data::Nothing,
        }
    }

    /// The declaration as `nft` would print it.
    pub(crate) fn declaration(self, family: Family, size: u32) -> String {
        let fields = |list: &[Field]| list.iter().map(|field| field.name(family)).collect::<Vec<_>>().join(" . ");
        let data = match self.data() {
            Data::Nothing => String::new(),
            Data::Verdict => " : verdict".into(),
            Data::Fields(list) => format!(" : {}", fields(list)),
        };
        let flags = match self.kind() {
            Kind::Sized(_) => format!(" size {size};"),
            Kind::Small => String::new(),
            Kind::Interval | Kind::ConcatInterval => " flags interval;".into(),
            Kind::Dynamic(_) => format!(" size {size}; flags dynamic,timeout;"),
        };
        let word = if data.is_empty() { "set" } else { "map" };
        format!("{word} {} {self} {{ type {}{data};{flags} }}", table(family), fields(self.key()))
    }
}

/// Family and name of the table, as `nft` wants them.
pub(crate) fn table(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip maitred",
        Family::V6 => "ip6 maitred",
    }
}

impl fmt::Display for Set {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Set::Frontends(stage) => write!(out, "frontends{}", stage.suffix()),
            Set::Dispatch(stage) => write!(out, "dispatch{}", stage.suffix()),
            Set::Endpoints(shard) => write!(out, "endpoints-{shard}"),
            Set::EndpointsNodeport => out.write_str("endpoints-nodeport"),
            Set::EndpointsLocal => out.write_str("endpoints-local"),
            Set::Shards => out.write_str("shards"),
            Set::SourceRanges => out.write_str("source-ranges"),
            Set::Affinity => out.write_str("affinity"),
            Set::AffinityIds(side) => write!(out, "affinity-ids{}", side.suffix()),
            Set::AffinitySlots(side) => write!(out, "affinity-slots{}", side.suffix()),
            Set::AffinityEndpoints => out.write_str("affinity-endpoints"),
            Set::Masq => out.write_str("masq"),
            Set::NodeportIps => out.write_str("nodeport-ips"),
            Set::ClusterIps => out.write_str("cluster-ips"),
            Set::Hairpin => out.write_str("hairpin"),
            Set::ServiceCidrs => out.write_str("service-cidrs"),
            Set::LocalSources => out.write_str("local-sources"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_numbered_in_order_and_found_by_name() {
        assert_eq!(Set::all().count(), SETS);
        for (index, set) in Set::all().enumerate() {
            assert_eq!(set.index(), index);
            assert_eq!(Set::parse(&set.to_string()), Some(set));
        }
        assert_eq!(Set::parse("endpoints-16"), None);
    }

    #[test]
    fn the_longest_key_leaves_room_below_the_kernels_64_bytes() {
        let longest = Set::all().map(|set| set.key().iter().map(|field| field.size(Family::V6)).sum::<u32>()).max();
        assert_eq!(longest, Some(40));
    }
}
