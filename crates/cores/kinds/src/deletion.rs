//! What a DELETE does to an object: remove it, mark it, or wait for what is under way already.
//!
//! Releasing what the object held is the server's part, once the object is really gone (S-106). Who takes the
//! finalizers away again is left to controllers.

use serde_json::Value;

use crate::json::{self, text};
use crate::{Kind, Refusal, age};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// The body of a DELETE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Overrides the kind's own grace period.
    pub grace_period_seconds: Option<i64>,
    /// What happens to the objects that this one owns.
    pub propagation: Option<Propagation>,
    /// The object must have this uid.
    pub uid: Option<String>,
    /// The object must have this resource version.
    pub resource_version: Option<String>,
}

/// What happens to the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without owner.
    Orphan,
}

/// What is to be done with the stored object.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// Remove it now.
    Remove,
    /// Store it in this form; it is being deleted from now on.
    Mark(Value),
    /// It is being deleted already and nothing changes.
    Unchanged,
}

impl DeleteOptions {
    /// Reads the body of a DELETE, or its query parameters put into the same form.
    pub fn parse(body: &Value) -> Result<DeleteOptions, Refusal> {
        let propagation = match text(body, "/propagationPolicy") {
            "" if body.get("orphanDependents") == Some(&Value::Bool(true)) => Some(Propagation::Orphan),
            "" => None,
            "Background" => Some(Propagation::Background),
            "Foreground" => Some(Propagation::Foreground),
            "Orphan" => Some(Propagation::Orphan),
            other => {
                let mut mistakes = crate::fields::Mistakes::default();
                let detail = "supported values: \"Background\", \"Foreground\", \"Orphan\", nil";
                mistakes.invalid("propagationPolicy", other, detail);
                return Err(mistakes.result().err().unwrap_or(Refusal::BadRequest(detail.to_owned())));
            }
        };
        let given = |pointer| Some(text(body, pointer).to_owned()).filter(|text| !text.is_empty());
        Ok(DeleteOptions {
            grace_period_seconds: json::int(body, "/gracePeriodSeconds"),
            propagation,
            uid: given("/preconditions/uid"),
            resource_version: given("/preconditions/resourceVersion"),
        })
    }
}

/// Decides on the deletion of `object`. `now` is RFC 3339 in whole seconds.
pub fn deletion(object: &Value, options: &DeleteOptions, kind: &dyn Kind, now: &str) -> Result<Deletion, Refusal> {
    check_preconditions(&object["metadata"], options)?;
    let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let mut marked = object.clone();
    propagate(&mut marked, options.propagation);
    let grace = match grace_left(object) {
        // Under way already: the grace period can only become shorter.
        Some(left) => asked.map_or(left, |seconds| seconds.min(left)),
        None => kind.grace_period_seconds(object, asked),
    };
    if grace == 0 && !is_held(&marked) {
        return Ok(Deletion::Remove);
    }
    mark(&mut marked, grace, now);
    kind.mark_deleted(&mut marked);
    Ok(if marked == *object { Deletion::Unchanged } else { Deletion::Mark(marked) })
}

/// Whether an object that is being deleted has nothing left that holds it, so that this write removes it.
pub fn is_finished(object: &Value) -> bool {
    grace_left(object) == Some(0) && !is_held(object)
}

fn check_preconditions(metadata: &Value, options: &DeleteOptions) -> Result<(), Refusal> {
    for (name, wanted, found) in [
        ("UID", &options.uid, text(metadata, "/uid")),
        ("ResourceVersion", &options.resource_version, text(metadata, "/resourceVersion")),
    ] {
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(Refusal::Conflict(format!(
                "Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {found}"
            )));
        }
    }
    Ok(())
}

/// The remaining grace period of an object that is being deleted.
fn grace_left(object: &Value) -> Option<i64> {
    let metadata = &object["metadata"];
    metadata
        .get("deletionTimestamp")
        .is_some_and(|time| !time.is_null())
        .then(|| json::int(metadata, "/deletionGracePeriodSeconds").unwrap_or(0).max(0))
}

/// Finalizers hold an object: those of its metadata, and those of a Namespace's spec.
fn is_held(object: &Value) -> bool {
    !json::is_empty(object, "/metadata/finalizers")
        || (object["kind"] == "Namespace" && !json::is_empty(object, "/spec/finalizers"))
}

fn mark(object: &mut Value, grace: i64, now: &str) {
    let left = grace_left(object);
    if left == Some(grace) {
        return;
    }
    let stamp = match left {
        // A shorter grace period counts from when the first one began.
        Some(left) => age::later(text(object, "/metadata/deletionTimestamp"), grace.saturating_sub(left)),
        None => age::later(now, grace),
    };
    let metadata = json::object(object, "metadata");
    json::set(metadata, "deletionTimestamp", stamp);
    json::set(metadata, "deletionGracePeriodSeconds", grace);
    if left.is_none()
        && let Some(generation) = json::int(metadata, "/generation")
    {
        json::set(metadata, "generation", generation.saturating_add(1));
    }
}

fn propagate(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let metadata = json::object(object, "metadata");
    let before = json::texts(metadata, "/finalizers");
    let mut finalizers = before.clone();
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    finalizers.retain(|name| (name != FOREGROUND && name != ORPHAN) || Some(name.as_str()) == wanted);
    if let Some(wanted) = wanted
        && !finalizers.iter().any(|name| name == wanted)
    {
        finalizers.push(wanted.to_owned());
    }
    if finalizers.is_empty() {
        json::remove(metadata, "finalizers");
    } else if finalizers != before {
        json::set(metadata, "finalizers", finalizers);
    }
}

#[cfg(test)]
mod tests;
