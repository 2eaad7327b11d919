//! The expressions of nf_tables, of which rules are made: as values, as netlink attributes, and back.
//!
//! Registers are numbered as the kernel dumps them: 1 to 4 name the four areas of 16 bytes, 9 to 11 and 13 to 15 the
//! words inside the first two. See `include/uapi/linux/netfilter/nf_tables.h` in Linux.

use crate::chain::{Chain, Verdict};
use crate::set::Set;
use crate::wire::{Writer, be32, be64, find, find_be32, find_text, text};

/// A register.
pub(crate) type Register = u32;

/// The verdict register.
const VERDICT: Register = 0;

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Loads bytes of a header.
    Payload { register: Register, header: Header, offset: u32, length: u32 },
    /// Loads a fact about the packet.
    Meta { register: Register, key: Meta },
    /// Sets the packet's priority, the scratch word.
    SetPriority { register: Register },
    /// Loads a fact about the connection.
    Conntrack { register: Register, key: Conntrack },
    /// Looks up a set (the rule ends unless it holds the key, or holds it not) or a map (into `destination`).
    Lookup { set: Set, key: Register, destination: Option<Register>, inverted: bool },
    /// Loads a constant.
    Constant { register: Register, data: Vec<u8> },
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Masks a value.
    Mask { source: Register, destination: Register, mask: Vec<u8> },
    /// Ends the rule unless the value equals the data (or differs from it).
    Compare { register: Register, differs: bool, data: Vec<u8> },
    /// Rewrites the destination.
    Dnat { address: Register, port: Register },
    /// Rewrites the source, with a random port.
    Masquerade,
    /// Loads a random number below the modulus.
    Random { register: Register, modulus: u32 },
    /// Loads the type of an address.
    AddressType { register: Register, of: End },
    /// Answers that nobody is there.
    Reject(Reject),
    /// Writes or deletes an element of the affinity map.
    Remember { set: Set, key: Register, data: Register, action: Memory },
}

/// Which header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Network = 1,
    Transport = 2,
}

/// A fact about the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Priority = 2,
    InputInterfaceName = 6,
    Protocol = 16,
}

/// A fact about the connection; addresses and ports are those of its first packet before any translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conntrack {
    Status = 2,
    OriginalDestinationPort = 12,
    OriginalDestinationV4 = 20,
    OriginalDestinationV6 = 22,
}

/// Which address of a packet; numbered as the flags of `fib`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source = 1,
    Destination = 2,
}

/// What a refused client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reject {
    /// ICMP or ICMPv6 with this code.
    Unreachable { code: u8 },
    /// TCP RST.
    Reset,
}

/// What happens to an element of the affinity map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// It is written, and forgotten after this time.
    Update { timeout_s: u32 },
    /// It is forgotten now.
    Delete,
}

const LIST_ELEMENT: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const SOURCE_NAT_FLAGS_RANDOM_FULLY: u32 = 1 << 4;
const FIB_ADDRESS_TYPE: u32 = 3;
const DIRECTION_ORIGINAL: u8 = 0;
const FAMILY_V4: u32 = 2;
const FAMILY_V6: u32 = 10;

