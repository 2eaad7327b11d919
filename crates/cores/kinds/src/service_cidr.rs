//! ServiceCIDR: a range of cluster IPs (S-143, S-144).
//!
//! Whether a range is ready, and when a deleted one may disappear, is decided by a controller.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::fields::Mistakes;
use crate::ip::Stored;
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, ServiceRange, column, ip, json, metadata};

/// `networking.k8s.io/v1 ServiceCIDR`.
#[derive(Debug)]
pub struct ServiceCidr;

static FACTS: Facts = Facts {
    group: "networking.k8s.io",
    version: "v1",
    kind: "ServiceCIDR",
    plural: "servicecidrs",
    singular: "servicecidr",
    short_names: &[],
    categories: &[],
    namespaced: false,
    has_status: true,
};

impl ServiceCidr {
    /// The name of the object that is made of the configured ranges (S-143).
    pub const DEFAULT_NAME: &str = "kubernetes";

    /// The object of the configured ranges, the primary one first; the server adds what it adds to any object.
    pub fn default_object(ranges: &[IpNet]) -> Value {
        let cidrs: Vec<String> = ranges.iter().map(|range| range.trunc().to_string()).collect();
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": ServiceCidr::DEFAULT_NAME},
            "spec": {"cidrs": cidrs},
        })
    }

    /// The finalizer that keeps a range while addresses of it are in use (S-144).
    pub const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";

    /// The ranges of a stored object, for [`Context::service_ranges`]. They are usable unless the object is being
    /// deleted or says that it isn't ready (S-141, S-143).
    pub fn ranges(object: &Value) -> Vec<ServiceRange> {
        let deleting = object["metadata"].get("deletionTimestamp").is_some_and(|time| !time.is_null());
        let unready = json::items(object, "/status/conditions")
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] != "True");
        let usable = !deleting && !unready;
        let cidrs = json::texts(object, "/spec/cidrs");
        cidrs.iter().filter_map(|text| ip::parse_range(text)).map(|cidr| ServiceRange { cidr, usable }).collect()
    }
}

impl Kind for ServiceCidr {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn create(&self, mut object: Value, context: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        json::remove(&mut object, "status");
        let cidrs = json::texts(&object, "/spec/cidrs");
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&cidrs, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted { warnings: overlaps(&cidrs, context.pod_ranges), ..Admitted::plain(object) })
    }

    fn update(&self, mut new: Value, old: &Value, context: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "status");
        let (mut cidrs, known) = (json::texts(&new, "/spec/cidrs"), json::texts(old, "/spec/cidrs"));
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        check_change(&cidrs, &known, &mut mistakes);
        mistakes.result()?;
        cidrs.retain(|cidr| !known.contains(cidr));
        Ok(Admitted { warnings: overlaps(&cidrs, context.pod_ranges), ..Admitted::plain(new) })
    }

    fn update_status(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "spec");
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[NAME, column("CIDRs", "The ranges"), AGE];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        let cidrs = crate::list_cell(&json::texts(object, "/spec/cidrs"), "<none>");
        vec![crate::name_cell(object), cidrs, crate::age_cell(object, now)]
    }
}

/// Kubernetes doesn't know its Pods' ranges and says nothing; who does not hear it here finds out by packets that go astray.
fn overlaps(cidrs: &[String], pod_ranges: &[IpNet]) -> Vec<String> {
    let shared = |cidr: &String| {
        let range = ip::parse_range(cidr)?;
        // Of two ranges that share an address, one holds the other's first.
        let pods = pod_ranges.iter().find(|pods| pods.contains(&range.network()) || range.contains(&pods.network()))?;
        Some(format!(
            "spec.cidrs: {cidr} overlaps the range of Pods {pods} (--cluster-cidr): an address may be a Service's and a \
             Pod's at once; delete this ServiceCIDR and choose another range"
        ))
    };
    cidrs.iter().filter_map(shared).collect()
}

fn check(cidrs: &[String], mistakes: &mut Mistakes) {
    match cidrs {
        [] => mistakes.required("spec.cidrs", "at least one CIDR required"),
        [_] => {}
        [first, second] => {
            if let (Some(first), Some(second)) = (ip::parse_range(first), ip::parse_range(second))
                && first.network().is_ipv4() == second.network().is_ipv4()
            {
                mistakes.invalid(
                    "spec.cidrs",
                    cidrs,
                    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96",
                );
            }
        }
        _ => mistakes.invalid("spec.cidrs", cidrs, "may only hold up to 2 values"),
    }
    for (index, cidr) in cidrs.iter().enumerate() {
        check_range(&format!("spec.cidrs[{index}]"), cidr, mistakes);
    }
}

fn check_range(field: &str, text: &str, mistakes: &mut Mistakes) {
    let Some(range) = ip::range(field, text, &Stored::new(), mistakes) else { return };
    let host_bits =
        text.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok()) != Some(range.network());
    if host_bits || range.to_string() != text {
        mistakes.invalid(field, text, &format!("must be in canonical form (\"{range}\")"));
    }
    if let IpNet::V6(range) = range
        && range.prefix_len() < 64
    {
        mistakes.invalid(field, text, "must not be larger than a /64 network");
    }
}

/// The only change is to add the second family (S-143).
fn check_change(new: &[String], old: &[String], mistakes: &mut Mistakes) {
    let added_second = new.len() == 2 && old.len() == 1 && new[0] == old[0];
    if added_second {
        check(new, mistakes);
    } else if new != old {
        mistakes.invalid("spec.cidrs", new, "field is immutable");
    }
}

#[cfg(test)]
mod tests;
