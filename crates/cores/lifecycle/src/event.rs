//! Events that plans ask for.

use api::{Metadata, ObjectReference};

/// Something that happened to an object, to be told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The object.
    pub regarding: ObjectReference,
    /// Whether somebody should look.
    pub severity: Severity,
    /// One word for machines.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// The `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// For information.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Severity {
    /// As in the Event's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

impl Event {
    /// An Event that somebody should look at.
    pub fn warning(regarding: ObjectReference, reason: &'static str, message: String) -> Event {
        Event { regarding, severity: Severity::Warning, reason, message }
    }

    /// An Event for information.
    pub fn normal(regarding: ObjectReference, reason: &'static str, message: String) -> Event {
        Event { regarding, severity: Severity::Normal, reason, message }
    }
}

/// A reference to the object with this metadata.
pub(crate) fn reference(kind: &str, metadata: &Metadata) -> ObjectReference {
    ObjectReference {
        kind: kind.to_owned(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
    }
}
