//! Two Models side by side: what a kernel lacks, and what it has too much.
//!
//! A [`Difference`] is for reading; what turns one Model into the other is a [`Change`](crate::Change).

#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Frontend, Model, Rule};

/// Every element in which two Models differ. Prints one element per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Frontends.
    pub frontends: BTreeMap<Frontend, FrontendDifference>,
    /// Node addresses.
    pub node_addresses: SetDifference<IpAddr>,
    /// Service ranges.
    pub service_ranges: SetDifference<IpNet>,
    /// The local-traffic detector.
    pub local_pods: Option<FieldDifference>,
}

/// How a frontend differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontendDifference {
    /// Intended, but not observed.
    Missing(Rule),
    /// Observed, but not intended.
    Unexpected(Rule),
    /// Both, but these fields of the rule differ. At least one; the rule is the intended one.
    Different(Rule, Vec<FieldDifference>),
}

/// One field that differs, both values as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its name.
    pub field: &'static str,
    /// The intended value.
    pub intended: String,
    /// The observed value.
    pub observed: String,
}

/// How a set differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDifference<T> {
    /// Intended, but not observed.
    pub missing: BTreeSet<T>,
    /// Observed, but not intended.
    pub unexpected: BTreeSet<T>,
}

impl Difference {
    /// Whether the two Models are equal.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// What `observed` lacks or has too much.
pub fn compare(intended: &Model, observed: &Model) -> Difference {
    Difference {
        frontends: frontends(intended, observed),
        node_addresses: SetDifference::of(&intended.node_addresses, &observed.node_addresses),
        service_ranges: SetDifference::of(&intended.service_ranges, &observed.service_ranges),
        local_pods: field("local Pods", &intended.local_pods, &observed.local_pods),
    }
}

fn frontends(intended: &Model, observed: &Model) -> BTreeMap<Frontend, FrontendDifference> {
    let local = LazyCell::new(|| [intended.local_endpoints(), observed.local_endpoints()]);
    let expected = intended.frontends.iter().filter_map(|(frontend, rule)| {
        let difference = match observed.frontends.get(frontend) {
            None => FrontendDifference::Missing(rule.clone()),
            Some(other) if other == rule || rule.agrees(&local[0], other, &local[1]) => return None,
            Some(other) => FrontendDifference::Different(rule.clone(), fields(rule, other)),
        };
        Some((*frontend, difference))
    });
    let surplus = observed.frontends.iter().filter(|(frontend, _)| !intended.frontends.contains_key(frontend));
    expected.chain(surplus.map(|(frontend, rule)| (*frontend, FrontendDifference::Unexpected(rule.clone())))).collect()
}

/// The fields of a rule that differ. Whoever adds a field to Rule has to say here how it prints.
fn fields(intended: &Rule, observed: &Rule) -> Vec<FieldDifference> {
    let Rule { role, sources, near, far, masquerade, affinity, provenance: _ } = intended;
    let shown = |affinity: Option<crate::Affinity>| affinity.map_or("none".to_owned(), |affinity| affinity.to_string());
    let all = [
        field("role", role, &observed.role),
        field("sources", sources, &observed.sources),
        field("near", near, &observed.near),
        field("far", far, &observed.far),
        field("masquerade", masquerade, &observed.masquerade),
        field("affinity", &shown(*affinity), &shown(observed.affinity)),
    ];
    all.into_iter().flatten().collect()
}

fn field<T: PartialEq + Display>(field: &'static str, intended: &T, observed: &T) -> Option<FieldDifference> {
    let different = || FieldDifference { field, intended: intended.to_string(), observed: observed.to_string() };
    (intended != observed).then(different)
}

impl<T: Ord + Clone> SetDifference<T> {
    fn of(intended: &BTreeSet<T>, observed: &BTreeSet<T>) -> SetDifference<T> {
        SetDifference {
            missing: intended.difference(observed).cloned().collect(),
            unexpected: observed.difference(intended).cloned().collect(),
        }
    }
}

impl<T> Default for SetDifference<T> {
    fn default() -> SetDifference<T> {
        SetDifference { missing: BTreeSet::new(), unexpected: BTreeSet::new() }
    }
}

impl Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (frontend, difference) in &self.frontends {
            match difference {
                FrontendDifference::Missing(rule) => writeln!(out, "missing: {frontend}, from {}", rule.provenance)?,
                FrontendDifference::Unexpected(rule) => writeln!(out, "unexpected: {frontend}, a {}", rule.role)?,
                FrontendDifference::Different(rule, fields) => {
                    writeln!(out, "different: {frontend}, from {}", rule.provenance)?;
                    fields.iter().try_for_each(|field| writeln!(out, "  {field}"))?;
                }
            }
        }
        lines(out, "node address", &self.node_addresses)?;
        lines(out, "Service range", &self.service_ranges)?;
        self.local_pods.iter().try_for_each(|field| writeln!(out, "different: {field}"))
    }
}

fn lines<T: Display>(out: &mut fmt::Formatter<'_>, what: &str, difference: &SetDifference<T>) -> fmt::Result {
    difference.missing.iter().try_for_each(|one| writeln!(out, "missing: {what} {one}"))?;
    difference.unexpected.iter().try_for_each(|one| writeln!(out, "unexpected: {what} {one}"))
}

impl Display for FieldDifference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: intended {}, observed {}", self.field, self.intended, self.observed)
    }
}
