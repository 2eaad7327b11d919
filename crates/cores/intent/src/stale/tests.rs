//! Flows to `default/web` over UDP: a cluster IP, an external IP, an ingress address and a node port.

use crate::sample::{intent, node_event, slice, web};
use crate::{Event, Intent, UdpFlow};

fn check(intent: &Intent, case: &str, destination: &str, answered_by: &str, stale: bool) {
    let socket = |text: &str| text.parse().expect("an address and a port");
    let flow = UdpFlow { destination: socket(destination), answered_by: socket(answered_by) };
    println!("case {case}");
    assert_eq!(intent.is_stale(&flow), stale, "{case}");
}

fn udp() -> Intent {
    let endpoints =
        slice("web-1", "web").on("10.1.0.5 node-a").on("10.1.1.6 node-b draining").on("10.1.1.7 node-b down");
    let endpoints = endpoints.with(|slice| slice.ports[0].protocol = api::Protocol::Udp);
    intent([node_event(), web().udp().event(), endpoints.event()])
}

#[test]
fn s330_flows_answered_by_nobody_who_serves_are_stale() {
    let intent = udp();
    check(&intent, "s330_serving", "10.96.0.10:80", "10.1.0.5:8080", false);
    check(&intent, "s330_terminating_but_serving", "10.96.0.10:80", "10.1.1.6:8080", false);
    check(&intent, "s330_not_serving", "10.96.0.10:80", "10.1.1.7:8080", true);
    check(&intent, "s330_endpoint_gone", "10.96.0.10:80", "10.1.9.9:8080", true);
    check(&intent, "s330_other_port_of_an_endpoint", "10.96.0.10:80", "10.1.0.5:9999", true);
    check(&intent, "s330_external_ip", "198.51.100.1:80", "10.1.9.9:8080", true);
    check(&intent, "s330_load_balancer_ip", "198.51.100.2:80", "10.1.9.9:8080", true);
    check(&intent, "s330_node_port_of_an_accepted_address", "192.168.0.1:30080", "10.1.9.9:8080", true);
    check(&intent, "s330_node_port_of_another_address", "192.168.0.2:30080", "10.1.9.9:8080", false);
    check(&intent, "s330_port_that_is_no_frontend", "10.96.0.10:81", "10.1.9.9:8080", false);
    check(&intent, "s330_address_that_is_not_ours", "203.0.113.1:80", "203.0.113.1:80", false);
}

#[test]
fn s331_a_flow_from_before_the_frontend_is_stale() {
    check(&udp(), "s331_unnated", "10.96.0.10:80", "10.96.0.10:80", true);
    let empty = intent([node_event(), web().udp().event(), slice("web-1", "web").event()]);
    check(&empty, "s330_nobody_serves", "10.96.0.10:80", "10.1.0.5:8080", true);
}

#[test]
fn s330_flows_are_looked_through_only_where_a_change_can_have_made_one_stale() {
    let endpoints = |described: &[&str]| {
        let slice = described.iter().fold(slice("web-1", "web"), |slice, one| slice.on(one));
        slice.with(|slice| slice.ports[0].protocol = api::Protocol::Udp).event()
    };
    let mut intent = intent([node_event(), web().udp().event(), endpoints(&[])]);
    let mut check = |case: &str, event: Event, expected: [bool; 2]| {
        println!("case {case}");
        intent.apply(event);
        intent.take_changes();
        assert_eq!(intent.take_udp_touched(), expected, "{case}");
    };
    check("s330_the_scene_is_new", web().udp().event(), [true, true]);
    check("s330_nothing_happened", web().udp().event(), [false, false]);
    check("s331_the_first_endpoint", endpoints(&["10.1.0.5 node-a"]), [true, false]);
    check("s330_one_more_endpoint", endpoints(&["10.1.0.5 node-a", "10.1.1.6 node-b"]), [false, false]);
    check("s330_one_drains", endpoints(&["10.1.0.5 node-a draining", "10.1.1.6 node-b"]), [false, false]);
    check("s330_it_goes", endpoints(&["10.1.1.6 node-b"]), [true, false]);
    check("s330_a_new_address", web().udp().external("198.51.100.3").event(), [true, false]);
    check("s330_that_goes_again", web().udp().event(), [false, false]);
    check("s330_no_udp", crate::sample::svc("tcp").ip("10.96.0.11").port("http", 80).event(), [false, false]);
    check("s330_the_service_goes", crate::sample::service_gone("web"), [false, false]);
}
