//! When the change happened that leads to a write (S-211): what programming latency is measured from.

use std::collections::BTreeMap;

use api::{Pod, Service};
use jiff::Timestamp;

use crate::pod;

/// Which objects a time is written into: each kind is written, and fails, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// EndpointSlices (S-211).
    Slices,
    /// Endpoints (S-227).
    Endpoints,
}

/// The newest times seen of one Service and its Pods, and those that no write has told of yet. Forgotten when the Service
/// goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerTimes {
    seen: Option<Seen>,
    /// The earliest untold change of each part.
    untold: [Option<Timestamp>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    service: Option<Timestamp>,
    /// By Pod name.
    pods: BTreeMap<String, Timestamp>,
}

impl TriggerTimes {
    /// Notes the times of the objects as they are now. What is to be told is the Service's creation on first sight, else
    /// the earliest time that is newer than what was seen before, if any is.
    pub fn observe(&mut self, service: &Service, pods: &[&Pod]) {
        let created = service.metadata.creation_timestamp.as_deref().and_then(parse);
        let ready: BTreeMap<String, Timestamp> = pod::selected(service, pods)
            .filter_map(|pod| Some((pod.metadata.name.clone(), ready_since(pod)?)))
            .collect();
        let news = match &self.seen {
            None => created,
            Some(seen) => {
                let pods = ready.iter().filter(|(name, time)| seen.pods.get(*name).is_none_or(|last| *time > last));
                let service = created.filter(|time| seen.service.is_none_or(|last| *time > last));
                pods.map(|(_, time)| *time).chain(service).min()
            }
        };
        self.seen = Some(Seen { service: created, pods: ready });
        self.put_back(Part::Slices, news);
        self.put_back(Part::Endpoints, news);
    }

    /// The time to write into a part's objects, if there is one that was not told; it counts as told.
    pub fn take(&mut self, part: Part) -> Option<Timestamp> {
        self.untold[part as usize].take()
    }

    /// A time was not told after all, since the write failed.
    pub fn put_back(&mut self, part: Part, time: Option<Timestamp>) {
        let untold = &mut self.untold[part as usize];
        *untold = [*untold, time].into_iter().flatten().min();
    }
}

/// When the Pod's readiness last changed.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = pod.status.conditions.iter().find(|condition| condition.r#type == "Ready")?;
    ready.last_transition_time.as_deref().and_then(parse)
}

fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
