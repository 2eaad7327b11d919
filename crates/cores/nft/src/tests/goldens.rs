//! What is done, step by step, for small changes. Written by hand after the layout.

use model::{Affinity, Change, Family, LocalPods, Masquerade, Model, Outcome, Role, Rule, Scope, Sources};

use super::models::{frontend, pool, rule};
use crate::{Image, Subject, Unplannable, Why, plan};

/// An Image that holds this Model.
fn image(model: &Model) -> Image {
    let mut image = Image::absent(model.family);
    image.apply(&plan(&Change::between(&image.model(), model), &image));
    image
}

/// The steps that turn one Model into another.
fn check(before: &Model, after: &Model, expected: &str) {
    let image = image(before);
    let plan = plan(&Change::between(before, after), &image);
    assert_eq!(plan.report, []);
    let trimmed =
        |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&plan.to_string()), trimmed(expected));
}

fn one(family: Family, at: &str, rule: Rule) -> Model {
    Model { frontends: [(frontend(at), rule)].into(), ..Model::empty(family) }
}

fn cluster_ip(endpoints: &[&str]) -> Model {
    let outcome = if endpoints.is_empty() { Outcome::Reject } else { pool("a", Scope::Cluster, endpoints) };
    one(Family::V4, "10.96.0.10:80", rule(Role::ClusterIp, Masquerade::UnlessLocalPod, outcome))
}

#[test]
fn a_new_service_is_rows_and_a_code_and_its_address() {
    check(
        &Model::empty(Family::V4),
        &cluster_ip(&["10.1.0.1:8080", "10.1.0.2:8080!"]),
        "add chain ip maitred n2
         add rule ip maitred n2 meta priority set numgen random mod 2 goto pick
         add element ip maitred hairpin { 10.1.0.2 . 10.1.0.2 }
         add element ip maitred dispatch { 0:2 : jump n2 }
         add element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . none : 10.1.0.1 . 8080 }
         add element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . 0:1 : 10.1.0.2 . 8080 }
         add element ip maitred frontends { 10.96.0.10 . tcp . 80 : 8000:2 }
         add element ip maitred cluster-ips { 10.96.0.10 }",
    );
}

#[test]
fn replacing_an_endpoint_changes_its_slot() {
    check(
        &cluster_ip(&["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"]),
        &cluster_ip(&["10.1.0.1:80", "10.1.0.9:80", "10.1.0.3:80"]),
        "delete element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . 0:1 : 10.1.0.2 . 80 }
         add element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . 0:1 : 10.1.0.9 . 80 }",
    );
}

#[test]
fn shrinking_moves_the_last_endpoint_into_the_hole() {
    check(
        &cluster_ip(&["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"]),
        &cluster_ip(&["10.1.0.2:80", "10.1.0.3:80"]),
        "add chain ip maitred n2
         add rule ip maitred n2 meta priority set numgen random mod 2 goto pick
         add element ip maitred dispatch { 0:2 : jump n2 }
         delete element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . none : 10.1.0.1 . 80 }
         delete element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . 0:2 : 10.1.0.3 . 80 }
         add element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . none : 10.1.0.3 . 80 }
         delete element ip maitred frontends { 10.96.0.10 . tcp . 80 : 8000:3 }
         add element ip maitred frontends { 10.96.0.10 . tcp . 80 : 8000:2 }
         delete element ip maitred dispatch { 0:3 : jump n3 }
         delete chain ip maitred n3",
    );
}

#[test]
fn s311_the_last_endpoint_leaves_a_code_that_refuses() {
    check(
        &cluster_ip(&["10.1.0.1:80"]),
        &cluster_ip(&[]),
        "delete element ip maitred endpoints-10 { 10.96.0.10 . tcp . 80 . none : 10.1.0.1 . 80 }
         delete element ip maitred frontends { 10.96.0.10 . tcp . 80 : 8000:1 }
         add element ip maitred frontends { 10.96.0.10 . tcp . 80 : a000:1 }
         delete element ip maitred dispatch { 0:1 : jump n1 }
         delete chain ip maitred n1",
    );
}

#[test]
fn s313_s316_a_guarded_load_balancer_with_local_traffic_policy_asks_in_three_stages() {
    let guarded = Rule {
        sources: Sources::Only(["192.0.2.0/24".parse().unwrap()].into()),
        far: pool("a", Scope::Local, &["10.1.0.2:80!"]),
        ..rule(Role::LoadBalancerIp, Masquerade::OnlyHost, pool("a", Scope::Cluster, &["10.1.0.1:80", "10.1.0.2:80!"]))
    };
    check(
        &Model::empty(Family::V4),
        &one(Family::V4, "198.51.100.7:443", guarded),
        "add chain ip maitred n2
         add chain ip maitred l1
         add rule ip maitred n2 meta priority set numgen random mod 2 goto pick
         add rule ip maitred l1 meta priority set numgen random mod 1 goto pick-local
         add element ip maitred hairpin { 10.1.0.2 . 10.1.0.2 }
         add element ip maitred dispatch-local { 0:1 : goto l1 }
         add element ip maitred dispatch-cluster { 0:2 : goto n2 }
         add element ip maitred source-ranges { 198.51.100.7 . tcp . 443 . 192.0.2.0/24 }
         add element ip maitred endpoints-local { 198.51.100.7 . tcp . 443 . none : 10.1.0.2 . 80 }
         add element ip maitred endpoints-7 { 198.51.100.7 . tcp . 443 . none : 10.1.0.1 . 80 }
         add element ip maitred endpoints-7 { 198.51.100.7 . tcp . 443 . 0:1 : 10.1.0.2 . 80 }
         add element ip maitred frontends-local { 198.51.100.7 . tcp . 443 : 0:1 }
         add element ip maitred frontends-cluster { 198.51.100.7 . tcp . 443 : 0:2 }
         add element ip maitred frontends-guarded { 198.51.100.7 . tcp . 443 : 2000:3 }
         add element ip maitred frontends { 198.51.100.7 . tcp . 443 : e008:4 }",
    );
}

