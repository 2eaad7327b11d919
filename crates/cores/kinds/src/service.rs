//! Service: the whole pipeline from what a client wrote to what is stored (S-100…S-137).
//!
//! ```text
//! create: defaults → normalise → families, addresses → node ports → health-check port → wipe status → validate
//! update: read old → carry over → defaults → normalise → allocate → keep status → clean up after type change → validate
//! ```
//!
//! Allocation comes before validation, so its errors hide those of validation, as upstream (S-108). Nothing is claimed
//! here: what the result holds and the old object didn't is what the store's transaction must claim, and the other way
//! round. A Service's Endpoints (S-106), its dataplane and its DNS names are others' business.

mod allocate;
mod carry;
mod cleanup;
mod columns;
mod defaults;
mod families;
mod immutable;
mod spec;
mod status;
mod validate;
mod warnings;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::spec::{Decoded, Spec};
use crate::fields::Mistakes;
use crate::json::text;
use crate::{Admitted, Claim, Column, Context, Facts, Kind, NameRule, Refusal, ip, metadata};

/// `v1 Service`.
#[derive(Debug)]
pub struct Service;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    namespaced: true,
    has_status: true,
};

impl Kind for Service {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    /// Since 1.36 a label may begin with a digit (S-122).
    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn read(&self, object: &mut Value) {
        defaults::read(object);
    }

    fn create(&self, mut object: Value, context: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        let mut service = Decoded::new(object)?;
        defaults::set(&mut service.spec);
        families::normalise_new(&mut service.spec);
        families::settle(&mut service.spec, None, context)?;
        allocate::create(&mut service.spec, context)?;
        service.other.insert("status".to_owned(), json!({"loadBalancer": {}}));
        let mut object = service.encode();

        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        validate::check(&object, &service.spec, None, &mut mistakes);
        mistakes.result()?;
        defaults::read(&mut object);
        let claims = if context.dry_run { Vec::new() } else { claims(&service.spec) };
        let warnings = warnings::of(&object, &service.spec);
        Ok(Admitted { object, claims, releases: Vec::new(), warnings })
    }

    fn update(&self, mut new: Value, old: &Value, context: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        let (old_object, old) = stored(old)?;
        let mut service = Decoded::new(new)?;
        defaults::set(&mut service.spec);
        carry::over(&mut service.spec, &old.spec);
        families::normalise_change(&mut service.spec, &old.spec);
        families::settle(&mut service.spec, Some(&old.spec), context)?;
        let mut moved = Mistakes::default();
        immutable::check_addresses(&service.spec, &old.spec, &mut moved);
        let allocated = allocate::update(&mut service.spec, &old.spec, context);
        // What may not change is said together with all other mistakes; any other allocation hides those.
        if moved.is_empty() {
            allocated?;
        }
        service.other.remove("status");
        if let Some(status) = old.other.get("status") {
            service.other.insert("status".to_owned(), status.clone());
        }
        cleanup::after_type_change(&mut service, &old.spec);
        let mut object = service.encode();
        metadata::count_generation(&mut object, &old_object, service.spec != old.spec);

        let mut mistakes = Mistakes::default();
        metadata::check_update(&object, &old_object, &mut mistakes);
        immutable::check(&service.spec, &old.spec, &mut mistakes);
        validate::check(&object, &service.spec, Some(&old.spec), &mut mistakes);
        mistakes.result()?;
        let warnings = warnings::of(&object, &service.spec);
        defaults::read(&mut object);
        let (claims, releases) =
            if context.dry_run { (Vec::new(), Vec::new()) } else { delta(&service.spec, &old.spec) };
        Ok(Admitted { object, claims, releases, warnings })
    }

    fn update_status(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        let (old_object, old) = stored(old)?;
        crate::json::keep(&mut new, &old_object, "spec");
        status::set_defaults(&mut new);
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, &old_object, &mut mistakes);
        status::check(&new, &old.spec, &old_object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn holds(&self, object: &Value) -> Vec<Claim> {
        stored(object).map(|(_, service)| claims(&service.spec)).unwrap_or_default()
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        match path {
            "spec.clusterIP" => Some(text(object, "/spec/clusterIP").to_owned()),
            "spec.type" => Some(text(object, "/spec/type").to_owned()),
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

/// A stored object as a current reader sees it.
fn stored(object: &Value) -> Result<(Value, Decoded), Refusal> {
    let mut object = object.clone();
    crate::conform(&Service, &mut object)?;
    defaults::read(&mut object);
    let decoded = Decoded::new(object.clone())?;
    Ok((object, decoded))
}

/// What a Service holds. Its ports count once, however many protocols use them (S-137).
fn claims(spec: &Spec) -> Vec<Claim> {
    let mut claims = Vec::new();
    if !spec.is_external_name() {
        claims.extend(spec.cluster_ips.iter().filter_map(|text| ip::parse(text)).map(Claim::Address));
    }
    let mut ports = BTreeSet::new();
    if spec.has_node_ports() {
        ports.extend(spec.ports.iter().map(|port| port.node_port));
    }
    if spec.needs_health_check() {
        ports.insert(spec.health_check_node_port);
    }
    claims.extend(
        ports.into_iter().filter_map(|port| u16::try_from(port).ok()).filter(|&port| port != 0).map(Claim::Port),
    );
    claims
}

/// What `new` holds and `old` doesn't, and the other way round.
fn delta(new: &Spec, old: &Spec) -> (Vec<Claim>, Vec<Claim>) {
    let (new, old) = (claims(new), claims(old));
    let claimed = new.iter().filter(|claim| !old.contains(claim)).copied().collect();
    let released = old.iter().filter(|claim| !new.contains(claim)).copied().collect();
    (claimed, released)
}

#[cfg(test)]
mod tests;
