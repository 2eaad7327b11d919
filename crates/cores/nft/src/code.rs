//! The word that a frontend's element holds: what becomes of a packet, in 32 bits.
//!
//! ```text
//!   31 30 | 29       | 28       | 27 … 20       | 19 18 | 17 … 0
//!   masq  | reserved | affinity | timeout index | role  | slots N, or which reserved code
//! ```
//!
//! The dispatch maps are asked with the bits of [`DISPATCH_MASK`], postrouting with those of [`MASQUERADE_MASK`]. The
//! role steers no packet: it is there because an observed Model must say what kind of address a frontend is.

use model::{Masquerade, Role};

/// The bits by which the dispatch maps are keyed: neither masquerade class nor role.
pub const DISPATCH_MASK: u32 = 0x3ff3_ffff;
/// The bits by which the map `masq` is keyed.
pub const MASQUERADE_MASK: u32 = 0xc000_0000;
/// The most slots that one frontend can have.
pub const SLOTS_MAX: u32 = 0x3_ffff;

const RESERVED: u32 = 1 << 29;
const AFFINITY: u32 = 1 << 28;

/// Where the services chain, or a later stage, goes with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Branch {
    /// TCP gets a RST, everything else an ICMP error.
    Refuse,
    /// Silence.
    Drop,
    /// Near and far clients are told apart (S-313).
    ExternalLocal,
    /// The source ranges are asked first (S-316).
    Guarded,
    /// One of `n` slots at random.
    Random {
        /// How many slots, at least 1.
        n: u32,
    },
    /// The endpoint that the client had, else one of `n` slots at random.
    Affinity {
        /// Which timeout: an index into the table's own list, since 8 bits hold no seconds.
        index: u8,
        /// How many slots, at least 1.
        n: u32,
    },
}

impl Branch {
    /// The branches that lead to the same place in every table.
    pub(crate) const FIXED: [Branch; 4] = [Branch::Refuse, Branch::Drop, Branch::ExternalLocal, Branch::Guarded];

    /// The key of this branch in the dispatch maps.
    pub(crate) fn word(self) -> u32 {
        match self {
            Branch::Refuse => RESERVED | 1,
            Branch::Drop => RESERVED | 2,
            Branch::ExternalLocal => RESERVED | 3,
            Branch::Guarded => RESERVED | 4,
            Branch::Random { n } => n,
            Branch::Affinity { index, n } => AFFINITY | u32::from(index) << 20 | n,
        }
    }

    /// The branch with this key, if there is one.
    pub(crate) fn from_word(word: u32) -> Option<Branch> {
        let fixed = Branch::FIXED.into_iter().find(|branch| branch.word() == word);
        let n = word & SLOTS_MAX;
        let counted =
            if word & AFFINITY != 0 { Branch::Affinity { index: (word >> 20) as u8, n } } else { Branch::Random { n } };
        fixed.or((n > 0 && counted.word() == word).then_some(counted))
    }
}

/// A frontend's whole code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// Where to.
    pub branch: Branch,
    /// Whose source address is rewritten.
    pub masquerade: Masquerade,
    /// What kind of address the frontend is.
    pub role: Role,
}

const ROLES: [Role; 4] = [Role::ClusterIp, Role::ExternalIp, Role::LoadBalancerIp, Role::NodePort];
const CLASSES: [Masquerade; 4] =
    [Masquerade::Never, Masquerade::Always, Masquerade::UnlessLocalPod, Masquerade::OnlyHost];

impl Code {
    /// The 32 bits.
    pub fn word(self) -> u32 {
        class_word(self.masquerade) | (self.role as u32) << 18 | self.branch.word()
    }

    /// The code with these bits, if maitred could have written them.
    pub fn from_word(word: u32) -> Option<Code> {
        Some(Code {
            branch: Branch::from_word(word & DISPATCH_MASK)?,
            masquerade: CLASSES[(word >> 30) as usize],
            role: ROLES[(word >> 18 & 3) as usize],
        })
    }
}

/// The key of a class in the map `masq`, and its bits in a code.
pub(crate) fn class_word(class: Masquerade) -> u32 {
    (class as u32) << 30
}

/// A word as `nft list` prints the type `classid`.
pub(crate) fn classid(word: u32) -> String {
    if word == 0 { "none".into() } else { format!("{:x}:{:x}", word >> 16, word & 0xffff) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_through_its_word() {
        let branches = [
            Branch::Refuse,
            Branch::Drop,
            Branch::ExternalLocal,
            Branch::Guarded,
            Branch::Random { n: 1 },
            Branch::Random { n: SLOTS_MAX },
            Branch::Affinity { index: 0, n: 1 },
            Branch::Affinity { index: 255, n: SLOTS_MAX },
        ];
        for branch in branches {
            for masquerade in CLASSES {
                for role in ROLES {
                    let code = Code { branch, masquerade, role };
                    assert_eq!(Code::from_word(code.word()), Some(code));
                }
            }
        }
    }

    #[test]
    fn the_bits_stand_where_the_layout_says() {
        let code = |branch, masquerade, role| Code { branch, masquerade, role }.word();
        assert_eq!(code(Branch::Random { n: 3 }, Masquerade::Never, Role::ClusterIp), 3);
        assert_eq!(code(Branch::Random { n: 3 }, Masquerade::UnlessLocalPod, Role::NodePort), 0x800c_0003);
        assert_eq!(code(Branch::Affinity { index: 2, n: 5 }, Masquerade::Always, Role::LoadBalancerIp), 0x5028_0005);
        assert_eq!(code(Branch::Refuse, Masquerade::OnlyHost, Role::ExternalIp), 0xe004_0001);
    }

    #[test]
    fn a_word_that_maitred_never_writes_is_no_code() {
        for word in [0, 0x2000_0000, 0x2000_0005, 0x3000_0001, 0x0010_0001] {
            assert_eq!(Code::from_word(word), None, "{word:x}");
        }
    }
}
