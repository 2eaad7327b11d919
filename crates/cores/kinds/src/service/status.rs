//! `status`, which load-balancer controllers write (S-107, S-111, S-133).

use serde_json::Value;

use super::spec::Spec;
use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::json::{self, items, text};
use crate::{ip, syntax};

/// An address without a mode is routed to the Service as it is.
pub(super) fn set_defaults(object: &mut Value) {
    let ingress = object.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut);
    for entry in ingress.into_iter().flatten() {
        if !text(entry, "/ip").is_empty() {
            json::set_default(entry, "ipMode", "VIP");
        }
    }
}

/// S-133.
pub(super) fn check(object: &Value, spec: &Spec, old: &Value, mistakes: &mut Mistakes) {
    let pointer = "/status/loadBalancer/ingress";
    let ingress = items(object, pointer);
    let before = items(old, pointer);
    let field = "status.loadBalancer.ingress";
    // A Service that stopped being a load balancer may still carry what is only being taken away.
    if !ingress.is_empty() && !spec.is_load_balancer() && ingress != before {
        mistakes.forbidden(field, "may only be used when `spec.type` is \"LoadBalancer\"");
    }
    let stored: Stored = before.iter().map(|entry| text(entry, "/ip").to_owned()).collect();
    for (index, entry) in ingress.iter().enumerate() {
        check_entry(&format!("{field}[{index}]"), entry, &stored, mistakes);
    }
}

fn check_entry(field: &str, entry: &Value, stored: &Stored, mistakes: &mut Mistakes) {
    let (address, mode, hostname) = (text(entry, "/ip"), entry.get("ipMode"), text(entry, "/hostname"));
    if !address.is_empty() {
        ip::address(&format!("{field}.ip"), address, stored, mistakes);
    }
    let mode_field = format!("{field}.ipMode");
    match (address.is_empty(), mode.and_then(Value::as_str)) {
        (false, None) => mistakes.required(mode_field, "must be specified when `ip` is set"),
        (true, Some(_)) => mistakes.forbidden(mode_field, "may not be specified when `ip` is not set"),
        (false, Some("VIP" | "Proxy")) | (true, None) => {}
        (false, Some(other)) => mistakes.unsupported(mode_field, other, &["Proxy", "VIP"]),
    }
    if !hostname.is_empty() {
        let field = format!("{field}.hostname");
        mistakes.each(&field, hostname, syntax::dns_subdomain(hostname));
        if ip::parse(hostname).is_some() {
            mistakes.invalid(field, hostname, "must be a DNS name, not an IP address");
        }
    }
    check_ports(field, items(entry, "/ports"), mistakes);
}

fn check_ports(field: &str, ports: &[Value], mistakes: &mut Mistakes) {
    for (index, port) in ports.iter().enumerate() {
        let field = format!("{field}.ports[{index}]");
        let number = json::int(port, "/port").unwrap_or(0);
        mistakes.each(&format!("{field}.port"), number, syntax::port_number(number));
        match text(port, "/protocol") {
            "TCP" | "UDP" | "SCTP" => {}
            "" => mistakes.required(format!("{field}.protocol"), ""),
            other => mistakes.unsupported(format!("{field}.protocol"), other, &["SCTP", "TCP", "UDP"]),
        }
        if let Some(error) = port.get("error").and_then(Value::as_str) {
            mistakes.each(&format!("{field}.error"), error, syntax::qualified_name(error));
        }
    }
}
