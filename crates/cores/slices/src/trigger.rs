//! When the change happened that leads to a write (S-211): what programming latency is measured from.

use std::collections::BTreeMap;

use api::{Pod, Service};
use jiff::Timestamp;

use crate::pod;

/// The newest times seen of one Service and its Pods. Forgotten when the Service goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerTimes {
    seen: Option<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    service: Option<Timestamp>,
    /// By Pod name.
    pods: BTreeMap<String, Timestamp>,
}

impl TriggerTimes {
    /// Notes the times of the objects as they are now and returns the time to write, RFC 3339 with as many digits as it
    /// takes: the Service's creation on first sight, else the earliest time that is newer than what was seen before,
    /// or `None` if none is.
    pub fn observe(&mut self, service: &Service, pods: &[&Pod]) -> Option<String> {
        let created = service.metadata.creation_timestamp.as_deref().and_then(parse);
        let ready: BTreeMap<String, Timestamp> = pod::selected(service, pods)
            .filter_map(|pod| Some((pod.metadata.name.clone(), ready_since(pod)?)))
            .collect();
        let trigger = match &self.seen {
            None => created,
            Some(seen) => {
                let pods = ready.iter().filter(|(name, time)| seen.pods.get(*name).is_none_or(|last| *time > last));
                let service = created.filter(|time| seen.service.is_none_or(|last| *time > last));
                pods.map(|(_, time)| *time).chain(service).min()
            }
        };
        self.seen = Some(Seen { service: created, pods: ready });
        trigger.map(|time| time.to_string())
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
