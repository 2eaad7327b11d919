//! Event: what happened to an object. One stored object (`v1`) is served in two forms.
//!
//! `events.k8s.io/v1` calls most fields otherwise; [`to_events_v1`] and [`from_events_v1`] translate. The server stores
//! what [`from_events_v1`] gives.

use serde_json::{Value, json};

use crate::fields::Mistakes;
use crate::json::{self, text};
use crate::{Admitted, Column, Context, Facts, Kind, Refusal, age, column, metadata, wide};

/// `v1 Event`.
#[derive(Debug)]
pub struct Event;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    has_status: false,
};

/// Fields of `v1` and what `events.k8s.io/v1` calls them.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The stored object as `events.k8s.io/v1` shows it.
pub fn to_events_v1(event: &Value) -> Value {
    let mut view = event.clone();
    for (core, events) in NAMES {
        rename(&mut view, core, events);
    }
    json::set(&mut view, "apiVersion", "events.k8s.io/v1");
    view
}

/// What to store for an `events.k8s.io/v1` object.
pub fn from_events_v1(view: &Value) -> Value {
    let mut event = view.clone();
    for (core, events) in NAMES {
        rename(&mut event, events, core);
    }
    json::set(&mut event, "apiVersion", "v1");
    event
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(to);
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

impl Kind for Event {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        json::set_default(&mut object, "involvedObject", json!({}));
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::set_default(&mut new, "involvedObject", json!({}));
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        check(&new, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        let at = |pointer: &str| Some(text(object, pointer).to_owned());
        let reference = path.strip_prefix("involvedObject.").or_else(|| path.strip_prefix("regarding."));
        match (path, reference) {
            (_, Some("kind" | "namespace" | "name" | "uid" | "apiVersion" | "resourceVersion" | "fieldPath")) => {
                at(&format!("/involvedObject/{}", reference.unwrap_or_default()))
            }
            ("reason" | "type" | "reportingComponent", _) => at(&format!("/{path}")),
            ("reportingController", _) => at("/reportingComponent"),
            ("source", _) => Some(source(object).to_owned()),
            _ => None,
        }
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[
            column("Last Seen", "Time since it was last seen"),
            column("Type", "Normal or Warning"),
            column("Reason", "Why it happened, in a word"),
            column("Object", "What it happened to"),
            wide("Subobject", "The part of the object"),
            wide("Source", "Who reported it"),
            column("Message", "What happened"),
            wide("First Seen", "Time since it was first seen"),
            wide("Count", "How often it was seen"),
            wide("Name", "Name of the object"),
        ];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        let (first, last) = times(object);
        let count = json::int(object, "/series/count").or_else(|| json::int(object, "/count")).unwrap_or(1).max(1);
        let involved = &object["involvedObject"];
        let kind = text(involved, "/kind").to_lowercase();
        let name = text(involved, "/name");
        let subject = if name.is_empty() { kind } else { format!("{kind}/{name}") };
        vec![
            age::age(last, now).into(),
            text(object, "/type").into(),
            text(object, "/reason").into(),
            subject.into(),
            text(involved, "/fieldPath").into(),
            source_cell(object).into(),
            text(object, "/message").trim().into(),
            age::age(first, now).into(),
            count.into(),
            crate::name_cell(object),
        ]
    }
}

/// When the event was first and last seen, in whichever fields its reporter used.
fn times(object: &Value) -> (Option<&str>, Option<&str>) {
    let given = |pointer| Some(text(object, pointer)).filter(|text| !text.is_empty());
    let first = given("/firstTimestamp").or_else(|| given("/eventTime"));
    let last = given("/series/lastObservedTime").or_else(|| given("/lastTimestamp")).or(first);
    (first, last)
}

fn source(object: &Value) -> &str {
    match text(object, "/source/component") {
        "" => text(object, "/reportingComponent"),
        component => component,
    }
}

fn source_cell(object: &Value) -> String {
    let host = match text(object, "/source/host") {
        "" if text(object, "/source/component").is_empty() => text(object, "/reportingInstance"),
        host => host,
    };
    [source(object), host].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn check(object: &Value, mistakes: &mut Mistakes) {
    let (namespace, involved) = (text(object, "/metadata/namespace"), text(object, "/involvedObject/namespace"));
    // Events about cluster-scoped objects stand in one of two well-known namespaces.
    let fits =
        if involved.is_empty() { ["", "default", "kube-system"].contains(&namespace) } else { involved == namespace };
    if !fits {
        mistakes.invalid("involvedObject.namespace", involved, "does not match event.namespace");
    }
}

#[cfg(test)]
mod tests;