impl Expression {
    fn name(&self) -> &'static str {
        match self {
            Expression::Payload { .. } => "payload",
            Expression::Meta { .. } | Expression::SetPriority { .. } => "meta",
            Expression::Conntrack { .. } => "ct",
            Expression::Lookup { .. } => "lookup",
            Expression::Constant { .. } | Expression::Verdict(_) => "immediate",
            Expression::Mask { .. } => "bitwise",
            Expression::Compare { .. } => "cmp",
            Expression::Dnat { .. } => "nat",
            Expression::Masquerade => "masq",
            Expression::Random { .. } => "numgen",
            Expression::AddressType { .. } => "fib",
            Expression::Reject(_) => "reject",
            Expression::Remember { .. } => "dynset",
        }
    }

    /// Writes the expression as one element of a rule's list.
    pub fn encode(&self, out: &mut Writer, v6: bool) {
        out.nest(LIST_ELEMENT, |out| {
            out.text(NAME, self.name());
            out.nest(DATA, |out| self.encode_data(out, v6));
        });
    }

    fn encode_data(&self, out: &mut Writer, v6: bool) {
        match self {
            Expression::Payload { register, header, offset, length } => {
                numbers(out, &[(1, *register), (2, *header as u32), (3, *offset), (4, *length)])
            }
            Expression::Meta { register, key } => numbers(out, &[(1, *register), (2, *key as u32)]),
            Expression::SetPriority { register } => numbers(out, &[(2, Meta::Priority as u32), (3, *register)]),
            Expression::Conntrack { register, key } => {
                numbers(out, &[(1, *register), (2, *key as u32)]);
                if *key != Conntrack::Status {
                    out.attribute(3, &[DIRECTION_ORIGINAL]);
                }
            }
            Expression::Lookup { set, key, destination, inverted } => {
                out.text(1, &set.to_string());
                out.be32(2, *key);
                if let Some(register) = destination {
                    out.be32(3, *register);
                }
                out.be32(5, u32::from(*inverted));
            }
            Expression::Constant { register, data } => {
                out.be32(1, *register);
                value(out, 2, data);
            }
            Expression::Verdict(verdict) => {
                out.be32(1, VERDICT);
                out.nest(2, |out| encode_verdict(out, *verdict));
            }
            Expression::Mask { source, destination, mask } => {
                numbers(out, &[(1, *source), (2, *destination), (3, mask.len() as u32)]);
                value(out, 4, mask);
                value(out, 5, &vec![0; mask.len()]);
            }
            Expression::Compare { register, differs, data } => {
                numbers(out, &[(1, *register), (2, u32::from(*differs))]);
                value(out, 3, data);
            }
            Expression::Dnat { address, port } => {
                let family = if v6 { FAMILY_V6 } else { FAMILY_V4 };
                numbers(out, &[(1, 1), (2, family), (3, *address), (5, *port)]);
            }
            Expression::Masquerade => out.be32(1, SOURCE_NAT_FLAGS_RANDOM_FULLY),
            Expression::Random { register, modulus } => numbers(out, &[(1, *register), (2, *modulus), (3, 1), (4, 0)]),
            Expression::AddressType { register, of } => {
                numbers(out, &[(1, *register), (2, FIB_ADDRESS_TYPE), (3, *of as u32)])
            }
            Expression::Reject(reject) => {
                let (kind, code) = match reject {
                    Reject::Unreachable { code } => (0, *code),
                    Reject::Reset => (1, 0),
                };
                out.be32(1, kind);
                out.attribute(2, &[code]);
            }
            Expression::Remember { set, key, data, action } => {
                out.text(1, &set.to_string());
                let operation = if *action == Memory::Delete { 2 } else { 1 };
                numbers(out, &[(3, operation), (4, *key), (5, *data)]);
                if let Memory::Update { timeout_s } = action {
                    out.be64(6, u64::from(*timeout_s) * 1000);
                }
            }
        }
    }

    /// The expressions of a rule's list; none if maitred could not have written one of them.
    pub fn decode_all(list: &[u8]) -> Option<Vec<Expression>> {
        crate::wire::attributes(list)
            .map(|(_, element)| Expression::decode(find_text(element, NAME)?, find(element, DATA).unwrap_or_default()))
            .collect()
    }

    fn decode(name: &str, data: &[u8]) -> Option<Expression> {
        let number = |kind| find_be32(data, kind);
        let set = || find_text(data, 1).and_then(Set::parse);
        Some(match name {
            "payload" => {
                let header = match number(2)? {
                    1 => Header::Network,
                    2 => Header::Transport,
                    _ => return None,
                };
                Expression::Payload { register: number(1)?, header, offset: number(3)?, length: number(4)? }
            }
            "meta" => match (number(1), number(3), number(2)?) {
                (None, Some(register), 2) => Expression::SetPriority { register },
                (Some(register), None, 2) => Expression::Meta { register, key: Meta::Priority },
                (Some(register), None, 6) => Expression::Meta { register, key: Meta::InputInterfaceName },
                (Some(register), None, 16) => Expression::Meta { register, key: Meta::Protocol },
                _ => return None,
            },
            "ct" => {
                let key = match (number(2)?, find(data, 3)) {
                    (2, None) => Conntrack::Status,
                    (12, Some([DIRECTION_ORIGINAL])) => Conntrack::OriginalDestinationPort,
                    (20, Some([DIRECTION_ORIGINAL])) => Conntrack::OriginalDestinationV4,
                    (22, Some([DIRECTION_ORIGINAL])) => Conntrack::OriginalDestinationV6,
                    _ => return None,
                };
                Expression::Conntrack { register: number(1)?, key }
            }
            "lookup" => Expression::Lookup {
                set: set()?,
                key: number(2)?,
                destination: number(3),
                inverted: number(5).unwrap_or(0) & 1 == 1,
            },
            "immediate" => match number(1)? {
                VERDICT => Expression::Verdict(decode_verdict(find(data, 2)?)?),
                register => Expression::Constant { register, data: decode_value(data, 2)? },
            },
            "bitwise" => {
                if number(6).unwrap_or(0) != 0 || decode_value(data, 5)?.iter().any(|byte| *byte != 0) {
                    return None;
                }
                Expression::Mask { source: number(1)?, destination: number(2)?, mask: decode_value(data, 4)? }
            }
            "cmp" => {
                let differs = match number(2)? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                Expression::Compare { register: number(1)?, differs, data: decode_value(data, 3)? }
            }
            "nat" => {
                let plain = number(7).unwrap_or(0) & !3 == 0;
                if number(1)? != 1 || !plain {
                    return None;
                }
                Expression::Dnat { address: number(3)?, port: number(5)? }
            }
            "masq" => (number(1)? == SOURCE_NAT_FLAGS_RANDOM_FULLY).then_some(Expression::Masquerade)?,
            "numgen" => {
                if number(3)? != 1 || number(4).unwrap_or(0) != 0 {
                    return None;
                }
                Expression::Random { register: number(1)?, modulus: number(2)? }
            }
            "fib" => {
                let of = match number(3)? {
                    1 => End::Source,
                    2 => End::Destination,
                    _ => return None,
                };
                (number(2)? == FIB_ADDRESS_TYPE).then_some(Expression::AddressType { register: number(1)?, of })?
            }
            "reject" => match number(1)? {
                0 => Expression::Reject(Reject::Unreachable { code: *find(data, 2)?.first()? }),
                1 => Expression::Reject(Reject::Reset),
                _ => return None,
            },
            "dynset" => {
                let action = match number(3)? {
                    1 => Memory::Update { timeout_s: (be64(find(data, 6)?)? / 1000) as u32 },
                    2 => Memory::Delete,
                    _ => return None,
                };
                Expression::Remember { set: set()?, key: number(4)?, data: number(5)?, action }
            }
            _ => return None,
        })
    }
}

