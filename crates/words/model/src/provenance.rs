//! Where an element of a Model comes from.

use std::fmt;
use std::sync::Arc;

/// The object and field that put an element there. Observed Models carry none, and equality ignores it: otherwise every
/// metadata edit would be a change of the data path.
#[derive(Clone, Debug, Default)]
pub struct Provenance(pub Option<Arc<Origin>>);

/// An object, a field of it, and its version at the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The object's kind.
    pub kind: &'static str,
    /// `namespace/name`.
    pub object: String,
    /// The field's path, such as `spec.clusterIPs[0]`.
    pub field: String,
    /// The object's `metadata.resourceVersion`.
    pub resource_version: String,
}

impl Provenance {
    /// Names the object and field.
    pub fn new(kind: &'static str, object: String, field: String, resource_version: String) -> Provenance {
        Provenance(Some(Arc::new(Origin { kind, object, field, resource_version })))
    }

    /// The origin, if it is known.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.as_deref()
    }
}

impl PartialEq for Provenance {
    fn eq(&self, _: &Provenance) -> bool {
        true
    }
}

impl Eq for Provenance {}

impl fmt::Display for Provenance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin() {
            Some(origin) => {
                write!(out, "{} {} {} @{}", origin.kind, origin.object, origin.field, origin.resource_version)
            }
            None => out.write_str("unknown"),
        }
    }
}
