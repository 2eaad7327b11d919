//! Node: a machine that runs Pods.

use std::collections::HashSet;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::json::{self, items, text};
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, column, ip, metadata, syntax, wide};

/// `v1 Node`.
#[derive(Debug)]
pub struct Node;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    namespaced: false,
    has_status: true,
};

impl Kind for Node {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    /// A new Node keeps the status it comes with, since nodes register themselves in one write.
    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        couple_ranges(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "status");
        couple_ranges(&mut new);
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        check_change(&new, old, &mut mistakes);
        check(&new, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn update_status(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "spec");
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        check_addresses(&new, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        (path == "spec.unschedulable").then(|| (object["spec"]["unschedulable"] == true).to_string())
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[
            NAME,
            column("Status", "Whether it is ready for Pods"),
            column("Roles", "Roles from its labels"),
            AGE,
            column("Version", "Version of its agent"),
            wide("Internal-IP", "Address within the cluster"),
            wide("External-IP", "Address outside the cluster"),
            wide("OS-Image", "Operating system"),
            wide("Kernel-Version", "Kernel"),
            wide("Container-Runtime", "What runs its containers"),
        ];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        let info = |name: &str| match text(object, &format!("/status/nodeInfo/{name}")) {
            "" => "<unknown>",
            known => known,
        };
        vec![
            crate::name_cell(object),
            status(object).into(),
            crate::list_cell(&roles(object), "<none>"),
            crate::age_cell(object, now),
            text(object, "/status/nodeInfo/kubeletVersion").into(),
            address(object, "InternalIP").into(),
            address(object, "ExternalIP").into(),
            info("osImage").into(),
            info("kernelVersion").into(),
            info("containerRuntimeVersion").into(),
        ]
    }
}

/// The older field is the first entry of the newer one.
fn couple_ranges(object: &mut Value) {
    let (range, ranges) = (text(object, "/spec/podCIDR").to_owned(), json::texts(object, "/spec/podCIDRs"));
    match (range.is_empty(), ranges.first()) {
        (true, Some(first)) => json::set(&mut object["spec"], "podCIDR", first.clone()),
        (false, None) => json::set(&mut object["spec"], "podCIDRs", vec![range]),
        (false, Some(first)) if *first != range => json::set(&mut object["spec"], "podCIDR", first.clone()),
        _ => {}
    }
}

fn check(object: &Value, mistakes: &mut Mistakes) {
    check_taints(object, mistakes);
    check_ranges(&json::texts(object, "/spec/podCIDRs"), mistakes);
    check_addresses(object, mistakes);
}

fn check_ranges(ranges: &[String], mistakes: &mut Mistakes) {
    let mut parsed = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        parsed.extend(ip::range(&format!("spec.podCIDRs[{index}]"), range, &Stored::new(), mistakes));
    }
    let families = |v4: bool| parsed.iter().filter(|range| range.network().is_ipv4() == v4).count();
    if families(true) > 1 || families(false) > 1 {
        mistakes.invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family");
    }
    let mut seen = HashSet::new();
    for (index, range) in ranges.iter().enumerate() {
        if !seen.insert(range) {
            mistakes.duplicate(format!("spec.podCIDRs[{index}]"), range);
        }
    }
}

fn check_taints(object: &Value, mistakes: &mut Mistakes) {
    let mut seen = HashSet::new();
    for (index, taint) in items(object, "/spec/taints").iter().enumerate() {
        // The path is upstream's.
        let field = format!("metadata.taints[{index}]");
        let (key, value, effect) = (text(taint, "/key"), text(taint, "/value"), text(taint, "/effect"));
        mistakes.each(&format!("{field}.key"), key, syntax::qualified_name(key));
        mistakes.each(&format!("{field}.value"), value, syntax::label_value(value));
        match effect {
            "NoSchedule" | "PreferNoSchedule" | "NoExecute" => {}
            "" => mistakes.required(format!("{field}.effect"), ""),
            other => {
                let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
                mistakes.unsupported(format!("{field}.effect"), other, &known);
            }
        }
        if !seen.insert((key, effect)) {
            mistakes.duplicate(field, taint);
        }
    }
}

fn check_addresses(object: &Value, mistakes: &mut Mistakes) {
    let mut seen = HashSet::new();
    for (index, address) in items(object, "/status/addresses").iter().enumerate() {
        if !seen.insert((text(address, "/type"), text(address, "/address"))) {
            mistakes.duplicate(format!("status.addresses[{index}]"), address);
        }
    }
}

fn check_change(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    let ranges = json::texts(old, "/spec/podCIDRs");
    if !ranges.is_empty() && ranges != json::texts(new, "/spec/podCIDRs") {
        mistakes.forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid");
    }
    let provider = text(old, "/spec/providerID");
    if !provider.is_empty() && provider != text(new, "/spec/providerID") {
        mistakes.forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid");
    }
}

fn status(object: &Value) -> String {
    let ready = items(object, "/status/conditions").iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(object: &Value) -> Vec<String> {
    let labels = json::pairs(object, "/metadata/labels");
    let mut roles: Vec<String> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None if key == "kubernetes.io/role" => Some(value.to_owned()),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort();
    roles.dedup();
    roles
}

fn address<'a>(object: &'a Value, r#type: &str) -> &'a str {
    let found = items(object, "/status/addresses").iter().find(|address| address["type"] == r#type);
    found.map_or("<none>", |address| text(address, "/address"))
}

#[cfg(test)]
mod tests;
