//! Pod: what a Service leads to. maitred reads a part of it, and keeps the rest as it came.
//!
//! Binding to a node is the server's `binding` subresource, which sets `spec.nodeName`; a plain write may not.

mod columns;
mod defaults;
mod validate;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::json::{self, text};
use crate::{Admitted, Column, Context, Facts, Kind, Refusal, metadata};

/// `v1 Pod`.
#[derive(Debug)]
pub struct Pod;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    has_status: true,
};

impl Kind for Pod {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn counts_generations(&self) -> bool {
        true
    }

    /// A Pod on a node gets its grace period; one that runs nowhere, or has ended, goes at once.
    fn grace_period_seconds(&self, object: &Value, asked: Option<i64>) -> i64 {
        let ended = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
        if text(object, "/spec/nodeName").is_empty() || ended {
            return 0;
        }
        let own = || json::int(object, "/spec/terminationGracePeriodSeconds").unwrap_or(0).max(0);
        asked.unwrap_or_else(own)
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        defaults::set(&mut object);
        defaults::set_status(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        validate::check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "status");
        defaults::set(&mut new);
        let changed = new.get("spec") != old.get("spec");
        metadata::count_generation(&mut new, old, changed);
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        validate::check(&new, &mut mistakes);
        validate::check_change(&new, old, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn update_status(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "spec");
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        validate::check_status(&new, old, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        let pointer = format!("/{}", path.replace('.', "/"));
        match path {
            "spec.nodeName"
            | "spec.restartPolicy"
            | "spec.schedulerName"
            | "spec.serviceAccountName"
            | "status.phase"
            | "status.podIP"
            | "status.nominatedNodeName" => Some(text(object, &pointer).to_owned()),
            "spec.hostNetwork" => Some((object["spec"]["hostNetwork"] == true).to_string()),
            _ => None,
        }
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        columns::row(object, now)
    }
}

#[cfg(test)]
mod tests;
