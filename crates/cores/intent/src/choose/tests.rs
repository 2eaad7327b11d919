//! S-306…S-309 as a table. An endpoint is written as a number and what is so about it:
//!
//! * `ready`, `draining` (serving and terminating), `dying` (terminating, no longer serving), `down` (none of it),
//!   `published` (ready, but not serving, and terminating)
//! * `here` (on this node)
//! * `node=NAME`, `zone=NAME` (hints; several are joined by `+`)

use std::net::{IpAddr, Ipv4Addr};

use super::*;

const BOTH: Uses = Uses { cluster: true, local: true };
const CLUSTER: Uses = Uses { cluster: true, local: false };
const LOCAL: Uses = Uses { cluster: false, local: true };
const HERE: Place = Place { node: "here", zone: Some("east") };
const NO_ZONE: Place = Place { node: "here", zone: None };

type Numbers = &'static [u8];
type Texts = &'static [&'static str];

#[test]
fn s306_which_sets_a_port_needs() {
    use Policy::{Cluster, Local};
    let table = [
        // internal, external policy, external frontends, cluster, local
        ("s306_plain", Cluster, Cluster, false, true, false),
        ("s306_external", Cluster, Cluster, true, true, false),
        ("s306_external_policy_without_external_frontend", Cluster, Local, false, true, false),
        ("s306_external_local", Cluster, Local, true, true, true),
        ("s306_internal_local", Local, Cluster, false, false, true),
        ("s306_internal_local_and_external", Local, Cluster, true, true, true),
        ("s306_both_local_without_external_frontend", Local, Local, false, false, true),
        ("s306_both_local", Local, Local, true, true, true),
    ];
    for (id, internal, external, frontends, cluster, local) in table {
        println!("case {id}");
        assert_eq!(Uses::of(internal, external, frontends), Uses { cluster, local }, "{id}");
    }
}

#[test]
fn s307_who_is_in_the_two_sets() {
    let table: [(&str, Texts, Numbers, Numbers); 16] = [
        // endpoints, Cluster set, Local set
        ("s307_none", &[], &[], &[]),
        ("s307_ready", &["1 ready here", "2 ready"], &[1, 2], &[1]),
        ("s307_down_is_left_out", &["1 down here", "2 ready"], &[2], &[]),
        ("s307_only_down", &["1 down here", "2 down"], &[], &[]),
        ("s307_draining_gives_way_to_ready", &["1 ready here", "2 draining here", "3 draining"], &[1], &[1]),
        ("s307_all_draining", &["1 draining here", "2 draining"], &[1, 2], &[1]),
        ("s307_draining_gives_way_to_ready_elsewhere", &["1 draining here", "2 ready"], &[2], &[1]),
        ("s307_ready_here_draining_elsewhere", &["1 ready here", "2 draining"], &[1], &[1]),
        ("s307_draining_elsewhere_is_not_local", &["1 draining"], &[1], &[]),
        ("s307_draining_and_down", &["1 draining here", "2 down here"], &[1], &[1]),
        ("s307_published_counts_as_ready", &["1 published here", "2 draining"], &[1], &[1]),
        ("s307_fall_back_ignores_zone_hints", &["1 draining zone=west", "2 draining zone=east"], &[1, 2], &[]),
        ("s307_fall_back_ignores_node_hints", &["1 draining node=here", "2 draining node=away"], &[1, 2], &[]),
        ("s307_dying_is_left_out", &["1 dying here", "2 dying"], &[], &[]),
        ("s307_draining_and_dying", &["1 dying here", "2 draining here", "3 dying"], &[2], &[2]),
        ("s307_serving_but_not_ready_nor_terminating", &["1 serving here"], &[], &[]),
    ];
    for (id, endpoints, cluster, local) in table {
        println!("case {id}");
        check(id, endpoints, BOTH, HERE, cluster, local);
        check(id, endpoints, CLUSTER, HERE, cluster, &[]);
        check(id, endpoints, LOCAL, HERE, &[], local);
    }
}

