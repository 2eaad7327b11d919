//! Deletes Events that have had their time, as [`lifecycle::expiry`] plans it.
//!
//! Nothing is watched: no Event can be due before the oldest of the last pass, or before one that was written right
//! after it. A pass goes page by page, so that it never holds more than a few hundred of them.

use api::Metadata;
use cluster::{Cluster, RequestError};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lifecycle::expiry::{EventAge, plan_expiry};
use serde_json::json;

use crate::drive::{Controller, Failure};
use crate::start::Clock;
use crate::writes::{carry_out_all, earlier};

/// Events that are read, and at most deleted, in one step.
const PAGE: usize = 500;
/// Passes per time to live, at most: what expires meanwhile goes together.
const PASSES: i32 = 60;

/// The loop that deletes them.
pub(crate) struct Expiry {
    cluster: Cluster,
    ttl: SignedDuration,
    now: Clock,
}

impl Expiry {
    pub(crate) fn new(cluster: Cluster, ttl: SignedDuration, now: Clock) -> Expiry {
        Expiry { cluster, ttl, now }
    }

    fn after(&self, now: Timestamp, pause: SignedDuration) -> Timestamp {
        now.saturating_add(pause).expect("durations of signed seconds saturate")
    }
}

impl Controller for Expiry {
    async fn run(&mut self) -> Result<Option<Timestamp>, Failure> {
        let begun = (self.now)();
        let mut wake = Some(self.after(begun, self.ttl));
        let mut token = String::new();
        loop {
            let page = self.cluster.page::<EventAge>(PAGE, &token).await;
            let (events, next) = page.map_err(|source| Failure::Read { what: "the Events", source })?;
            let now = (self.now)();
            let (expired, due) = plan_expiry(&events, self.ttl, now);
            let writes = expired.into_iter().map(|event| Box::pin(delete(&self.cluster, event)) as BoxFuture<'_, _>);
            wake = earlier(earlier(wake, due), carry_out_all(writes.collect(), now).await?);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        let soonest = self.after((self.now)(), self.ttl / PASSES);
        Ok(wake.map(|wake| wake.max(soonest)))
    }
}

/// Deletes the Event unless it was told again meanwhile.
async fn delete(cluster: &Cluster, event: Metadata) -> Result<(), RequestError> {
    let preconditions = json!({ "uid": event.uid, "resourceVersion": event.resource_version });
    let options = json!({ "preconditions": preconditions });
    cluster.delete::<EventAge>(&event.namespace, &event.name, Some(&options)).await
}
