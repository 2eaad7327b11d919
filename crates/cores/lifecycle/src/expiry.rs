//! Events that have had their time. Kubernetes forgets an Event an hour after its last write (`--event-ttl`); here that
//! is read from the times that it carries.

use api::{Metadata, Resource};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// How long an Event lives.
pub const TTL_DEFAULT: SignedDuration = SignedDuration::from_hours(1);

/// An Event, as far as its age goes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventAge {
    /// Name and creation.
    pub metadata: Metadata,
    first_timestamp: Option<String>,
    last_timestamp: Option<String>,
    event_time: Option<String>,
    series: Option<Series>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Series {
    last_observed_time: Option<String>,
}

impl Resource for EventAge {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Event";
    const PLURAL: &'static str = "events";
    const NAMESPACED: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl EventAge {
    /// The newest of its times that is not in the future: a clock that is wrong must not make an Event immortal.
    fn newest(&self, now: Timestamp) -> Timestamp {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time.as_deref());
        let told = [&self.metadata.creation_timestamp, &self.first_timestamp, &self.last_timestamp, &self.event_time];
        let told = told.into_iter().flat_map(Option::as_deref).chain(series);
        let times = told.filter_map(|text| text.parse::<Timestamp>().ok()).filter(|time| *time <= now);
        times.max().unwrap_or(now)
    }
}

/// Which of these Events to delete, and when the next of them will have to go.
pub fn plan_expiry(events: &[EventAge], ttl: SignedDuration, now: Timestamp) -> (Vec<Metadata>, Option<Timestamp>) {
    let end = |event: &EventAge| event.newest(now).saturating_add(ttl).expect("durations of signed seconds saturate");
    let expired = events.iter().filter(|event| end(event) <= now).map(|event| event.metadata.clone());
    let next = events.iter().map(end).filter(|end| *end > now).min();
    (expired.collect(), next)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{at, decode};

    #[test]
    fn an_event_goes_an_hour_after_its_newest_time() {
        let time = |time: &str| format!("2026-01-01T{time}Z");
        let check = |id: &str, object: Value, expired: bool, next: Option<&str>| {
            let mut event: EventAge = decode(object);
            event.metadata.creation_timestamp.get_or_insert_with(|| time("11:00:00"));
            let (gone, wake) = plan_expiry(&[event], TTL_DEFAULT, at("12:00:00"));
            assert_eq!((gone.len(), wake), (usize::from(expired), next.map(at)), "{id}");
        };
        check("created-only", json!({}), true, None);
        check("younger", json!({"metadata": {"creationTimestamp": time("11:00:01")}}), false, Some("12:00:01"));
        check("counted-up-since", json!({"lastTimestamp": time("11:30:00")}), false, Some("12:30:00"));
        check("of-the-newer-form", json!({"eventTime": time("11:40:00.000001")}), false, Some("12:40:00.000001"));
        check("a-series", json!({"series": {"lastObservedTime": time("11:50:00")}}), false, Some("12:50:00"));
        check("a-wrong-clock", json!({"lastTimestamp": time("23:00:00")}), true, None);
        check("no-times-but-the-creation", json!({"firstTimestamp": null, "series": null}), true, None);
    }
}