fn numbers(out: &mut Writer, list: &[(u16, u32)]) {
    for (kind, number) in list {
        out.be32(*kind, *number);
    }
}

/// A constant as nft_data.
pub(crate) fn value(out: &mut Writer, kind: u16, data: &[u8]) {
    out.nest(kind, |out| out.attribute(DATA_VALUE, data));
}

fn decode_value(data: &[u8], kind: u16) -> Option<Vec<u8>> {
    find(find(data, kind)?, DATA_VALUE).map(<[u8]>::to_vec)
}

/// The bytes of an nft_data that holds a constant.
pub(crate) fn value_of(data: &[u8]) -> Option<&[u8]> {
    find(data, DATA_VALUE)
}

const JUMP: u32 = -3i32 as u32;
const GOTO: u32 = -4i32 as u32;
const RETURN: u32 = -5i32 as u32;

/// A verdict as nft_data.
pub(crate) fn encode_verdict(out: &mut Writer, verdict: Verdict) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Return => (RETURN, None),
        Verdict::Jump(chain) => (JUMP, Some(chain)),
        Verdict::Goto(chain) => (GOTO, Some(chain)),
    };
    out.nest(DATA_VERDICT, |out| {
        out.be32(1, code);
        if let Some(chain) = chain {
            out.text(2, &chain.to_string());
        }
    });
}

/// The verdict in an nft_data.
pub(crate) fn decode_verdict(data: &[u8]) -> Option<Verdict> {
    let verdict = find(data, DATA_VERDICT)?;
    let chain = || find(verdict, 2).and_then(text).and_then(Chain::parse);
    match find(verdict, 1).and_then(be32)? {
        0 => Some(Verdict::Drop),
        RETURN => Some(Verdict::Return),
        JUMP => chain().map(Verdict::Jump),
        GOTO => chain().map(Verdict::Goto),
        _ => None,
    }
}
