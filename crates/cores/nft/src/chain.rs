//! The chains of a table, by name, and the verdicts that lead to them.

use std::fmt;

use crate::set::{Side, Stage};

/// A chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chain {
    /// Base chain, before any DNAT of others.
    Prerouting,
    /// Base chain for packets of the host.
    Output,
    /// Base chain, after any DNAT of others: what nobody leads anywhere.
    LatePrerouting,
    /// The same for packets of the host.
    LateOutput,
    /// Base chain, before any SNAT of others.
    Postrouting,
    /// Where every first packet is looked up.
    Services,
    /// What becomes of cluster IPs and Service ranges where no Service answers.
    Unserved,
    /// Asks the source ranges.
    Guard,
    /// Tells near from far clients.
    ExternalLocal,
    /// What near clients get.
    ExternalLocalCluster,
    /// RST or ICMP error.
    Refuse,
    /// Leads to the endpoint of the slot that was drawn.
    Pick,
    /// The same for far clients.
    PickLocal,
    /// Asks one shard of the endpoints.
    PickShard(u8),
    /// Rewrites the source.
    MasqAlways,
    /// Rewrites the source unless it is a Pod of this node.
    MasqUnlessLocalPod,
    /// Rewrites the source if it is the host.
    MasqOnlyHost,
    /// Draws one of `n` slots.
    Random {
        /// Whose rows.
        side: Side,
        /// How many slots.
        n: u32,
    },
    /// Leads a remembered client to its endpoint.
    Affinity {
        /// Whose rows.
        side: Side,
        /// How long a client is remembered.
        timeout_s: u32,
    },
    /// Leads to the endpoint of the slot that was drawn, and remembers it.
    AffinityPick {
        /// Whose rows.
        side: Side,
        /// How long a client is remembered.
        timeout_s: u32,
    },
    /// Looks for a remembered client, else draws one of `n` slots.
    AffinityRandom {
        /// Whose rows.
        side: Side,
        /// How long a client is remembered.
        timeout_s: u32,
        /// How many slots.
        n: u32,
    },
}

impl Chain {
    /// The chains that every table has, each after those it leads to.
    pub(crate) fn fixed() -> impl Iterator<Item = Chain> {
        use Chain::*;
        (0..16)
            .map(PickShard)
            .chain([Refuse, Pick, PickLocal, ExternalLocalCluster, ExternalLocal, Guard, Services, Unserved])
            .chain([MasqAlways, MasqUnlessLocalPod, MasqOnlyHost])
            .chain([Prerouting, Output, LatePrerouting, LateOutput, Postrouting])
    }

    /// Whether every table has this chain.
    pub(crate) fn is_fixed(self) -> bool {
        use Chain::*;
        !matches!(self, Random { .. } | Affinity { .. } | AffinityPick { .. } | AffinityRandom { .. })
    }

    /// The chain with this name, if maitred could have made it.
    pub(crate) fn parse(name: &str) -> Option<Chain> {
        let chain = Chain::fixed().find(|chain| chain.to_string() == name).or_else(|| parse_counted(name))?;
        (chain.to_string() == name).then_some(chain)
    }
}

fn parse_counted(name: &str) -> Option<Chain> {
    if let Some(rest) = name.strip_prefix("affinity-pick") {
        let (side, timeout) = parse_side(rest)?;
        return Some(Chain::AffinityPick { side, timeout_s: timeout.parse().ok()? });
    }
    if let Some(rest) = name.strip_prefix("affinity") {
        let (side, rest) = parse_side(rest)?;
        return Some(match rest.split_once('-') {
            None => Chain::Affinity { side, timeout_s: rest.parse().ok()? },
            Some((timeout, n)) => Chain::AffinityRandom { side, timeout_s: timeout.parse().ok()?, n: n.parse().ok()? },
        });
    }
    let side = if name.starts_with('n') { Side::Near } else { Side::Far };
    Some(Chain::Random { side, n: name.strip_prefix(['n', 'l'])?.parse().ok()? })
}

fn parse_side(rest: &str) -> Option<(Side, &str)> {
    match rest.strip_prefix("-local-") {
        Some(rest) => Some((Side::Far, rest)),
        None => Some((Side::Near, rest.strip_prefix('-')?)),
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Chain::Prerouting => "prerouting",
            Chain::Output => "output",
            Chain::LatePrerouting => "prerouting-late",
            Chain::LateOutput => "output-late",
            Chain::Postrouting => "postrouting",
            Chain::Services => "services",
            Chain::Unserved => "unserved",
            Chain::Guard => "guard",
            Chain::ExternalLocal => "ext-local",
            Chain::ExternalLocalCluster => "ext-local-cluster",
            Chain::Refuse => "refuse",
            Chain::Pick => "pick",
            Chain::PickLocal => "pick-local",
            Chain::MasqAlways => "masq-always",
            Chain::MasqUnlessLocalPod => "masq-unless-local-pod",
            Chain::MasqOnlyHost => "masq-only-host",
            Chain::PickShard(shard) => return write!(out, "pick-{shard}"),
            Chain::Random { side: Side::Near, n } => return write!(out, "n{n}"),
            Chain::Random { side: Side::Far, n } => return write!(out, "l{n}"),
            Chain::Affinity { side, timeout_s } => return write!(out, "affinity{}-{timeout_s}", side.suffix()),
            Chain::AffinityPick { side, timeout_s } => {
                return write!(out, "affinity-pick{}-{timeout_s}", side.suffix());
            }
            Chain::AffinityRandom { side, timeout_s, n } => {
                return write!(out, "affinity{}-{timeout_s}-{n}", side.suffix());
            }
        })
    }
}

/// What ends the way through a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The packet is gone.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// To a chain, and back.
    Jump(Chain),
    /// To a chain, for good.
    Goto(Chain),
}

impl Verdict {
    /// How an element of a dispatch map leads to a chain. From `services` it jumps, so that a packet for which the chain
    /// is empty comes back there.
    pub(crate) fn dispatch(stage: Stage, chain: Chain) -> Verdict {
        if stage == Stage::Services { Verdict::Jump(chain) } else { Verdict::Goto(chain) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Drop => out.write_str("drop"),
            Verdict::Return => out.write_str("return"),
            Verdict::Jump(chain) => write!(out, "jump {chain}"),
            Verdict::Goto(chain) => write!(out, "goto {chain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_found_by_its_name() {
        let counted = Side::BOTH.into_iter().flat_map(|side| {
            [
                Chain::Random { side, n: 12 },
                Chain::Affinity { side, timeout_s: 10800 },
                Chain::AffinityPick { side, timeout_s: 1 },
                Chain::AffinityRandom { side, timeout_s: 300, n: 4 },
            ]
        });
        for chain in Chain::fixed().chain(counted) {
            assert_eq!(Chain::parse(&chain.to_string()), Some(chain), "{chain}");
        }
    }

    #[test]
    fn a_name_that_maitred_never_gives_is_no_chain() {
        for name in ["", "n", "n03", "nx", "m3", "affinity", "affinity-", "affinity-x", "affinity-3-", "pick-16"] {
            assert_eq!(Chain::parse(name), None, "{name}");
        }
    }
}
