//! When the first rule may be written: not before what it follows from is known.

use std::time::Duration;

use api::{EndpointSlice, Node, Resource, Service, ServiceCidr};
use tokio::time::Instant;

/// How long the Node and the ServiceCIDRs are waited for: a cluster may have none, or not show them to us.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the node's Pod ranges are waited for where they tell local Pods from others (S-322). Without them every Pod
/// of the node would be masqueraded, or led to this node's endpoints alone.
const RANGES_PATIENCE: Duration = Duration::from_secs(300);

/// Opens once, and stays open.
#[derive(Debug)]
pub(crate) struct Gate {
    listed: Vec<&'static str>,
    /// When what is waited for without end was there: until then nobody answered at all.
    since: Option<Instant>,
    open: bool,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate { listed: Vec::new(), since: None, open: false }
    }

    /// A kind has been listed completely.
    pub(crate) fn listed(&mut self, kind: &'static str) {
        self.listed.push(kind);
    }

    /// Whether rules may be written. Services and EndpointSlices have to be known (S-304), the rest is waited for only for
    /// a while.
    pub(crate) fn is_open(&mut self, now: Instant, lacks_pod_ranges: bool) -> bool {
        let has = |kind| self.listed.contains(&kind);
        if !self.open && has(Service::KIND) && has(EndpointSlice::KIND) {
            let waited = now.saturating_duration_since(*self.since.get_or_insert(now));
            let helpful = waited >= PATIENCE || (has(Node::KIND) && has(ServiceCidr::KIND));
            let ranges = waited >= RANGES_PATIENCE || !lacks_pod_ranges;
            self.open = helpful && ranges;
            if self.open && lacks_pod_ranges {
                tracing::warn!("this Node has no spec.podCIDRs yet: until it has, no packet counts as a local Pod's");
            }
        }
        self.open
    }

    /// When waiting may be over without anything having happened.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let since = self.since?;
        let ends = [PATIENCE, RANGES_PATIENCE].map(|patience| since + patience);
        ends.into_iter().find(|end| !self.open && *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(kinds: &[&'static str]) -> Gate {
        let mut gate = Gate::new();
        kinds.iter().for_each(|kind| gate.listed(kind));
        gate
    }

    #[test]
    fn s304_services_and_slices_are_waited_for_without_end() {
        let now = Instant::now();
        for kinds in [&[][..], &["Service", "Node", "ServiceCIDR"], &["EndpointSlice", "Node", "ServiceCIDR"]] {
            let mut gate = listed(kinds);
            assert!(!gate.is_open(now, false), "{kinds:?}");
            assert!(!gate.is_open(now + RANGES_PATIENCE * 9, false), "{kinds:?}");
        }
        assert!(listed(&["Service", "EndpointSlice", "Node", "ServiceCIDR"]).is_open(now, false));
    }

    #[test]
    fn a_node_that_is_not_shown_is_waited_for_only_for_a_while() {
        let now = Instant::now();
        let mut gate = listed(&["Service", "EndpointSlice"]);
        assert!(!gate.is_open(now, false));
        assert_eq!(gate.next(now), Some(now + PATIENCE));
        assert!(gate.is_open(now + PATIENCE, false));
        assert_eq!(gate.next(now + PATIENCE), None);
    }

    #[test]
    fn s322_pod_ranges_are_waited_for_five_minutes_and_only_at_the_start() {
        let now = Instant::now();
        let all = ["Service", "EndpointSlice", "Node", "ServiceCIDR"];
        let mut gate = listed(&all);
        assert!(!gate.is_open(now, true));
        assert!(!gate.is_open(now + PATIENCE, true));
        assert_eq!(gate.next(now + PATIENCE), Some(now + RANGES_PATIENCE));
        assert!(gate.is_open(now + PATIENCE, false), "they came");
        assert!(gate.is_open(now + PATIENCE, true), "they went again");
        let mut gate = listed(&all);
        assert!(!gate.is_open(now, true));
        assert!(gate.is_open(now + RANGES_PATIENCE, true));
    }

    #[test]
    fn waiting_begins_when_the_api_answers() {
        let now = Instant::now();
        let mut gate = Gate::new();
        assert!(!gate.is_open(now, false));
        ["Service", "EndpointSlice"].iter().for_each(|kind| gate.listed(kind));
        assert!(!gate.is_open(now + PATIENCE, false), "the Node may be the next answer");
        assert!(gate.is_open(now + PATIENCE * 2, false));
    }
}
