//! Endpoints: the legacy list of a Service's addresses (S-230).

use std::collections::HashMap;

use serde_json::Value;

use crate::endpoint_slice::check_protocol;
use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::json::{self, items, text};
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, column, ip, metadata, syntax};

const DEPRECATED: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// `v1 Endpoints`.
#[derive(Debug)]
pub struct Endpoints;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    categories: &[],
    namespaced: true,
    has_status: false,
};

impl Kind for Endpoints {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        default(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, None, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted { warnings: vec![DEPRECATED.to_owned()], ..Admitted::plain(object) })
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        default(&mut new);
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        check(&new, Some(old), &mut mistakes);
        mistakes.result()?;
        Ok(Admitted { warnings: vec![DEPRECATED.to_owned()], ..Admitted::plain(new) })
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[NAME, column("Endpoints", "Ready addresses"), AGE];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        vec![crate::name_cell(object), ready_cell(items(object, "/subsets")).into(), crate::age_cell(object, now)]
    }
}

/// The first three ready `ip:port`, and how many more there are.
fn ready_cell(subsets: &[Value]) -> String {
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut list = Vec::new();
    for subset in subsets {
        let ips = items(subset, "/addresses").iter().map(|address| text(address, "/ip"));
        let ports = items(subset, "/ports");
        for ip in ips {
            if ports.is_empty() {
                list.push(ip.to_owned());
            }
            for port in ports {
                list.push(join_port(ip, json::int(port, "/port").unwrap_or(0)));
            }
        }
    }
    match list.len() {
        0..=3 => list.join(","),
        count => format!("{} + {} more...", list[..3].join(","), count - 3),
    }
}

fn join_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn default(object: &mut Value) {
    for subset in object.get_mut("subsets").and_then(Value::as_array_mut).into_iter().flatten() {
        for port in subset.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            json::set_default(port, "protocol", "TCP");
        }
    }
}

fn check(object: &Value, old: Option<&Value>, mistakes: &mut Mistakes) {
    let stored = old.map(nodes_by_ip).unwrap_or_default();
    let stored_ips: Stored = stored.keys().cloned().collect();
    for (index, subset) in items(object, "/subsets").iter().enumerate() {
        let field = format!("subsets[{index}]");
        if json::is_empty(subset, "/addresses") && json::is_empty(subset, "/notReadyAddresses") {
            mistakes.required(field.as_str(), "must specify `addresses` or `notReadyAddresses`");
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in items(subset, &format!("/{list}")).iter().enumerate() {
                let field = format!("{field}.{list}[{index}]");
                check_address(&field, address, &stored_ips, mistakes);
                check_node(&field, address, &stored, mistakes);
            }
        }
        check_ports(&field, items(subset, "/ports"), mistakes);
    }
}

fn check_address(field: &str, address: &Value, stored: &Stored, mistakes: &mut Mistakes) {
    let text_ip = text(address, "/ip");
    if let Some(parsed) = ip::address(&format!("{field}.ip"), text_ip, stored, mistakes) {
        ip::not_special(&format!("{field}.ip"), text_ip, parsed, mistakes);
    }
    let hostname = text(address, "/hostname");
    if !hostname.is_empty() {
        mistakes.each(&format!("{field}.hostname"), hostname, syntax::dns_label(hostname));
    }
    if let Some(node) = address.get("nodeName").and_then(Value::as_str) {
        mistakes.each(&format!("{field}.nodeName"), node, syntax::dns_subdomain(node));
    }
}

/// An address may get a node, or lose it with the address, but it may not move (S-230).
fn check_node(field: &str, address: &Value, stored: &HashMap<String, String>, mistakes: &mut Mistakes) {
    let (ip, node) = (text(address, "/ip"), text(address, "/nodeName"));
    if let Some(old) = stored.get(ip)
        && !old.is_empty()
        && old != node
    {
        let detail = format!("Cannot change NodeName for {ip} to {node}");
        mistakes.forbidden(format!("{field}.nodeName"), &detail);
    }
}

fn nodes_by_ip(object: &Value) -> HashMap<String, String> {
    let addresses = items(object, "/subsets")
        .iter()
        .flat_map(|subset| items(subset, "/addresses").iter().chain(items(subset, "/notReadyAddresses")));
    addresses.map(|address| (text(address, "/ip").to_owned(), text(address, "/nodeName").to_owned())).collect()
}

fn check_ports(field: &str, ports: &[Value], mistakes: &mut Mistakes) {
    for (index, port) in ports.iter().enumerate() {
        let (field, name) = (format!("{field}.ports[{index}]"), text(port, "/name"));
        if name.is_empty() && ports.len() > 1 {
            mistakes.required(format!("{field}.name"), "");
        } else if !name.is_empty() {
            mistakes.each(&format!("{field}.name"), name, syntax::dns_label(name));
        }
        let number = json::int(port, "/port").unwrap_or(0);
        mistakes.each(&format!("{field}.port"), number, syntax::port_number(number));
        check_protocol(&field, port, mistakes);
    }
}

#[cfg(test)]
mod tests;
