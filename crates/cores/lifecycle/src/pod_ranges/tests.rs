use proptest::prelude::*;

use super::*;
use crate::fixture::decode;

fn node(name: &str, ranges: &[&str]) -> Node {
    decode(json!({"metadata": {"name": name, "resourceVersion": "7"}, "spec": {"podCIDRs": ranges}}))
}

fn net(text: &str) -> IpNet {
    text.parse().expect("the fixture is a range")
}

fn plan(nodes: &[Node], pools: &[Pool]) -> Vec<Outcome> {
    plan_pod_ranges(&nodes.iter().collect::<Vec<_>>(), pools)
}

/// One line per waiting node: `node: range range`, or `node: nothing left in POOL`.
fn lines(nodes: &[Node], pools: &[Pool]) -> Vec<String> {
    let line = |outcome: Outcome| match outcome {
        Outcome::Assign { node, ranges, .. } => {
            let ranges: Vec<String> = ranges.iter().map(IpNet::to_string).collect();
            format!("{}: {}", node.name, ranges.join(" "))
        }
        Outcome::Exhausted { node, pool, .. } => format!("{}: nothing left in {pool}", node.name),
    };
    plan(nodes, pools).into_iter().map(line).collect()
}

#[test]
fn each_node_gets_the_lowest_free_range_of_each_pool() {
    let nodes = [node("b", &[]), node("a", &[]), node("has", &["10.244.1.0/24", "fd00:10:244::/64"])];
    let expected = ["a: 10.244.0.0/24 fd00:10:244:1::/64", "b: 10.244.2.0/24 fd00:10:244:2::/64"];
    assert_eq!(lines(&nodes, &Pool::defaults()), expected);
}

#[test]
fn ranges_of_any_size_that_somebody_gave_are_respected() {
    let pool = [Pool::new(net("10.0.0.0/24"), 28).expect("a /28 fits into a /24")];
    let check = |id: &str, given: &[&str], expected: &str| {
        assert_eq!(lines(&[node("has", given), node("a", &[])], &pool), [expected], "{id}");
    };
    check("smaller-inside-the-first", &["10.0.0.8/32"], "a: 10.0.0.16/28");
    check("larger-over-the-first-two", &["10.0.0.0/27"], "a: 10.0.0.32/28");
    check("larger-than-the-pool", &["10.0.0.0/16"], "a: nothing left in 10.0.0.0/24");
    check("neighbours-that-touch", &["10.0.0.0/28", "10.0.0.16/29"], "a: 10.0.0.32/28");
    check("elsewhere", &["10.1.0.0/16"], "a: 10.0.0.0/28");
    check("a-gap", &["10.0.0.0/28", "10.0.0.32/28"], "a: 10.0.0.16/28");
}

#[test]
fn the_last_range_is_given_and_then_no_more() {
    let pools = [Pool::new(net("10.0.0.0/30"), 31).expect("fits"), Pool::new(net("fd00::/62"), 64).expect("fits")];
    let nodes = [node("a", &[]), node("b", &[]), node("c", &[])];
    let expected = ["a: 10.0.0.0/31 fd00::/64", "b: 10.0.0.2/31 fd00:0:0:1::/64", "c: nothing left in 10.0.0.0/30"];
    assert_eq!(lines(&nodes, &pools), expected);
}

#[test]
fn a_node_gets_all_ranges_or_none() {
    let full = Pool::new(net("fd00::/64"), 64).expect("fits");
    let pools = [Pool::new(net("10.0.0.0/16"), 24).expect("fits"), full];
    let expected = ["a: 10.0.0.0/24 fd00::/64", "b: nothing left in fd00::/64"];
    assert_eq!(lines(&[node("a", &[]), node("b", &[])], &pools), expected);
}

#[test]
fn the_patch_names_the_first_range_twice_and_the_version() {
    let Outcome::Assign { patch, .. } = plan(&[node("a", &[])], &Pool::defaults()).remove(0) else {
        panic!("there is room")
    };
    let spec = json!({"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24", "fd00:10:244::/64"]});
    assert_eq!(patch, json!({"metadata": {"resourceVersion": "7"}, "spec": spec}));
}

#[test]
fn a_range_must_fit_into_its_pool() {
    let check = |range: &str, prefix_len: u8, fits: bool| {
        assert_eq!(Pool::new(net(range), prefix_len).is_ok(), fits, "/{prefix_len} from {range}");
    };
    check("10.0.0.0/16", 24, true);
    check("10.0.0.0/16", 16, true);
    check("10.0.0.0/16", 15, false);
    check("10.0.0.0/16", 33, false);
    check("fd00::/56", 128, true);
    check("fd00::/56", 129, false);
}

#[test]
fn the_end_of_the_address_space_is_not_overrun() {
    let pool = [Pool::new(net("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"), 128).expect("fits")];
    let nodes = [node("a", &[]), node("b", &[]), node("c", &[])];
    assert_eq!(lines(&nodes, &pool).last().map(|line| line.starts_with("c: nothing left")), Some(true));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_ranges_overlap_and_assigned_nodes_are_left_alone(
        given in prop::collection::vec((0u8..64, 27u8..=32), 0..12)
    ) {
        let pool = [Pool::new(net("10.0.0.0/24"), 29).expect("fits")];
        let given: Vec<IpNet> = given
            .into_iter()
            .map(|(part, len)| IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(10, 0, 0, part * 4)), len).trunc())
            .collect();
        let mut nodes: Vec<Node> =
            given.iter().enumerate().map(|(n, range)| node(&format!("g{n}"), &[&range.to_string()])).collect();
        nodes.extend((0..40).map(|n| node(&format!("n{n:02}"), &[])));
        let mut seen: Vec<IpNet> = given.clone();
        let mut exhausted = 0;
        for outcome in plan(&nodes, &pool) {
            match outcome {
                Outcome::Assign { ranges, .. } => {
                    let range = ranges[0];
                    prop_assert!(seen.iter().all(|other| !other.contains(&range) && !range.contains(other)));
                    seen.push(range);
                }
                Outcome::Exhausted { .. } => exhausted += 1,
            }
        }
        // Of the 32 ranges in the pool, exactly those that no given range touches were handed out.
        let untouched = (0..32u8)
            .map(|n| IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n * 8)), 29))
            .filter(|range| given.iter().all(|other| !other.contains(range) && !range.contains(other)))
            .count();
        prop_assert_eq!(seen.len() - given.len(), untouched);
        prop_assert_eq!(exhausted, 40 - untouched);
    }
}