#[test]
fn s308_topology_narrows_the_cluster_set() {
    let table: [(&str, Place, Texts, Numbers, Numbers); 17] = [
        ("s308_zone", HERE, &["1 ready zone=east", "2 ready zone=west"], &[1], &[]),
        ("s308_several_zones", HERE, &["1 ready zone=west+east", "2 ready zone=west"], &[1], &[]),
        ("s308_one_without_hint", HERE, &["1 ready zone=east", "2 ready"], &[1, 2], &[]),
        ("s308_no_zone_names_ours", HERE, &["1 ready zone=west", "2 ready zone=north"], &[1, 2], &[]),
        ("s308_our_zone_is_unknown", NO_ZONE, &["1 ready zone=east", "2 ready zone=west"], &[1, 2], &[]),
        ("s308_node", HERE, &["1 ready node=here", "2 ready node=away"], &[1], &[]),
        ("s308_node_without_zone", NO_ZONE, &["1 ready node=here", "2 ready node=away"], &[1], &[]),
        ("s308_several_nodes", HERE, &["1 ready node=away+here", "2 ready node=away"], &[1], &[]),
        ("s308_one_without_node_hint", HERE, &["1 ready node=here", "2 ready"], &[1, 2], &[]),
        ("s308_no_node_names_us", HERE, &["1 ready node=away", "2 ready node=off"], &[1, 2], &[]),
        (
            "s308_node_comes_before_zone",
            HERE,
            &["1 ready node=here zone=west", "2 ready node=away zone=east"],
            &[1],
            &[],
        ),
        (
            "s308_zone_when_no_node_names_us",
            HERE,
            &["1 ready node=away zone=east", "2 ready node=off zone=west"],
            &[1],
            &[],
        ),
        (
            "s308_zone_when_node_hints_are_partial",
            HERE,
            &["1 ready node=here zone=west", "2 ready zone=east"],
            &[2],
            &[],
        ),
        (
            "s308_hints_of_draining_do_not_count",
            HERE,
            &["1 ready zone=east", "2 ready zone=west", "3 draining"],
            &[1],
            &[],
        ),
        ("s308_a_hint_of_draining_can_not_win", HERE, &["1 ready zone=west", "2 draining zone=east"], &[1], &[]),
        ("s308_down_does_not_count", HERE, &["1 ready zone=west", "2 down zone=east"], &[1], &[]),
        ("s308_never_for_the_local_set", HERE, &["1 ready here zone=west", "2 ready zone=east"], &[2], &[1]),
    ];
    for (id, place, endpoints, cluster, local) in table {
        println!("case {id}");
        check(id, endpoints, BOTH, place, cluster, local);
    }
}

#[test]
fn s309_whether_there_is_an_endpoint_anywhere() {
    let table: [(&str, Texts, bool); 7] = [
        ("s309_none", &[], false),
        ("s309_down", &["1 down here", "2 down"], false),
        ("s309_dying", &["1 dying here", "2 dying"], false),
        ("s309_ready_elsewhere", &["1 ready"], true),
        ("s309_draining_elsewhere", &["1 draining"], true),
        ("s309_ready_here", &["1 ready here"], true),
        ("s309_serving_but_not_ready_nor_terminating", &["1 serving here"], false),
    ];
    for (id, endpoints, anywhere) in table {
        println!("case {id}");
        for uses in [BOTH, CLUSTER, LOCAL] {
            assert_eq!(choose(&endpoints_of(endpoints), uses, HERE).anywhere, anywhere, "{id} {uses:?}");
        }
    }
}

fn check(id: &str, endpoints: &[&str], uses: Uses, place: Place, cluster: &[u8], local: &[u8]) {
    println!("case {id}");
    let choice = choose(&endpoints_of(endpoints), uses, place);
    assert_eq!(numbers(&choice.cluster), cluster, "{id}: Cluster set, {uses:?}");
    assert_eq!(numbers(&choice.local), local, "{id}: Local set, {uses:?}");
}

fn numbers(endpoints: &[Endpoint]) -> Vec<u8> {
    endpoints.iter().map(|endpoint| u8::try_from(endpoint.port).unwrap()).collect()
}

fn endpoints_of<'a>(texts: &[&'a str]) -> Vec<Candidate<'a>> {
    texts.iter().map(|text| endpoint_of(text)).collect()
}

fn endpoint_of(text: &str) -> Candidate<'_> {
    let mut words = text.split(' ');
    let port = words.next().unwrap().parse().unwrap();
    let endpoint = Endpoint { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port, local: false, weight: 1 };
    let hints = Hints::default();
    let mut one = Candidate { endpoint, ready: false, serving: false, terminating: false, hints };
    for word in words {
        match word {
            "ready" => (one.ready, one.serving) = (true, true),
            "serving" => one.serving = true,
            "draining" => (one.serving, one.terminating) = (true, true),
            "dying" => one.terminating = true,
            "published" => (one.ready, one.terminating) = (true, true),
            "here" => one.endpoint.local = true,
            "down" => {}
            hint => match hint.split_once('=').unwrap() {
                ("node", names) => one.hints.nodes = names.split('+').collect(),
                ("zone", names) => one.hints.zones = names.split('+').collect(),
                other => panic!("{other:?}"),
            },
        }
    }
    one
}
