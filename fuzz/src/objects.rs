//! Objects as the API server admits them: defaults, allocation, validation, update, columns.

use std::net::IpAddr;

use kinds::{Context, Kind, ServiceRange, Taken, conform, metadata};
use serde_json::Value;

use crate::parts::{line, values};

/// A line with the kind, a line with an object to create, a line with what it is changed to.
pub fn objects(data: &[u8]) {
    let Some((name, rest)) = line(data) else { return };
    let Some(kind) = kinds::all().iter().find(|kind| kind.facts().kind == name) else { return };
    let Some([object, change]) = values::<2>(rest) else { return };
    let Some(created) = create(*kind, object) else { return };
    check_row(*kind, &created);
    // What was admitted may be written again, and says the same then.
    assert_eq!(update(*kind, created.clone(), &created).as_ref(), Some(&created), "{name} written again");
    if let Some(updated) = update(*kind, change, &created) {
        check_row(*kind, &updated);
    }
}

fn create(kind: &dyn Kind, mut object: Value) -> Option<Value> {
    conform(kind, &mut object).ok()?;
    with_context(|context| {
        metadata::prepare_create(&mut object, kind, context, "0b9e4a50-0000-4000-8000-000000000001".to_owned());
        kind.create(object, context).ok().map(|admitted| admitted.object)
    })
}

fn update(kind: &dyn Kind, mut new: Value, old: &Value) -> Option<Value> {
    conform(kind, &mut new).ok()?;
    metadata::prepare_update(&mut new, old);
    with_context(|context| {
        let by_status = kind.facts().has_status.then(|| kind.update_status(new.clone(), old, context).ok());
        if let Some(admitted) = by_status.flatten() {
            check_row(kind, &admitted.object);
        }
        kind.update(new, old, context).ok().map(|admitted| admitted.object)
    })
}

fn check_row(kind: &dyn Kind, object: &Value) {
    assert_eq!(kind.row(object, NOW).len(), kind.columns().len(), "a cell for each column");
}

const NOW: &str = "2026-01-02T03:04:05Z";

fn with_context<T>(body: impl FnOnce(&Context<'_>) -> T) -> T {
    let range = |cidr: &str| ServiceRange { cidr: cidr.parse().expect("a range"), usable: true };
    body(&Context {
        now: NOW,
        seed: 7,
        service_ranges: &[range("10.96.0.0/16"), range("fd00:10:96::/108")],
        pod_ranges: &["10.244.0.0/16".parse().expect("a range")],
        node_ports: 30000..=32767,
        taken: &Nothing,
        dry_run: false,
    })
}

/// Nothing is taken.
struct Nothing;

impl Taken for Nothing {
    fn address(&self, _: IpAddr) -> bool {
        false
    }

    fn port(&self, _: u16) -> bool {
        false
    }
}
