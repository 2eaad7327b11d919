//! Keeping a Pod's status in the API as the Pod is.

use std::sync::Arc;
use std::time::Duration;

use api::Resource;
use http::Method;
use jiff::Timestamp;
use pods::{PodPlan, PodState, Refusal};
use serde_json::Value;
use tokio::sync::watch;

use super::PodObject;
use crate::driver::Shared;

/// The pause after a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// What there is to be told.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// The Pod's state; none if it isn't run.
    pub(super) state: Option<PodState>,
    /// The object as last seen.
    pub(super) object: Arc<PodObject>,
}

/// Writes the status whenever it differs, until the sender is dropped or the object is gone.
pub(super) async fn keep(shared: Arc<Shared>, plan: Arc<Result<PodPlan, Refusal>>, mut news: watch::Receiver<News>) {
    let mut writer = Writer { shared, plan, current: news.borrow().object.clone() };
    loop {
        let latest = news.borrow_and_update().clone();
        match writer.write(&latest).await {
            Ok(()) => {
                if news.changed().await.is_err() {
                    return;
                }
            }
            Err(error) if error.code() == Some(404) => return,
            Err(error) => {
                let error = runloop::chain(&error);
                tracing::warn!(error, pod = latest.object.metadata.key(), "a status was not written; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Writes the status once; a failure is no matter, because the object goes next.
pub(super) async fn once(shared: Arc<Shared>, plan: Arc<Result<PodPlan, Refusal>>, news: &News) {
    let current = news.object.clone();
    let _ = Writer { shared, plan, current }.write(news).await;
}

struct Writer {
    shared: Arc<Shared>,
    plan: Arc<Result<PodPlan, Refusal>>,
    /// The newest form of the object, our own last write included.
    current: Arc<PodObject>,
}

impl Writer {
    async fn write(&mut self, news: &News) -> Result<(), cluster::RequestError> {
        if version(&news.object) > version(&self.current) {
            self.current = news.object.clone();
        }
        let (place, current, now) = (&self.shared.place, &self.current.whole["status"], Timestamp::now());
        let status = match (self.plan.as_ref(), &news.state) {
            (Ok(plan), Some(state)) => pods::status(plan, state, place, current, now),
            (Ok(_), None) => return Ok(()),
            (Err(refusal), _) => pods::refused_status(&self.current.whole, refusal, place, now),
        };
        let Some(mut patch) = pods::difference(current, &status) else { return Ok(()) };
        let metadata = &news.object.metadata;
        // Another Pod of the same name must not get it.
        patch["metadata"]["uid"] = metadata.uid.as_str().into();
        let path = format!("{}/status", cluster::path::<PodObject>(&metadata.namespace, &metadata.name));
        let media = "application/strategic-merge-patch+json";
        let answer: Value = self.shared.cluster.send(Method::PATCH, &path, media, Some(&patch)).await?;
        if let Ok(object) = serde_json::from_value::<PodObject>(answer) {
            self.current = Arc::new(object);
        }
        Ok(())
    }
}

/// The resource version as a number, by which the newer of two forms is told (KEP-5504).
fn version(object: &PodObject) -> u64 {
    object.metadata().resource_version.parse().unwrap_or(0)
}
