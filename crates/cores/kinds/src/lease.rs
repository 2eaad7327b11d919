//! Lease: who holds something, and until when (coordination.k8s.io).

use serde_json::Value;

use crate::fields::Mistakes;
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, column, json, metadata};

/// `coordination.k8s.io/v1 Lease`.
#[derive(Debug)]
pub struct Lease;

static FACTS: Facts = Facts {
    group: "coordination.k8s.io",
    version: "v1",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    short_names: &[],
    categories: &[],
    namespaced: true,
    has_status: false,
};

impl Kind for Lease {
    fn facts(&self) -> &'static Facts {
        &FACTS
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
        check(&new, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[NAME, column("Holder", "Who holds the lease"), AGE];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        let holder = json::text(object, "/spec/holderIdentity");
        vec![crate::name_cell(object), holder.into(), crate::age_cell(object, now)]
    }
}

fn check(object: &Value, mistakes: &mut Mistakes) {
    if let Some(seconds) = json::int(object, "/spec/leaseDurationSeconds")
        && seconds <= 0
    {
        mistakes.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0");
    }
    if let Some(count) = json::int(object, "/spec/leaseTransitions")
        && count < 0
    {
        mistakes.invalid("spec.leaseTransitions", count, "must be greater than or equal to 0");
    }
}

#[cfg(test)]
mod tests;
