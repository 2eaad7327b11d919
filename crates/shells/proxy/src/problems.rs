//! Problems of the objects, told once each: conflicts as Events, the rest in the log.

use std::collections::BTreeSet;

use api::Service;
use cluster::{Cluster, Recorder, Subject};
use intent::Problem;
use tokio::sync::mpsc;

/// Takes the current problems whenever they may have changed, and tells those that are new.
pub(crate) fn tell(cluster: &Cluster) -> mpsc::Sender<Vec<Problem>> {
    let (sender, mut lists) = mpsc::channel::<Vec<Problem>>(4);
    let cluster = cluster.clone();
    let recorder = Recorder::new(&cluster, "maitred-proxy");
    tokio::spawn(async move {
        let mut told = BTreeSet::new();
        while let Some(list) = lists.recv().await {
            let current: BTreeSet<Problem> = list.into_iter().collect();
            for problem in current.difference(&told) {
                tracing::warn!("{problem}");
                if let Problem::Conflict { loser, .. } = problem {
                    conflict(&cluster, &recorder, loser, &problem.to_string()).await;
                }
            }
            told = current;
        }
    });
    sender
}

/// The loser of a frontend hears of it in an Event (S-317).
async fn conflict(cluster: &Cluster, recorder: &Recorder, loser: &intent::ServiceKey, message: &str) {
    let Ok(service) = cluster.get::<Service>(&loser.namespace, &loser.name).await else { return };
    let subject = Subject {
        kind: "Service",
        namespace: loser.namespace.clone(),
        name: loser.name.clone(),
        uid: service.metadata.uid,
    };
    recorder.record(&subject, "Warning", "FrontendConflict", message).await;
}
