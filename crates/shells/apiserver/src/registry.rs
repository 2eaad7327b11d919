//! Which kind is served at a path, and in which form.

use kinds::{Facts, Kind};
use serde_json::Value;

use crate::path::Path;

/// A kind as one API group serves it. Only Event has two: `v1` and `events.k8s.io/v1`, over one stored object.
#[derive(Clone, Copy)]
pub(crate) struct Served {
    pub(crate) kind: &'static dyn Kind,
    /// Turns the stored object into what this group shows, and back.
    pub(crate) view: Option<View>,
}

/// A second form of a stored object.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) show: fn(&Value) -> Value,
    pub(crate) store: fn(&Value) -> Value,
}

const EVENTS: View = View {
    group: "events.k8s.io",
    version: "v1",
    show: kinds::event::to_events_v1,
    store: kinds::event::from_events_v1,
};

impl Served {
    pub(crate) fn facts(&self) -> &'static Facts {
        self.kind.facts()
    }

    /// Group and version under which the object is served here.
    pub(crate) fn group_version(&self) -> (&'static str, &'static str) {
        match self.view {
            Some(view) => (view.group, view.version),
            None => (self.facts().group, self.facts().version),
        }
    }

    /// `v1` or `group/version`.
    pub(crate) fn api_version(&self) -> String {
        let (group, version) = self.group_version();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }
}

/// Everything that is served, in discovery order.
pub(crate) fn all() -> impl Iterator<Item = Served> {
    kinds::all().iter().flat_map(|kind| {
        let second = (kind.facts().kind == "Event").then_some(Served { kind: *kind, view: Some(EVENTS) });
        [Some(Served { kind: *kind, view: None }), second].into_iter().flatten()
    })
}

/// What a path's group, version and plural name.
pub(crate) fn find(path: &Path) -> Option<Served> {
    all().find(|served| {
        let (group, version) = served.group_version();
        group == path.group && version == path.version && served.facts().plural == path.plural
    })
}

/// The kind with this plural name in its own group.
pub(crate) fn plural(plural: &str) -> &'static dyn Kind {
    kinds::all().iter().copied().find(|kind| kind.facts().plural == plural).expect("the caller names a served kind")
}
