//! Cases written by hand from docs/semantics.md, section 3: objects, a packet, what comes of it. Every case is tried in
//! both families, by TCP and UDP; where several endpoints may answer, all of them have to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use intent::{Config, Detector, Event};
use ipnet::IpNet;
use kernel::links::Scope;
use lab::{Outcome, Request};
use model::{Family, Protocol};
use serde_json::{Value, json};

use crate::judge::{PATIENCE, SILENCE};
use crate::objects::{
    balancer_ip, cluster_ip, exposed, external_ip, internal, node_port, policies, service, slices, with,
};
use crate::probe::{Question, Reply, ask_all};
use crate::scene::{Asker, Node, Scene, TARGET_PORTS, config, unassigned};
use Asker::{Endpoint, Host, LocalPod, Outside, RemotePod};
use At::{Balancer, Cluster, External, NodePort};

/// At which frontend of a Service a client knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Cluster,
    External,
    Balancer,
    NodePort,
    /// A port of these that the Service doesn't have.
    ClusterUnused,
    ExternalUnused,
    /// An address of a Service range that no Service has; the number doesn't count.
    Unassigned,
}

/// A case: Service number, frontend, clients, and for each of them the same outcome in the words of [`Want`].
#[derive(Clone, Copy)]
struct Case(&'static str, u16, At, &'static [Asker], &'static str);

/// `refused`, `silence`, `elsewhere`, `ENDPOINTS as itself|node`: all of them answer, and see the client or node-0, or
/// `one of ENDPOINTS as …`: always the same of them.
enum Want {
    Refused,
    Silence,
    Elsewhere,
    Answers { endpoints: Vec<String>, as_node: bool, stays: bool },
}

/// So often a client that stays with its endpoint is asked.
const STAYS: usize = 10;

impl Want {
    fn parse(text: &str) -> Want {
        match text {
            "refused" => Want::Refused,
            "silence" => Want::Silence,
            "elsewhere" => Want::Elsewhere,
            _ => {
                let (endpoints, seen) = text.split_once(" as ").expect("who answers, and whom they see");
                let stays = endpoints.starts_with("one of ");
                let endpoints = endpoints.trim_start_matches("one of ").split(' ').map(str::to_owned).collect();
                Want::Answers { endpoints, as_node: seen == "node", stays }
            }
        }
    }
}

/// The clients that no local-traffic detector knows.
const FAR: &[Asker] = &[RemotePod, Outside];
const ALL: &[Asker] = &Asker::ALL;

/// The Services, by number, each with its endpoints.
fn services() -> Vec<(u16, Value, &'static [&'static str])> {
    let guarded = |number, ranges: &[&str]| with(exposed(number), "loadBalancerSourceRanges", json!(ranges));
    let mut proxied = exposed(20);
    for ingress in proxied["status"]["loadBalancer"]["ingress"].as_array_mut().unwrap() {
        ingress["ipMode"] = json!("Proxy");
    }
    let mut named = exposed(35);
    named["status"]["loadBalancer"]["ingress"] = json!([{"hostname": "lb.example.com"}]);
    let mut younger = exposed(34);
    younger["spec"]["externalIPs"] = exposed(33)["spec"]["externalIPs"].clone();
    younger["metadata"]["creationTimestamp"] = json!("2026-01-02T00:00:00Z");
    let client = &["172.31.0.200/32", "fd00:31::c8/128"];
    vec![
        (1, exposed(1), &["a1", "b0", "b1"]),
        (2, exposed(2), &[]),
        (3, policies(exposed(3), "Local", "Local"), &[]),
        (4, policies(exposed(4), "Local", "Local"), &["b0", "b1"]),
        (5, policies(exposed(5), "Cluster", "Local"), &["a1", "b0"]),
        (6, policies(internal(6), "Local", "Cluster"), &["a1", "a2", "b0"]),
        (7, policies(exposed(7), "Cluster", "Local"), &["a1 draining", "b0"]),
        (8, exposed(8), &["a1 draining", "b0 draining", "a2 down", "b1 unready"]),
        (9, exposed(9), &["a1 down", "b0 unready"]),
        (10, internal(10), &["a1 zone=east", "b0 zone=west", "b1 zone=east"]),
        (11, internal(11), &["a1 zone=east", "b0 zone=west", "b1"]),
        (12, internal(12), &["a1 node=node-0 zone=west", "b0 node=node-1 zone=east", "a2 node=node-1 zone=east"]),
        (13, internal(13), &["a1 zone=west", "b0 zone=north"]),
        (14, internal(14), &["a1 zone=east", "b0 zone=west", "b1 draining", "a2 unready"]),
        (15, policies(exposed(15), "Cluster", "Local"), &["a1 zone=west", "a2 zone=east", "b0 zone=west"]),
        (16, internal(16), &["a1 draining zone=west", "b0 draining zone=west"]),
        (17, policies(exposed(17), "Cluster", "Local"), &["a0"]),
        (18, guarded(18, client), &["a1", "b0"]),
        (19, guarded(19, client), &[]),
        (20, proxied, &["a1"]),
        (21, guarded(21, &["192.0.2.0/24", "0.0.0.0/0", "::/0"]), &["a1"]),
        (22, policies(guarded(22, client), "Cluster", "Local"), &["b0"]),
        (23, policies(internal(23), "Local", "Local"), &["b0 draining"]),
        (24, policies(internal(24), "Local", "Local"), &["b0 unready"]),
        (25, policies(guarded(25, client), "Cluster", "Local"), &["a1", "b0"]),
        (26, guarded(26, &["10.244.0.0/24", "fd00:10:244::/64", "172.31.0.10/32", "fd00:31::a/128"]), &["a1"]),
        (27, policies(exposed(27), "Local", "Cluster"), &["a1", "b0"]),
        (28, policies(exposed(28), "Local", "Cluster"), &["b0"]),
        (29, internal(29), &["a1 node=node-1 zone=east", "b0 node=node-1 zone=west"]),
        (30, internal(30), &["a0", "b0"]),
        (31, with(exposed(31), "sessionAffinity", json!("ClientIP")), &["a1", "b0", "b1"]),
        (32, internal(32), &["a1", "a1 draining", "b0"]),
        (33, exposed(33), &["a1"]),
        (34, younger, &["b0"]),
        (35, named, &["a1"]),
    ]
}

