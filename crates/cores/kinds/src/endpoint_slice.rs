//! EndpointSlice: some of the endpoints of a Service (S-212, [KEP-752]).
//!
//! [KEP-752]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/0752-endpointslices

use std::net::IpAddr;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::json::{self, items, text};
use crate::shape::{Fields, METADATA, OBJECT_REFERENCE, Shape, TEXT_MAP, TEXTS};
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, column, ip, metadata, syntax};

const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20000;
const ADDRESSES_MAX: usize = 100;
const HINTS_MAX: usize = 8;

/// `discovery.k8s.io/v1 EndpointSlice`.
#[derive(Debug)]
pub struct EndpointSlice;

static FACTS: Facts = Facts {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    short_names: &[],
    categories: &[],
    namespaced: true,
    has_status: false,
};

const HINTS: Shape = Shape::List(&Shape::Object(&[("name", Shape::Text)]));

/// A port of an EndpointSlice or of Endpoints.
pub(crate) const PORT: Shape = Shape::Object(&[
    ("name", Shape::Text),
    ("protocol", Shape::Text),
    ("port", Shape::Int32),
    ("appProtocol", Shape::Text),
]);

static SHAPE: &Fields = &[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", METADATA),
    ("addressType", Shape::Text),
    (
        "endpoints",
        Shape::List(&Shape::Object(&[
            ("addresses", TEXTS),
            (
                "conditions",
                Shape::Object(&[("ready", Shape::Bool), ("serving", Shape::Bool), ("terminating", Shape::Bool)]),
            ),
            ("hostname", Shape::Text),
            ("targetRef", OBJECT_REFERENCE),
            ("deprecatedTopology", TEXT_MAP),
            ("nodeName", Shape::Text),
            ("zone", Shape::Text),
            ("hints", Shape::Object(&[("forZones", HINTS), ("forNodes", HINTS)])),
        ])),
    ),
    ("ports", Shape::List(&PORT)),
];

impl Kind for EndpointSlice {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn shape(&self) -> &'static Fields {
        SHAPE
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        default(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, None, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted { warnings: warnings(&object), ..Admitted::plain(object) })
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        default(&mut new);
        let changed = ["addressType", "endpoints", "ports"].iter().any(|field| new.get(*field) != old.get(*field))
            || new["metadata"].get("labels") != old["metadata"].get("labels");
        metadata::count_generation(&mut new, old, changed);
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        check(&new, Some(old), &mut mistakes);
        if new.get("addressType") != old.get("addressType") {
            mistakes.invalid("addressType", new.get("addressType"), "field is immutable");
        }
        mistakes.result()?;
        Ok(Admitted { warnings: warnings(&new), ..Admitted::plain(new) })
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[
            NAME,
            column("AddressType", "Family of all addresses"),
            column("Ports", "Ports that every endpoint serves"),
            column("Endpoints", "Addresses"),
            AGE,
        ];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        let ports: Vec<String> = items(object, "/ports").iter().map(port_cell).collect();
        let addresses: Vec<String> =
            items(object, "/endpoints").iter().flat_map(|endpoint| json::texts(endpoint, "/addresses")).collect();
        vec![
            crate::name_cell(object),
            text(object, "/addressType").into(),
            first_three(&ports).into(),
            first_three(&addresses).into(),
            crate::age_cell(object, now),
        ]
    }
}

fn port_cell(port: &Value) -> String {
    match (port.get("port").and_then(Value::as_i64), text(port, "/name")) {
        (Some(number), _) => number.to_string(),
        (None, "") => "*".to_owned(),
        (None, name) => name.to_owned(),
    }
}

/// `a,b,c + 2 more...`
fn first_three(items: &[String]) -> String {
    match items.len() {
        0 => "<unset>".to_owned(),
        1..=3 => items.join(","),
        count => format!("{} + {} more...", items[..3].join(","), count - 3),
    }
}

fn default(object: &mut Value) {
    for port in object.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        json::set_default(port, "name", "");
        json::set_default(port, "protocol", "TCP");
    }
    // Both lists are always written, as null when they are empty.
    for list in ["endpoints", "ports"] {
        if object.get(list).is_none() {
            json::set(object, list, Value::Array(Vec::new()));
        }
    }
}

fn check(object: &Value, old: Option<&Value>, mistakes: &mut Mistakes) {
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

fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    match text(object, "/addressType") {
        "FQDN" => warnings.push("addressType: FQDN endpoints are deprecated".to_owned()),
        _ => {
            for (index, endpoint) in items(object, "/endpoints").iter().enumerate() {
                for (place, address) in json::texts(endpoint, "/addresses").iter().enumerate() {
                    let field = format!("endpoints[{index}].addresses[{place}]");
                    warnings.extend(ip::address_warning(&field, address));
                }
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
