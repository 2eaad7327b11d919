//! What an EndpointSlice must be like to be stored (S-212).

use std::net::IpAddr;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::json::{self, items, text};
use crate::{ip, syntax};

const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20000;
const ADDRESSES_MAX: usize = 100;
const HINTS_MAX: usize = 8;

/// Checks a slice; `old` is what is stored, whose spelling of addresses is accepted (S-134).
pub(super) fn check(object: &Value, old: Option<&Value>, mistakes: &mut Mistakes) {
    let family = text(object, "/addressType");
    match family {
        "IPv4" | "IPv6" | "FQDN" => {}
        "" => mistakes.required("addressType", ""),
        other => mistakes.unsupported("addressType", other, &["FQDN", "IPv4", "IPv6"]),
    }
    let stored: Stored = old
        .map(|old| items(old, "/endpoints").iter().flat_map(|endpoint| json::texts(endpoint, "/addresses")).collect())
        .unwrap_or_default();
    let endpoints = items(object, "/endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        mistakes.too_many("endpoints", endpoints.len(), ENDPOINTS_MAX);
    } else {
        for (index, endpoint) in endpoints.iter().enumerate() {
            check_endpoint(&format!("endpoints[{index}]"), endpoint, family, &stored, mistakes);
        }
    }
    check_ports(items(object, "/ports"), mistakes);
}

fn check_endpoint(field: &str, endpoint: &Value, family: &str, stored: &Stored, mistakes: &mut Mistakes) {
    let addresses = json::texts(endpoint, "/addresses");
    match addresses.len() {
        0 => mistakes.required(format!("{field}.addresses"), "must contain at least 1 address"),
        1..=ADDRESSES_MAX => {}
        count => mistakes.too_many(format!("{field}.addresses"), count, ADDRESSES_MAX),
    }
    for (index, address) in addresses.iter().enumerate() {
        check_address(&format!("{field}.addresses[{index}]"), address, family, stored, mistakes);
    }
    if let Some(node) = endpoint.get("nodeName").and_then(Value::as_str) {
        mistakes.each(&format!("{field}.nodeName"), node, syntax::dns_subdomain(node));
    }
    if let Some(zone) = endpoint.get("zone").and_then(Value::as_str) {
        mistakes.each(&format!("{field}.zone"), zone, syntax::label_value(zone));
    }
    syntax::labels(&format!("{field}.deprecatedTopology"), json::pairs(endpoint, "/deprecatedTopology"), mistakes);
    if let Some(hostname) = endpoint.get("hostname").and_then(Value::as_str) {
        mistakes.each(&format!("{field}.hostname"), hostname, syntax::dns_label(hostname));
    }
    check_hints(field, &endpoint["hints"], mistakes);
}

fn check_address(field: &str, address: &str, family: &str, stored: &Stored, mistakes: &mut Mistakes) {
    match family {
        "IPv4" | "IPv6" => {
            let Some(parsed) = ip::address(field, address, stored, mistakes) else { return };
            match (family, parsed) {
                ("IPv4", IpAddr::V6(_)) => mistakes.invalid(field, address, "must be an IPv4 address"),
                ("IPv6", IpAddr::V4(_)) => mistakes.invalid(field, address, "must be an IPv6 address"),
                _ => ip::not_special(field, address, parsed, mistakes),
            }
        }
        "FQDN" => mistakes.each(field, address, syntax::dns_subdomain(address)),
        _ => {}
    }
}

fn check_hints(field: &str, hints: &Value, mistakes: &mut Mistakes) {
    for list in ["forZones", "forNodes"] {
        let hints = items(hints, &format!("/{list}"));
        let field = format!("{field}.hints.{list}");
        if hints.len() > HINTS_MAX {
            mistakes.too_many(field, hints.len(), HINTS_MAX);
            continue;
        }
        for (index, hint) in hints.iter().enumerate() {
            let (field, name) = (format!("{field}[{index}].name"), text(hint, "/name"));
            if hints[..index].iter().any(|other| text(other, "/name") == name) {
                mistakes.duplicate(field.as_str(), name);
            }
            if name.is_empty() {
                mistakes.required(field, "");
            } else if list == "forZones" {
                mistakes.each(&field, name, syntax::label_value(name));
            } else {
                mistakes.each(&field, name, syntax::dns_subdomain(name));
            }
        }
    }
}

fn check_ports(ports: &[Value], mistakes: &mut Mistakes) {
    if ports.len() > PORTS_MAX {
        mistakes.too_many("ports", ports.len(), PORTS_MAX);
        return;
    }
    let mut names = std::collections::HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let (field, name) = (format!("ports[{index}]"), text(port, "/name"));
        if !name.is_empty() {
            mistakes.each(&format!("{field}.name"), name, syntax::dns_label(name));
        }
        if !names.insert(name) {
            mistakes.duplicate(format!("{field}.name"), name);
        }
        if let Some(number) = json::int(port, "/port") {
            mistakes.each(&format!("{field}.port"), number, syntax::port_number(number));
        }
        check_protocol(&field, port, mistakes);
    }
}

/// Checks `protocol` and `appProtocol`, which all kinds of ports have.
pub(crate) fn check_protocol(field: &str, port: &Value, mistakes: &mut Mistakes) {
    match text(port, "/protocol") {
        "TCP" | "UDP" | "SCTP" => {}
        "" => mistakes.required(format!("{field}.protocol"), ""),
        other => mistakes.unsupported(format!("{field}.protocol"), other, &["SCTP", "TCP", "UDP"]),
    }
    if let Some(name) = port.get("appProtocol").and_then(Value::as_str) {
        mistakes.each(&format!("{field}.appProtocol"), name, syntax::qualified_name(name));
    }
}
