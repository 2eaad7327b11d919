use api::{AddressType, EndpointPort, Protocol};

use super::*;
use crate::sample::{Slice, slice};

/// Candidates of port `http`/TCP in short: address, port, then `l`ocal, `r`eady, `s`erving, `t`erminating.
fn short(slices: &[Slice], family: Family) -> Vec<String> {
    let port = ServicePort { name: "http".to_owned(), port: 80, ..Default::default() };
    let found = candidates(slices.iter().map(|slice| &slice.0), &port, family, "node-a");
    let flag = |set: bool, letter: &'static str| if set { letter } else { "" };
    found
        .iter()
        .map(|one| {
            let [local, ready] = [flag(one.endpoint.local, "l"), flag(one.ready, "r")];
            let [serving, terminating] = [flag(one.serving, "s"), flag(one.terminating, "t")];
            format!("{} {local}{ready}{serving}{terminating}", one.endpoint.socket())
        })
        .collect()
}

#[test]
fn s302_what_a_slice_contributes() {
    let one = || slice("web-1", "web").on("10.1.0.5 node-a");
    let port = |name: Option<&str>, protocol, port| EndpointPort {
        name: name.map(str::to_owned),
        protocol,
        port,
        ..Default::default()
    };
    let ports = |ports: &[EndpointPort]| one().with(|slice| slice.ports = ports.to_vec());
    let table: [(&str, Slice, &[&str]); 15] = [
        ("s302_unset_conditions", one(), &["10.1.0.5:8080 lrs"]),
        ("s302_conditions", slice("a", "web").on("10.1.0.5 node-a draining"), &["10.1.0.5:8080 lst"]),
        ("s302_down", slice("a", "web").on("10.1.0.5 node-a down"), &["10.1.0.5:8080 l"]),
        ("s302_another_node", slice("a", "web").on("10.1.0.5 node-b"), &["10.1.0.5:8080 rs"]),
        ("s302_no_node", slice("a", "web").on("10.1.0.5 -"), &["10.1.0.5:8080 rs"]),
        ("s302_port_without_number", ports(&[port(Some("http"), Protocol::Tcp, None)]), &[]),
        ("s302_port_zero", ports(&[port(Some("http"), Protocol::Tcp, Some(0))]), &[]),
        ("s302_port_without_name", ports(&[port(None, Protocol::Tcp, Some(8080))]), &[]),
        ("s302_another_name", ports(&[port(Some("admin"), Protocol::Tcp, Some(8080))]), &[]),
        ("s302_another_protocol", ports(&[port(Some("http"), Protocol::Udp, Some(8080))]), &[]),
        ("s302_no_port", ports(&[]), &[]),
        ("s302_another_family", one().v6(), &[]),
        ("s302_names", one().with(|slice| slice.address_type = AddressType::Fqdn), &[]),
        ("s302_no_address", one().with(|slice| slice.endpoints[0].addresses.clear()), &[]),
        (
            "s302_only_the_first_address",
            one().with(|slice| slice.endpoints[0].addresses.push("10.1.0.9".to_owned())),
            &["10.1.0.5:8080 lrs"],
        ),
    ];
    for (id, slice, expected) in table {
        println!("case {id}");
        assert_eq!(short(&[slice], Family::V4), expected, "{id}");
    }
}

#[test]
fn s302_an_ipv6_slice_serves_ipv6() {
    let slice = slice("web-1", "web").v6().on("fd01::5 node-a");
    assert_eq!(short(std::slice::from_ref(&slice), Family::V6), ["[fd01::5]:8080 lrs"]);
    assert!(short(&[slice], Family::V4).is_empty());
}

#[test]
fn s302_an_empty_port_name_is_a_name() {
    let slice = slice("web-1", "web").on("10.1.0.5 node-a").with(|slice| slice.ports[0].name = Some(String::new()));
    let port = ServicePort { port: 80, ..Default::default() };
    assert_eq!(candidates([&slice.0], &port, Family::V4, "node-a").len(), 1);
}

#[test]
fn s303_an_entry_that_is_alive_beats_one_that_terminates() {
    let with = |name: &str, endpoint: &str| slice(name, "web").on(endpoint);
    let alive = |name| with(name, "10.1.0.5 node-a ready");
    let dying = |name| with(name, "10.1.0.5 node-b draining");
    let unready = |name| with(name, "10.1.0.5 node-b unready");
    let table = [
        ("s303_alive_first", [alive("a"), dying("b")], "10.1.0.5:8080 lrs"),
        ("s303_alive_last", [dying("a"), alive("b")], "10.1.0.5:8080 lrs"),
        ("s303_both_terminating_first_stays", [with("a", "10.1.0.5 node-a draining"), dying("b")], "10.1.0.5:8080 lst"),
        ("s303_both_alive_last_stays", [alive("a"), unready("b")], "10.1.0.5:8080 s"),
        ("s303_unready_beats_terminating", [dying("a"), unready("b")], "10.1.0.5:8080 s"),
    ];
    for (id, slices, expected) in table {
        println!("case {id}");
        assert_eq!(short(&slices, Family::V4), [expected], "{id}");
    }
}

#[test]
fn s303_one_slice_may_hold_both_entries() {
    let both = slice("web-1", "web").on("10.1.0.5 node-a ready").on("10.1.0.5 node-b draining");
    assert_eq!(short(&[both], Family::V4), ["10.1.0.5:8080 lrs"]);
}

#[test]
fn candidates_are_sorted_by_address_and_port() {
    let first = slice("a", "web").on("10.1.0.6 node-a").on("10.1.0.10 node-a");
    let second =
        slice("b", "web").on("10.1.0.5 node-a").on("10.1.0.6 node-a").with(|slice| slice.ports[0].port = Some(80));
    let expected = ["10.1.0.5:80 lrs", "10.1.0.6:80 lrs", "10.1.0.6:8080 lrs", "10.1.0.10:8080 lrs"];
    assert_eq!(short(&[first, second], Family::V4), expected);
}

#[test]
fn s301_endpoints_that_can_not_be_used_are_reported() {
    let slice = slice("web-1", "web").on("10.1.0.5 node-a").on("10.1.0 node-a").on("fd01::5 node-a");
    let told: Vec<String> = problems(&slice.0).map(|problem| problem.to_string()).collect();
    let expected = [
        "EndpointSlice default/web-1: endpoints[1].addresses[0] is ignored: \"10.1.0\" is no address or range",
        "EndpointSlice default/web-1: endpoints[2].addresses[0] is ignored: fd01::5 is of another IP family",
    ];
    assert_eq!(told, expected);
    assert_eq!(short(&[slice], Family::V4), ["10.1.0.5:8080 lrs"]);
}
