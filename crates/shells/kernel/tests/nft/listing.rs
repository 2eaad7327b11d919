//! What `nft list` shows is what a Plan prints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

use model::{Affinity, Change, LocalPods, Masquerade, Model, Outcome, Protocol, Role, Rule, Scope, Sources};
use nft::{Image, plan};

use crate::table::{Addresses, FAMILIES, Table, addresses, frontend, in_namespace, pool, rule};

/// A Model that needs every kind of chain.
fn full(at: &Addresses) -> Model {
    let endpoints: Vec<SocketAddr> = (1..4).map(|port| SocketAddr::new(at.node, port)).collect();
    let near = pool("a", Scope::Cluster, &endpoints);
    let local = Rule {
        far: pool("a", Scope::Local, &endpoints[..2]),
        masquerade: Masquerade::OnlyHost,
        ..rule(Role::LoadBalancerIp, near.clone())
    };
    let guarded = Rule { sources: Sources::Only([at.range.parse().unwrap()].into()), ..local.clone() };
    let remembered = Rule { affinity: Some(Affinity { timeout_s: 10_805 }), ..guarded.clone() };
    let node_port = Rule { role: Role::NodePort, masquerade: Masquerade::Always, ..local.clone() };
    let cluster_ip = Rule { masquerade: Masquerade::UnlessLocalPod, ..rule(Role::ClusterIp, near) };
    let tcp = |address, port| frontend(address, Protocol::Tcp, port);
    Model {
        frontends: [
            (tcp(at.external_ip, 80), local),
            (tcp(at.external_ip, 81), guarded),
            (tcp(at.external_ip, 82), remembered),
            (tcp("node", 30080), node_port),
            (tcp(at.cluster_ip, 80), cluster_ip),
            (tcp(at.cluster_ip, 81), rule(Role::ClusterIp, Outcome::Reject)),
        ]
        .into(),
        node_addresses: [at.node].into(),
        local_pods: LocalPods::Ranges([at.range.parse().unwrap()].into()),
        ..at.model()
    }
}

/// The rules of each chain in a listing, one line each.
fn listed(listing: &str) -> BTreeMap<String, Vec<String>> {
    let mut chains = BTreeMap::new();
    let mut chain: Option<&mut Vec<String>> = None;
    for line in listing.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ") {
            chain = Some(chains.entry(name.trim_end_matches(" {").to_owned()).or_insert_with(Vec::new));
        } else if line == "}" {
            chain = None;
        } else if let Some(rules) = &mut chain
            && !line.starts_with("type nat hook")
        {
            rules.push(line.to_owned());
        }
    }
    chains
}

/// The rules of each chain in a Plan.
fn planned(plan: &str) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in plan.lines().filter_map(|line| line.strip_prefix("add rule ")) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        chains.entry(words[2].to_owned()).or_default().push(words[3].to_owned());
    }
    chains
}

#[test]
fn the_nft_program_lists_the_rules_as_the_plan_prints_them() {
    if Command::new("nft").arg("--version").output().is_err() {
        println!("SKIP: listing: no nft program");
        return;
    }
    in_namespace("listing", || {
        for family in FAMILIES {
            let at = addresses(family);
            let model = full(&at);
            let mut table = Table::new(family);
            table.program(&model);
            let plan = plan(&Change::between(&Model::empty(family), &model), &Image::absent(family));
            assert_eq!(listed(&table.list()), planned(&plan.to_string()), "{family:?}");
            assert!(table.list().contains("goto affinity-10805-3"), "a listing shows elements too");
        }
    });
}