#[test]
fn s319_a_node_port_stands_under_the_zero_address() {
    let rule = rule(Role::NodePort, Masquerade::Always, pool("a", Scope::Cluster, &["[fd00:1::1]:80"]));
    let after = Model {
        node_addresses: ["fd00::5".parse().unwrap()].into(),
        service_ranges: ["fd00:96::/112".parse().unwrap()].into(),
        ..one(Family::V6, "node:30080", rule)
    };
    check(
        &Model::empty(Family::V6),
        &after,
        "add chain ip6 maitred n1
         add rule ip6 maitred n1 meta priority set numgen random mod 1 goto pick
         add element ip6 maitred nodeport-ips { fd00::5 }
         add element ip6 maitred dispatch { 0:1 : jump n1 }
         add element ip6 maitred service-cidrs { fd00:96::/112 }
         add element ip6 maitred endpoints-nodeport { :: . tcp . 30080 . none : fd00:1::1 . 80 }
         add element ip6 maitred frontends { :: . tcp . 30080 : 400c:1 }",
    );
}

#[test]
fn s322_another_detector_replaces_the_rules_that_ask_it() {
    let with = |local_pods| Model { local_pods, ..Model::empty(Family::V4) };
    check(
        &with(LocalPods::Ranges(["10.1.0.0/24".parse().unwrap()].into())),
        &with(LocalPods::InterfacePrefix("cali".into())),
        "flush chain ip maitred ext-local
         add rule ip maitred ext-local iifname \"cali*\" goto ext-local-cluster
         add rule ip maitred ext-local fib saddr type local goto ext-local-cluster
         add rule ip maitred ext-local meta priority set ip daddr . meta l4proto . th dport map @frontends-local meta priority & 3ff3:ffff vmap @dispatch-local
         add rule ip maitred ext-local meta priority set ip daddr & 0.0.0.0 . meta l4proto . th dport map @frontends-local meta priority & 3ff3:ffff vmap @dispatch-local
         add rule ip maitred ext-local drop
         flush chain ip maitred masq-unless-local-pod
         add rule ip maitred masq-unless-local-pod meta priority set none
         add rule ip maitred masq-unless-local-pod iifname \"cali*\" return
         add rule ip maitred masq-unless-local-pod masquerade fully-random
         flush set ip maitred local-sources",
    );
}

#[test]
fn s324_frontends_of_one_service_port_share_a_pool_and_those_of_another_do_not() {
    let with_affinity = |service, outcome: &[&str]| Rule {
        affinity: Some(Affinity { timeout_s: 10800 }),
        ..rule(Role::ClusterIp, Masquerade::Never, pool(service, Scope::Cluster, outcome))
    };
    let model = Model {
        frontends: [
            (frontend("10.96.0.10:80"), with_affinity("a", &["10.1.0.1:80"])),
            (frontend("198.51.100.7:80"), with_affinity("a", &["10.1.0.1:80"])),
            (frontend("10.96.0.11:80"), with_affinity("b", &["10.1.0.1:80"])),
        ]
        .into(),
        ..Model::empty(Family::V4)
    };
    let image = image(&model);
    assert_eq!(image.pools.len(), 2);
    let mut uses: Vec<u32> =
        image.pools.values().map(|pool| pool.members.values().map(|member| member.uses).sum()).collect();
    uses.sort_unstable();
    assert_eq!(uses, [1, 2]);

    // After a restart the kernel says no names, but the Model does.
    let mut observed = Image { names: Default::default(), ..image.clone() };
    observed.pools.values_mut().for_each(|pool| pool.name = None);
    observed.name_pools(&model);
    assert_eq!(observed.names, image.names);
}

#[test]
fn what_the_table_cannot_express_is_reported_and_left_out() {
    let guarded = Rule {
        sources: Sources::Only(["192.0.2.0/24".parse().unwrap()].into()),
        ..rule(Role::NodePort, Masquerade::Always, Outcome::Drop)
    };
    let other = rule(Role::ClusterIp, Masquerade::Never, pool("a", Scope::Cluster, &["10.1.0.1:80"]));
    let mixed = rule(Role::ClusterIp, Masquerade::Never, pool("a", Scope::Cluster, &["[fd00::1]:80"]));
    let model = Model {
        frontends: [
            (frontend("node:30080"), guarded),
            (frontend("[fd00::2]:80"), other),
            (frontend("10.96.0.10:80"), mixed),
        ]
        .into(),
        ..Model::empty(Family::V4)
    };
    let image = Image::absent(Family::V4);
    let plan = plan(&Change::between(&image.model(), &model), &image);
    let report = |at: &str, why| Unplannable { subject: Subject::Frontend(frontend(at)), why };
    assert_eq!(
        plan.report,
        [
            report("10.96.0.10:80", Why::OtherFamily),
            report("[fd00::2]:80", Why::OtherFamily),
            report("node:30080", Why::GuardedNodePort),
        ]
    );
    let mut image = image;
    image.apply(&plan);
    assert_eq!(image.frontends(), 0);
    assert_eq!(
        plan.report[2].to_string(),
        "frontend node:30080/tcp cannot be programmed: source ranges on a node port"
    );
}