pub fn objects(scene: &Scene) -> Vec<Event> {
    let all = services().into_iter();
    all.flat_map(|(number, object, endpoints)| [service(object)].into_iter().chain(slices(scene, number, endpoints)))
        .collect()
}

const CASES: &[Case] = &[
    // The table of frontends, first column: there is an endpoint.
    Case("t33_cluster_ip_leads_to_every_endpoint", 1, Cluster, &[LocalPod], "a1 b0 b1 as itself"),
    Case("t33_external_ip_leads_to_every_endpoint", 1, External, ALL, "a1 b0 b1 as node"),
    Case("t33_load_balancer_ip_leads_to_every_endpoint", 1, Balancer, ALL, "a1 b0 b1 as node"),
    Case("t33_node_port_leads_to_every_endpoint", 1, NodePort, ALL, "a1 b0 b1 as node"),
    // Second column: no endpoint anywhere.
    Case("t33_cluster_ip_without_endpoints_refuses", 2, Cluster, ALL, "refused"),
    Case("t33_external_ip_without_endpoints_refuses", 2, External, ALL, "refused"),
    Case("t33_load_balancer_ip_without_endpoints_refuses", 2, Balancer, ALL, "refused"),
    Case("t33_node_port_without_endpoints_refuses", 2, NodePort, ALL, "refused"),
    Case("t33_local_cluster_ip_without_endpoints_refuses", 3, Cluster, ALL, "refused"),
    Case("t33_local_external_ip_without_endpoints_refuses", 3, External, ALL, "refused"),
    Case("t33_local_load_balancer_ip_without_endpoints_refuses", 3, Balancer, ALL, "refused"),
    Case("t33_local_node_port_without_endpoints_refuses", 3, NodePort, ALL, "refused"),
    // Third column: policy Local, endpoints elsewhere.
    Case("t33_local_cluster_ip_with_endpoints_elsewhere_is_silent", 4, Cluster, ALL, "silence"),
    Case("t33_local_external_ip_with_endpoints_elsewhere_is_silent", 4, External, FAR, "silence"),
    Case("t33_local_load_balancer_ip_with_endpoints_elsewhere_is_silent", 4, Balancer, FAR, "silence"),
    Case("t33_local_node_port_with_endpoints_elsewhere_is_silent", 4, NodePort, FAR, "silence"),
    // Row four.
    Case("t33_a_proxy_mode_ingress_is_not_programmed", 20, Balancer, &[LocalPod, RemotePod, Outside], "elsewhere"),
    Case("t33_a_proxy_mode_ingress_leaves_the_node_port", 20, NodePort, ALL, "a1 as node"),
    Case("t33_an_ingress_that_is_a_name_is_not_programmed", 35, Balancer, &[LocalPod, RemotePod, Outside], "elsewhere"),
    Case("t33_an_ingress_that_is_a_name_leaves_the_node_port", 35, NodePort, ALL, "a1 as node"),
    Case("s303_a_terminating_entry_doesnt_replace_a_ready_one", 32, Cluster, &[LocalPod], "a1 b0 as itself"),
    Case(
        "s306_internal_policy_local_doesnt_bind_external_frontends",
        27,
        External,
        &[Outside, LocalPod],
        "a1 b0 as node",
    ),
    Case("s306_internal_policy_local_binds_the_cluster_ip", 27, Cluster, &[LocalPod], "a1 as itself"),
    Case("s306_external_frontends_use_the_cluster_set_where_internal_is_local", 28, NodePort, &[Outside], "b0 as node"),
    Case("s306_internal_policy_local_has_no_endpoint_here", 28, Cluster, &[LocalPod, Host], "silence"),
    Case("s307_a_ready_endpoint_keeps_terminating_ones_out", 7, Cluster, &[LocalPod], "b0 as itself"),
    Case("s307_the_local_set_falls_back_on_its_own", 7, External, FAR, "a1 as itself"),
    Case("s307_the_cluster_set_of_an_external_frontend_is_the_ready_one", 7, NodePort, &[LocalPod], "b0 as itself"),
    Case("s307_without_ready_endpoints_terminating_ones_serve", 8, Cluster, &[LocalPod], "a1 b0 as itself"),
    Case("s307_topology_is_ignored_by_the_fallback", 16, Cluster, &[LocalPod], "a1 b0 as itself"),
    Case("s307_topology_never_applies_to_the_local_set", 15, Balancer, &[Outside], "a1 a2 as itself"),
    Case("s308_zone_hints_choose_this_nodes_zone", 10, Cluster, &[LocalPod], "a1 b1 as itself"),
    Case("s308_one_endpoint_without_hints_ends_topology", 11, Cluster, &[LocalPod], "a1 b0 b1 as itself"),
    Case("s308_node_hints_come_before_zone_hints", 12, Cluster, &[LocalPod], "a1 as itself"),
    Case("s308_a_zone_without_endpoints_ends_topology", 13, Cluster, &[LocalPod], "a1 b0 as itself"),
    Case("s308_only_ready_endpoints_need_hints", 14, Cluster, &[LocalPod], "a1 as itself"),
    Case("s308_node_hints_for_others_leave_zone_hints", 29, Cluster, &[LocalPod], "a1 as itself"),
    Case("s309_neither_ready_nor_terminating_is_no_endpoint", 9, Cluster, &[LocalPod, Host], "refused"),
    Case("s309_neither_ready_nor_terminating_is_no_external_endpoint", 9, NodePort, &[Outside], "refused"),
    Case("s309_a_terminating_endpoint_elsewhere_counts_for_policy_local", 23, Cluster, &[LocalPod, Host], "silence"),
    Case("s309_an_unready_endpoint_elsewhere_doesnt_count", 24, Cluster, &[LocalPod, Host], "refused"),
    Case("s313_a_local_pod_gets_any_endpoint_and_keeps_its_source", 5, External, &[LocalPod], "a1 b0 as itself"),
    Case("s313_a_local_pod_gets_any_endpoint_at_a_node_port", 5, NodePort, &[LocalPod], "a1 b0 as itself"),
    Case("s313_a_local_pod_is_served_from_elsewhere", 4, Balancer, &[LocalPod], "b0 b1 as itself"),
    Case("s313_a_topology_applies_to_local_pods", 15, Balancer, &[LocalPod], "a2 as itself"),
    Case("s313_b_the_host_gets_any_endpoint", 5, External, &[Host], "a1 b0 as node"),
    Case("s313_b_the_host_is_served_from_elsewhere", 4, NodePort, &[Host], "b0 b1 as node"),
    Case("s313_c_outside_client_gets_a_local_endpoint_and_keeps_its_source", 5, External, &[Outside], "a1 as itself"),
    Case("s313_c_outside_client_keeps_its_source_at_the_load_balancer", 5, Balancer, &[Outside], "a1 as itself"),
    Case("s313_c_outside_client_keeps_its_source_at_a_node_port", 5, NodePort, &[Outside], "a1 as itself"),
    Case("s313_c_a_pod_of_another_node_keeps_its_source", 5, NodePort, &[RemotePod], "a1 as itself"),
    Case("s314_a_local_pod_keeps_its_source_at_a_cluster_ip", 30, Cluster, &[LocalPod], "a0 b0 as itself"),
    Case(
        "s314_who_is_no_local_pod_is_masqueraded_at_a_cluster_ip",
        30,
        Cluster,
        &[Host, RemotePod, Outside],
        "a0 b0 as node",
    ),
    Case("s314_internal_policy_local_masquerades_as_well", 6, Cluster, &[Host, RemotePod, Outside], "a1 a2 as node"),
    Case("s314_internal_policy_local_keeps_a_local_pods_source", 6, Cluster, &[LocalPod], "a1 a2 as itself"),
    Case("s315_an_endpoint_reaches_itself_by_its_cluster_ip", 17, Cluster, &[Endpoint], "a0 as node"),
    Case("s315_an_endpoint_reaches_itself_by_its_external_ip", 17, External, &[Endpoint], "a0 as node"),
    Case("s315_an_endpoint_reaches_itself_by_its_load_balancer_ip", 17, Balancer, &[Endpoint], "a0 as node"),
    Case("s315_an_endpoint_reaches_itself_by_its_node_port", 17, NodePort, &[Endpoint], "a0 as node"),
    Case("s315_an_endpoint_keeps_its_source_for_others", 6, Cluster, &[Endpoint], "a1 a2 as itself"),
    Case("s316_a_client_in_range_comes_in", 18, Balancer, &[Outside], "a1 b0 as node"),
    Case(
        "s316_pods_and_nodes_are_subject_to_the_ranges",
        18,
        Balancer,
        &[LocalPod, Endpoint, Host, RemotePod],
        "silence",
    ),
    Case("s316_external_ips_have_no_guard", 18, External, ALL, "a1 b0 as node"),
    Case("s316_node_ports_have_no_guard", 18, NodePort, ALL, "a1 b0 as node"),
    Case("s316_cluster_ips_have_no_guard", 18, Cluster, &[Host, RemotePod, Outside], "a1 b0 as node"),
    Case("s316_a_range_of_everything_is_no_guard", 21, Balancer, ALL, "a1 as node"),
    Case("s316_ranges_of_pods_and_the_node_let_them_in", 26, Balancer, &[LocalPod, Host], "a1 as node"),
    Case("s316_ranges_of_pods_and_the_node_keep_others_out", 26, Balancer, &[RemotePod, Outside], "silence"),
    Case("s316_in_range_and_local_keeps_the_source", 25, Balancer, &[Outside], "a1 as itself"),
    Case("s316_out_of_range_and_local_is_silent", 25, Balancer, &[LocalPod, Host, RemotePod], "silence"),
    Case("s316_in_range_with_endpoints_elsewhere_is_silent", 22, Balancer, &[Outside], "silence"),
    Case("s317_the_oldest_has_an_external_ip_that_two_want", 33, External, ALL, "a1 as node"),
    Case("s317_the_younger_keeps_what_only_it_wants", 34, Balancer, ALL, "b0 as node"),
    Case("s324_a_local_pod_stays_with_its_endpoint", 31, Cluster, &[LocalPod], "one of a1 b0 b1 as itself"),
    Case("s324_clients_stay_with_their_endpoint_at_an_external_ip", 31, External, ALL, "one of a1 b0 b1 as node"),
    Case("s324_clients_stay_with_their_endpoint_at_a_node_port", 31, NodePort, ALL, "one of a1 b0 b1 as node"),
    Case("s341_an_unused_port_of_a_cluster_ip_is_refused", 1, At::ClusterUnused, ALL, "refused"),
    Case("s341_an_unused_port_of_a_cluster_ip_without_endpoints_is_refused", 2, At::ClusterUnused, ALL, "refused"),
    Case("s341_an_unassigned_address_of_a_service_range_is_silent", 0, At::Unassigned, ALL, "silence"),
    Case(
        "s341_an_unused_port_of_an_external_ip_is_left_alone",
        1,
        At::ExternalUnused,
        &[LocalPod, Outside],
        "elsewhere",
    ),
    Case("s343_out_of_range_is_silent_without_endpoints", 19, Balancer, &[LocalPod, Host, RemotePod], "silence"),
    Case("s343_in_range_is_refused_without_endpoints", 19, Balancer, &[Outside], "refused"),
];

