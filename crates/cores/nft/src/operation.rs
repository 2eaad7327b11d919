//! What a Plan is made of: the steps of a transaction, each printed as exactly what it does.

use std::fmt::{self, Write};

use model::Family;

use crate::chain::Chain;
use crate::element::Element;
use crate::rule::Rule;
use crate::set::{Set, table};

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    AddTable,
    DeleteTable,
    AddSet {
        set: Set,
        size: u32,
    },
    /// Gives a full set more room.
    ResizeSet {
        set: Set,
        size: u32,
    },
    FlushSet(Set),
    AddChain(Chain),
    FlushChain(Chain),
    DeleteChain(Chain),
    AddRule {
        chain: Chain,
        rule: Rule,
    },
    AddElements {
        set: Set,
        elements: Vec<Element>,
    },
    DeleteElements {
        set: Set,
        elements: Vec<Element>,
    },
}

/// The hook, priority and name of a base chain. A nat chain sees only the first packet of a connection. One before
/// dstnat and srcnat, since the first nat chain that translates a packet is the last that sees it. The late ones stand
/// one after, so that they see only what neither we nor anybody else translates.
pub(crate) fn hook(chain: Chain) -> Option<(u32, i32, &'static str)> {
    match chain {
        Chain::Prerouting => Some((0, -101, "prerouting priority dstnat - 1")),
        Chain::Output => Some((3, -101, "output priority dstnat - 1")),
        Chain::LatePrerouting => Some((0, -99, "prerouting priority dstnat + 1")),
        Chain::LateOutput => Some((3, -99, "output priority dstnat + 1")),
        Chain::Postrouting => Some((4, 99, "postrouting priority srcnat - 1")),
        _ => None,
    }
}

impl Operation {
    /// One line for each thing that is added or deleted.
    pub fn write(&self, out: &mut impl Write, family: Family) -> fmt::Result {
        let table = table(family);
        match self {
            Operation::AddTable => writeln!(out, "add table {table}"),
            Operation::DeleteTable => writeln!(out, "delete table {table}"),
            Operation::AddSet { set, size } => writeln!(out, "add {}", set.declaration(family, *size)),
            Operation::ResizeSet { set, size } => writeln!(out, "resize {}", set.declaration(family, *size)),
            Operation::FlushSet(set) => writeln!(out, "flush set {table} {set}"),
            Operation::AddChain(chain) => match hook(*chain) {
                Some((_, _, hook)) => writeln!(out, "add chain {table} {chain} {{ type nat hook {hook}; }}"),
                None => writeln!(out, "add chain {table} {chain}"),
            },
            Operation::FlushChain(chain) => writeln!(out, "flush chain {table} {chain}"),
            Operation::DeleteChain(chain) => writeln!(out, "delete chain {table} {chain}"),
            Operation::AddRule { chain, rule } => writeln!(out, "add rule {table} {chain} {}", rule.text),
            Operation::AddElements { set, elements } => elements
                .iter()
                .try_for_each(|element| writeln!(out, "add element {table} {set} {{ {} }}", element.text(family))),
            Operation::DeleteElements { set, elements } => elements
                .iter()
                .try_for_each(|element| writeln!(out, "delete element {table} {set} {{ {} }}", element.text(family))),
        }
    }
}
