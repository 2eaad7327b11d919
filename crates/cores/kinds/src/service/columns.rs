//! `kubectl get services` (S-104).
//!
//! A server always sends the wide form of a cell, so long load-balancer names are not cut here.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::json::{self, items, text};
use crate::{AGE, Column, NAME, column, wide};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Type", "How it is reached"),
    column("Cluster-IP", "Its address within the cluster"),
    column("External-IP", "Its addresses outside the cluster"),
    column("Port(s)", "Its ports, with node ports"),
    AGE,
    wide("Selector", "The labels of its Pods"),
];

pub(super) fn row(object: &Value, now: &str) -> Vec<Value> {
    let spec = &object["spec"];
    let cluster_ip = match text(spec, "/clusterIPs/0") {
        "" => "<none>",
        first => first,
    };
    let selector: Vec<String> = json::pairs(spec, "/selector").map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        crate::name_cell(object),
        text(spec, "/type").into(),
        cluster_ip.into(),
        external_ip(object).into(),
        crate::list_cell(&items(spec, "/ports").iter().map(port).collect::<Vec<_>>(), "<none>"),
        crate::age_cell(object, now),
        crate::list_cell(&selector, "<none>"),
    ]
}

fn external_ip(object: &Value) -> String {
    let spec = &object["spec"];
    let external = json::texts(spec, "/externalIPs");
    match text(spec, "/type") {
        "LoadBalancer" => {
            let ingress = items(object, "/status/loadBalancer/ingress");
            let names: BTreeSet<&str> = ingress
                .iter()
                .map(|entry| if json::is_empty(entry, "/ip") { text(entry, "/hostname") } else { text(entry, "/ip") })
                .filter(|name| !name.is_empty())
                .collect();
            let all: Vec<&str> = names.into_iter().chain(external.iter().map(String::as_str)).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text(spec, "/externalName").to_owned(),
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => external.join(","),
        _ => "<unknown>".to_owned(),
    }
}

fn port(port: &Value) -> String {
    let number = json::int(port, "/port").unwrap_or(0);
    let protocol = text(port, "/protocol");
    match json::int(port, "/nodePort").unwrap_or(0) {
        0 => format!("{number}/{protocol}"),
        node_port => format!("{number}:{node_port}/{protocol}"),
    }
}
