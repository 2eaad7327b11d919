//! Problems of the objects and of the kernel, told once each: those that somebody can act on as Events, all in the log.

use std::collections::BTreeSet;
use std::fmt;

use api::Service;
use cluster::{Cluster, Recorder, Subject};
use intent::{Problem, ServiceKey};
use model::Model;
use tokio::sync::watch;

use crate::Unserved;

/// Something that doesn't work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Report {
    /// The objects' fault.
    Problem(Problem),
    /// A part of a Model is not in the kernel.
    Unserved {
        /// Whose part, if it is a Service's.
        service: Option<ServiceKey>,
        /// What, and why.
        why: String,
    },
}

impl Report {
    /// What is not in the kernel, with the Service that wants it there.
    pub(crate) fn unserved(unserved: &Unserved, model: &Model) -> Report {
        let rule = unserved.frontend.and_then(|frontend| model.frontends.get(&frontend));
        let origin = rule.and_then(|rule| rule.provenance.origin());
        let service = origin.and_then(|origin| origin.object.split_once('/'));
        let key =
            |(namespace, name): (&str, &str)| ServiceKey { namespace: namespace.to_owned(), name: name.to_owned() };
        Report::Unserved { service: service.map(key), why: unserved.why.clone() }
    }

    /// Whose Event it becomes, and the Event's reason; none if it is for the log alone.
    fn event(&self) -> Option<(&ServiceKey, &'static str)> {
        match self {
            // S-317.
            Report::Problem(Problem::Conflict { loser, .. }) => Some((loser, "FrontendConflict")),
            // As upstream calls it when a listener cannot be made (S-356).
            Report::Problem(Problem::HealthCheckPort { service, .. }) => {
                Some((service, "FailedToStartServiceHealthcheck"))
            }
            Report::Problem(Problem::Malformed { .. } | Problem::OtherFamily { .. }) => None,
            Report::Unserved { service, .. } => service.as_ref().map(|service| (service, "FrontendNotProgrammed")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Problem(problem) => problem.fmt(out),
            Report::Unserved { why, .. } => out.write_str(why),
        }
    }
}

/// Takes the current problems whenever they may have changed, and tells those that are new.
pub(crate) fn tell(cluster: &Cluster) -> watch::Sender<Vec<Report>> {
    // Only the newest list counts, so an API that hangs holds none back.
    let (sender, mut lists) = watch::channel(Vec::new());
    let cluster = cluster.clone();
    let recorder = Recorder::new(&cluster, "maitred-proxy");
    tokio::spawn(async move {
        let mut told = BTreeSet::new();
        while lists.changed().await.is_ok() {
            let current: BTreeSet<Report> = lists.borrow_and_update().iter().cloned().collect();
            for report in current.difference(&told) {
                tracing::warn!("{report}");
                if let Some((service, reason)) = report.event() {
                    record(&cluster, &recorder, service, reason, &report.to_string()).await;
                }
            }
            told = current;
        }
    });
    sender
}

async fn record(cluster: &Cluster, recorder: &Recorder, service: &ServiceKey, reason: &str, message: &str) {
    let Ok(object) = cluster.get::<Service>(&service.namespace, &service.name).await else { return };
    let subject = Subject {
        kind: "Service",
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        uid: object.metadata.uid,
    };
    recorder.record(&subject, "Warning", reason, message).await;
}