/// With `masqueradeAll`.
const MASQUERADE_ALL: &[Case] = &[
    Case("s314_masquerade_all_covers_local_pods", 30, Cluster, ALL, "a0 b0 as node"),
    Case("s313_masquerade_all_is_for_cluster_ips_alone", 5, External, &[LocalPod], "a1 b0 as itself"),
];

/// Without a local-traffic detector.
const NO_DETECTOR: &[Case] = &[
    Case(
        "s314_without_a_detector_nobody_is_masqueraded_at_a_cluster_ip",
        6,
        Cluster,
        &[LocalPod, RemotePod, Outside],
        "a1 a2 as itself",
    ),
    Case("s322_without_a_detector_a_local_pod_gets_local_endpoints", 5, External, &[LocalPod], "a1 as itself"),
];

#[test]
fn every_case_written_by_hand_holds_for_packets() {
    lab::test(|| {
        let scene = Scene::new();
        let mut wrong = Vec::new();
        let configs = [
            (config(), CASES),
            (Config { masquerade_all: true, ..config() }, MASQUERADE_ALL),
            (Config { detector: Detector::None, ..config() }, NO_DETECTOR),
        ];
        for (config, cases) in configs {
            let mut node = Node::start(&scene, config);
            node.hear(objects(&scene));
            assert_eq!(node.difference(&scene), "");
            cases.iter().for_each(|case| println!("case {}", case.0));
            let found = disagreements(&scene, cases, PATIENCE);
            wrong.extend(found.into_iter().map(|(id, wrong)| format!("{id}: {}", wrong.text)));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn s316_empty_after_family_filtering_is_no_guard() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        let guarded = with(exposed(1), "loadBalancerSourceRanges", json!(["192.0.2.0/24"]));
        node.hear([service(guarded)].into_iter().chain(slices(&scene, 1, &["a1"])));
        println!("case s316_empty_after_family_filtering_is_no_guard");
        let ask = |family| Question {
            asker: Outside,
            protocol: Protocol::Tcp,
            to: SocketAddr::new(balancer_ip(1, family), 80),
            patience: Duration::from_millis(500),
        };
        let replies = ask_all(&scene, &Family::ALL.map(ask));
        assert_eq!(replies[0], Reply::Silence);
        let server = SocketAddr::new(scene.endpoint("a1").ips().v6.unwrap().into(), TARGET_PORTS[0]);
        assert_eq!(replies[1], Reply::Answered { server, source: scene.node_address(Family::V6) });
    });
}

#[test]
fn s316_a_host_that_has_bound_the_address_comes_in_from_it_where_a_range_holds_the_node() {
    lab::test(|| {
        let scene = Scene::new();
        let mut node = Node::start(&scene, config());
        let ranges = Family::ALL.map(|family| IpNet::from(scene.node_address(family)).to_string());
        for (number, ranges) in [(1, json!(ranges)), (2, json!(["192.0.2.0/24", "2001:db8:9::/64"]))] {
            let guarded = with(exposed(number), "loadBalancerSourceRanges", ranges);
            node.hear([service(guarded)].into_iter().chain(slices(&scene, number, &["a1"])));
        }
        println!("case s316_a_host_that_has_bound_the_address_comes_in_from_it_where_a_range_holds_the_node");
        for family in Family::ALL {
            let ask = |number| {
                let vip = balancer_ip(number, family);
                scene.lab.node(0).links().add_address("lo", vip.into(), Scope::Global).unwrap();
                let from = Some(SocketAddr::new(vip, scene.next_port()));
                let request = Request { from, ..Request::new(SocketAddr::new(vip, 80), Duration::from_secs(2)) };
                request.send(scene.asker(Host).namespace()).unwrap()
            };
            assert_eq!(ask(1).pod(), Some("a1"), "{family:?}");
            assert_eq!(ask(2), Outcome::Timeout, "{family:?}: no range holds the node");
        }
    });
}

/// How often a question is asked before those who haven't answered it are missed: one of three stays away by chance once in
/// ten million times.
const ROUNDS: usize = 40;
/// How long an answer may take where it probably doesn't come.
const HASTE: Duration = Duration::from_millis(700);

/// How packets differ from the cases written by hand, whose objects node-0 knows. An answer that is merely late is not
/// missed: where the only sign is silence, it has to last.
pub fn noticed(scene: &Scene) -> Vec<String> {
    let text = |(id, wrong): (&str, Wrong)| format!("{id}: {}", wrong.text);
    let (silent, wrong): (Vec<_>, Vec<_>) =
        disagreements(scene, CASES, HASTE).into_iter().partition(|(_, wrong)| wrong.is_silence);
    if !wrong.is_empty() {
        return wrong.into_iter().map(text).collect();
    }
    let silent: BTreeSet<&str> = silent.into_iter().map(|(id, _)| id).collect();
    let silent: Vec<Case> = CASES.iter().filter(|case| silent.contains(case.0)).copied().collect();
    // One that stays is enough.
    let lasting = silent.chunks(6).map(|some| disagreements(scene, some, PATIENCE)).find(|found| !found.is_empty());
    lasting.into_iter().flatten().map(text).collect()
}

/// What was wrong, and whether it was only that nothing came back.
struct Wrong {
    text: String,
    is_silence: bool,
}

/// One case for one client, in one family, by one protocol.
struct Trial<'a> {
    case: &'a Case,
    question: Question,
    want: Want,
    /// Who answered so far, and how often anybody did.
    seen: BTreeSet<SocketAddr>,
    answers: usize,
}

