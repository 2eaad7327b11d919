//! Namespace: the room that objects live in. It disappears once everything in it has.

use serde_json::{Value, json};

use crate::fields::Mistakes;
use crate::json::{self, text};
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, NameRule, Refusal, column, metadata, syntax};

/// The label that carries a Namespace's own name, so that selectors can name Namespaces.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The finalizer in `spec` that stays until the Namespace is empty.
pub const FINALIZER: &str = "kubernetes";

/// `v1 Namespace`.
#[derive(Debug)]
pub struct Namespace;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    namespaced: false,
    has_status: true,
};

impl Kind for Namespace {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn mark_deleted(&self, object: &mut Value) {
        json::set(json::object(object, "status"), "phase", "Terminating");
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        json::set(&mut object, "status", json!({"phase": "Active"}));
        let mut finalizers = json::texts(&object, "/spec/finalizers");
        if !finalizers.iter().any(|name| name == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        json::set(json::object(&mut object, "spec"), "finalizers", finalizers);
        label(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "spec");
        json::keep(&mut new, old, "status");
        label(&mut new);
        admit_update(new, old)
    }

    fn update_status(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "spec");
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        let deleting = new["metadata"].get("deletionTimestamp").is_some();
        let phase = text(&new, "/status/phase");
        if deleting && phase != "Terminating" {
            mistakes.invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        } else if !deleting && phase != "Active" {
            mistakes.invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty");
        }
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        (path == "status.phase").then(|| text(object, "/status/phase").to_owned())
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[NAME, column("Status", "Whether it is in use or being deleted"), AGE];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        vec![crate::name_cell(object), text(object, "/status/phase").into(), crate::age_cell(object, now)]
    }
}

/// Decides on a write by way of the `finalize` subresource, which alone may take the finalizers of `spec` away, and
/// changes nothing else. The Namespace is gone if [`crate::deletion::is_finished`] says so of the result.
pub fn finalize(mut new: Value, old: &Value) -> Result<Admitted, Refusal> {
    crate::conform(&Namespace, &mut new)?;
    let mut object = old.clone();
    json::set(json::object(&mut object, "spec"), "finalizers", json::texts(&new, "/spec/finalizers"));
    admit_update(object, old)
}

fn admit_update(new: Value, old: &Value) -> Result<Admitted, Refusal> {
    let mut mistakes = Mistakes::default();
    metadata::check_update(&new, old, &mut mistakes);
    check(&new, &mut mistakes);
    mistakes.result()?;
    Ok(Admitted::plain(new))
}

fn label(object: &mut Value) {
    let name = text(object, "/metadata/name").to_owned();
    let metadata = json::object(object, "metadata");
    json::set(json::object(metadata, "labels"), NAME_LABEL, name);
}

fn check(object: &Value, mistakes: &mut Mistakes) {
    for name in json::texts(object, "/spec/finalizers") {
        let field = "spec.finalizers";
        mistakes.each(field, &name, syntax::qualified_name(&name));
        if !name.contains('/') && name != FINALIZER {
            mistakes.invalid(field, &name, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
}

#[cfg(test)]
mod tests;
