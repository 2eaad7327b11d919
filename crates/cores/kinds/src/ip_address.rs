//! IPAddress: the claim on one cluster IP (S-142, [KEP-1880]). Its name is the address, so two Services can't claim one.
//!
//! [KEP-1880]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/1880-multiple-service-cidrs

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::fields::Mistakes;
use crate::json::text;
use crate::{Admitted, Column, Context, Facts, Kind, NAME, NameRule, Refusal, column, ip, metadata, syntax};

/// `networking.k8s.io/v1 IPAddress`.
#[derive(Debug)]
pub struct IpAddress;

static FACTS: Facts = Facts {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IPAddress",
    plural: "ipaddresses",
    singular: "ipaddress",
    short_names: &["ip"],
    categories: &[],
    namespaced: false,
    has_status: false,
};

impl IpAddress {
    /// The object that claims `address` for a Service; the server adds what it adds to any object.
    pub fn for_service(address: IpAddr, namespace: &str, name: &str) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {
                "name": address.to_string(),
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": ip::family(address),
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                },
            },
            "spec": {"parentRef": {"group": "", "resource": "services", "namespace": namespace, "name": name}},
        })
    }
}

impl Kind for IpAddress {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Address
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        let parent = &new["spec"]["parentRef"];
        if parent.is_null() {
            mistakes.required("spec.parentRef", "");
        } else if *parent != old["spec"]["parentRef"] {
            mistakes.invalid("spec.parentRef", parent, "field is immutable");
        }
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        (path == "spec.parentRef.namespace" || path == "spec.parentRef.name")
            .then(|| text(object, &format!("/{}", path.replace('.', "/"))).to_owned())
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[NAME, column("ParentRef", "The object that holds the address")];
        COLUMNS
    }

    fn row(&self, object: &Value, _now: &str) -> Vec<Value> {
        let parent = &object["spec"]["parentRef"];
        let parts = ["group", "resource", "namespace", "name"].map(|part| text(parent, &format!("/{part}")));
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        vec![crate::name_cell(object), parts.join("/").into()]
    }
}

fn check(object: &Value, mistakes: &mut Mistakes) {
    let parent = &object["spec"]["parentRef"];
    if parent.is_null() {
        mistakes.required("spec.parentRef", "");
        return;
    }
    let group = text(parent, "/group");
    if !group.is_empty() {
        mistakes.each("spec.parentRef.group", group, syntax::dns_subdomain(group));
    }
    for name in ["resource", "name"] {
        let (field, value) = (format!("spec.parentRef.{name}"), text(parent, &format!("/{name}")));
        if value.is_empty() {
            mistakes.required(field, "");
        } else {
            mistakes.each(&field, value, path_segment(value));
        }
    }
    let namespace = text(parent, "/namespace");
    if !namespace.is_empty() {
        mistakes.each("spec.parentRef.namespace", namespace, path_segment(namespace));
    }
}

/// A name that can stand in a URL.
fn path_segment(name: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if name == "." || name == ".." {
        messages.push(format!("may not be '{name}'"));
    }
    for part in ["/", "%"] {
        if name.contains(part) {
            messages.push(format!("may not contain '{part}'"));
        }
    }
    messages
}

#[cfg(test)]
mod tests;