/// The case and what was wrong.
fn disagreements<'a>(scene: &Scene, cases: &'a [Case], patience: Duration) -> Vec<(&'a str, Wrong)> {
    let mut open: Vec<Trial> = cases.iter().flat_map(|case| trials(scene, case, patience)).collect();
    let mut wrong = Vec::new();
    let mut rounds = 0;
    while !open.is_empty() {
        rounds += 1;
        let questions: Vec<Question> = open.iter().map(|trial| trial.question).collect();
        let replies = ask_all(scene, &questions);
        open = open
            .into_iter()
            .zip(replies)
            .filter_map(|(trial, reply)| {
                let id = trial.case.0;
                let question = trial.question;
                let is_silence = reply == Reply::Silence;
                let text = match trial.hear(scene, reply) {
                    Ok(None) => return None,
                    Ok(Some(trial)) if rounds < ROUNDS => return Some(trial),
                    Ok(Some(trial)) => format!("asked {ROUNDS} times, only {:?} answered", trial.seen),
                    Err(text) => text,
                };
                wrong.push((id, Wrong { text: format!("{question}: {text}"), is_silence }));
                None
            })
            .collect();
    }
    wrong
}

fn trials<'a>(scene: &Scene, case: &'a Case, patience: Duration) -> Vec<Trial<'a>> {
    let Case(_, number, at, askers, want) = case;
    let mut trials = Vec::new();
    for family in Family::ALL {
        let to = match at {
            At::Cluster => SocketAddr::new(cluster_ip(*number, family), 80),
            At::ClusterUnused => SocketAddr::new(cluster_ip(*number, family), 81),
            At::Unassigned => SocketAddr::new(unassigned(family), 80),
            At::External => SocketAddr::new(external_ip(*number, family), 80),
            At::ExternalUnused => SocketAddr::new(external_ip(*number, family), 81),
            At::Balancer => SocketAddr::new(balancer_ip(*number, family), 80),
            At::NodePort => SocketAddr::new(scene.node_address(family), node_port(*number)),
        };
        for (asker, protocol) in askers.iter().flat_map(|asker| [(*asker, Protocol::Tcp), (*asker, Protocol::Udp)]) {
            let want = Want::parse(want);
            let patience = match want {
                Want::Silence | Want::Elsewhere => SILENCE,
                Want::Refused | Want::Answers { .. } => patience,
            };
            let question = Question { asker, protocol, to, patience };
            trials.push(Trial { case, question, want, seen: BTreeSet::new(), answers: 0 });
        }
    }
    trials
}

