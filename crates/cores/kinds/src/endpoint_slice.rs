//! EndpointSlice: some of the endpoints of a Service (S-212, [KEP-752]).
//!
//! [KEP-752]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/0752-endpointslices

mod validate;

use serde_json::Value;

pub(crate) use self::validate::check_protocol;
use crate::fields::Mistakes;
use crate::json::{self, items, text};
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, column, ip, metadata};

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

impl Kind for EndpointSlice {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        default(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        validate::check(&object, None, &mut mistakes);
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
        validate::check(&new, Some(old), &mut mistakes);
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
