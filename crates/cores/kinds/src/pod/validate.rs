//! What a Pod must say, and what may change once it is there.

use std::collections::HashSet;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::json::{self, items, text};
use crate::{ip, syntax};

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
                         to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
                         was previously negative)";

/// Checks the parts of a Pod that maitred reads.
pub(super) fn check(object: &Value, mistakes: &mut Mistakes) {
    let spec = &object["spec"];
    if json::is_empty(spec, "/containers") {
        mistakes.required("spec.containers", "");
    }
    let mut names = HashSet::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, &format!("/{list}")).iter().enumerate() {
            check_container(&format!("spec.{list}[{index}]"), container, &mut names, mistakes);
        }
    }
    one_of("spec.restartPolicy", text(spec, "/restartPolicy"), &["Always", "OnFailure", "Never"], mistakes);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of("spec.dnsPolicy", text(spec, "/dnsPolicy"), &policies, mistakes);
    check_seconds(spec, mistakes);
    check_names(spec, mistakes);
}

/// Checks a write of the status.
pub(super) fn check_status(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    for list in ["podIPs", "hostIPs"] {
        let stored: Stored =
            items(old, &format!("/status/{list}")).iter().map(|entry| text(entry, "/ip").to_owned()).collect();
        check_addresses(list, items(new, &format!("/status/{list}")), &stored, mistakes);
    }
}

/// Checks that an update changes only what may change (`nodeName` is set by binding).
pub(super) fn check_change(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    let mut likened = new["spec"].clone();
    for list in ["containers", "initContainers"] {
        let (new, old) = (items(&new["spec"], &format!("/{list}")), items(&old["spec"], &format!("/{list}")));
        if new.len() != old.len() {
            mistakes.forbidden(format!("spec.{list}"), "pod updates may not add or remove containers");
            return;
        }
        for (index, old) in old.iter().enumerate() {
            json::keep(&mut likened[list][index], old, "image");
        }
    }
    check_tolerations(&new["spec"], &old["spec"], mistakes);
    check_gates(&new["spec"], &old["spec"], mistakes);
    check_deadline(&new["spec"], &old["spec"], mistakes);
    for field in ["tolerations", "schedulingGates", "activeDeadlineSeconds"] {
        json::keep(&mut likened, &old["spec"], field);
    }
    if likened != old["spec"] {
        mistakes.forbidden("spec", UPDATABLE);
    }
}

fn check_tolerations(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    let new = items(new, "/tolerations");
    if items(old, "/tolerations").iter().any(|toleration| !new.contains(toleration)) {
        mistakes.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// Gates are set when the Pod is made, and only taken away afterwards.
fn check_gates(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    let old = items(old, "/schedulingGates");
    if let Some(gate) = items(new, "/schedulingGates").iter().find(|gate| !old.contains(gate)) {
        let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", text(gate, "/name"));
        mistakes.forbidden("spec.schedulingGates", &detail);
    }
}

fn check_deadline(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    let (new, old) = (json::int(new, "/activeDeadlineSeconds"), json::int(old, "/activeDeadlineSeconds"));
    match (new, old) {
        (Some(new), Some(old)) if new > old => {
            let detail = "must be less than or equal to previous value";
            mistakes.invalid("spec.activeDeadlineSeconds", new, detail);
        }
        (None, Some(_)) => {
            mistakes.invalid(
                "spec.activeDeadlineSeconds",
                Value::Null,
                "must not update from a positive integer to nil value",
            );
        }
        _ => {}
    }
}

fn check_container<'a>(field: &str, container: &'a Value, names: &mut HashSet<&'a str>, mistakes: &mut Mistakes) {
    let name = text(container, "/name");
    if name.is_empty() {
        mistakes.required(format!("{field}.name"), "");
    } else {
        mistakes.each(&format!("{field}.name"), name, syntax::dns_label(name));
        if !names.insert(name) {
            mistakes.duplicate(format!("{field}.name"), name);
        }
    }
    let image = text(container, "/image");
    if image.is_empty() {
        mistakes.required(format!("{field}.image"), "");
    } else if image.trim() != image {
        mistakes.invalid(format!("{field}.image"), image, "must not have leading or trailing whitespace");
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(&format!("{field}.imagePullPolicy"), text(container, "/imagePullPolicy"), &policies, mistakes);
    let mut port_names = HashSet::new();
    for (index, port) in items(container, "/ports").iter().enumerate() {
        check_port(&format!("{field}.ports[{index}]"), port, &mut port_names, mistakes);
    }
}

fn check_port<'a>(field: &str, port: &'a Value, names: &mut HashSet<&'a str>, mistakes: &mut Mistakes) {
    let name = text(port, "/name");
    if !name.is_empty() {
        mistakes.each(&format!("{field}.name"), name, syntax::port_name(name));
        if !names.insert(name) {
            mistakes.duplicate(format!("{field}.name"), name);
        }
    }
    match json::int(port, "/containerPort").unwrap_or(0) {
        0 => mistakes.required(format!("{field}.containerPort"), ""),
        number => mistakes.each(&format!("{field}.containerPort"), number, syntax::port_number(number)),
    }
    if let Some(number) = json::int(port, "/hostPort")
        && number != 0
    {
        mistakes.each(&format!("{field}.hostPort"), number, syntax::port_number(number));
    }
    one_of(&format!("{field}.protocol"), text(port, "/protocol"), &["SCTP", "TCP", "UDP"], mistakes);
}

fn check_seconds(spec: &Value, mistakes: &mut Mistakes) {
    if let Some(seconds) = json::int(spec, "/terminationGracePeriodSeconds")
        && seconds < 0
    {
        let detail = "must be greater than or equal to 0";
        mistakes.invalid("spec.terminationGracePeriodSeconds", seconds, detail);
    }
    if let Some(seconds) = json::int(spec, "/activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        mistakes.invalid("spec.activeDeadlineSeconds", seconds, detail);
    }
}

fn check_names(spec: &Value, mistakes: &mut Mistakes) {
    for name in ["hostname", "subdomain"] {
        let value = text(spec, &format!("/{name}"));
        if !value.is_empty() {
            mistakes.each(&format!("spec.{name}"), value, syntax::dns_label(value));
        }
    }
    for name in ["nodeName", "serviceAccountName"] {
        let value = text(spec, &format!("/{name}"));
        if !value.is_empty() {
            mistakes.each(&format!("spec.{name}"), value, syntax::dns_subdomain(value));
        }
    }
    syntax::labels("spec.nodeSelector", json::pairs(spec, "/nodeSelector"), mistakes);
}

fn check_addresses(list: &str, entries: &[Value], stored: &Stored, mistakes: &mut Mistakes) {
    let mut families = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let (field, address) = (format!("status.{list}[{index}]"), text(entry, "/ip"));
        if let Some(parsed) = ip::address(&field, address, stored, mistakes)
            && !families.insert(ip::family(parsed))
        {
            mistakes.invalid(format!("status.{list}"), entries, "may specify no more than one IP for each IP family");
        }
    }
}

fn one_of(field: &str, value: &str, supported: &[&str], mistakes: &mut Mistakes) {
    if value.is_empty() {
        mistakes.required(field, "");
    } else if !supported.contains(&value) {
        let mut sorted = supported.to_vec();
        sorted.sort_unstable();
        mistakes.unsupported(field, value, &sorted);
    }
}