impl Trial<'_> {
    /// Nothing if the case holds, itself if more has to be heard.
    fn hear(mut self, scene: &Scene, reply: Reply) -> Result<Option<Self>, String> {
        match (&self.want, &reply) {
            (Want::Refused, Reply::Refused)
            | (Want::Silence, Reply::Silence)
            | (Want::Elsewhere, Reply::Silence | Reply::NoWay(_)) => Ok(None),
            (Want::Answers { endpoints, as_node, stays }, Reply::Answered { server, source }) => {
                let family = Family::of(server.ip());
                let all: BTreeMap<IpAddr, &String> = endpoints
                    .iter()
                    .map(|name| (crate::scene::address(scene.endpoint(name).ips(), family), name))
                    .collect();
                let right = match as_node {
                    true => scene.node_address(family),
                    false => scene.source(self.question.asker, family),
                };
                if !all.contains_key(&server.ip()) || server.port() != TARGET_PORTS[0] {
                    return Err(format!("{server} answered"));
                }
                if *source != right {
                    return Err(format!("{server} saw {source}"));
                }
                self.seen.insert(*server);
                self.answers += 1;
                if *stays && self.seen.len() > 1 {
                    return Err(format!("{:?} answered in turn", self.seen));
                }
                let enough = if *stays { self.answers == STAYS } else { self.seen.len() == all.len() };
                Ok((!enough).then_some(self))
            }
            _ => Err(format!("expected {}, got {reply:?}", self.case.4)),
        }
    }
}
