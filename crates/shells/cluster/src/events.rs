//! Events: what a component tells people about an object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};

use crate::Cluster;

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace, or empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Writes Events; one that repeats is counted up in its object instead of written again.
#[derive(Clone, Debug)]
pub struct Recorder {
    cluster: Cluster,
    component: &'static str,
    /// Name and count of what was said. A plain lock: held for single look-ups, never across an await.
    said: Arc<Mutex<HashMap<Told, (String, u64)>>>,
}

/// What was said about whom: subject, reason and message.
type Told = (Subject, String, String);

/// So many different Events are remembered; beyond that, repetition is told as new.
const REMEMBERED: usize = 4096;

impl Recorder {
    /// A recorder for a component, such as `maitred-proxy`.
    pub fn new(cluster: &Cluster, component: &'static str) -> Recorder {
        Recorder { cluster: cluster.clone(), component, said: Arc::default() }
    }

    /// Says something about an object. `type` is `Normal` or `Warning`; a failure to write is logged and forgotten,
    /// since an Event must never stop the work that it speaks of.
    pub async fn record(&self, subject: &Subject, r#type: &str, reason: &str, message: &str) {
        let (name, count) = self.count(subject, reason, message);
        let namespace = if subject.namespace.is_empty() { "default" } else { &subject.namespace };
        let now = jiff::Timestamp::now();
        let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let event = self.event(subject, &name, (r#type, reason, message), (count, &now));
        let mut written: Result<Value, _> = match count {
            1 => self.cluster.send(Method::POST, &path, "application/json", Some(&event)).await,
            _ => {
                let patch = json!({ "count": count, "lastTimestamp": now });
                let path = format!("{path}/{name}");
                self.cluster.send(Method::PATCH, &path, "application/merge-patch+json", Some(&patch)).await
            }
        };
        // An Event whose time was over has been forgotten by the server.
        if count > 1 && written.as_ref().is_err_and(|error| error.code() == Some(404)) {
            written = self.cluster.send(Method::POST, &path, "application/json", Some(&event)).await;
        }
        if let Err(error) = written {
            tracing::warn!(%error, reason, message, "an Event was not written");
        }
    }

    fn count(&self, subject: &Subject, reason: &str, message: &str) -> (String, u64) {
        let mut said = self.said.lock().expect("no holder of this lock panics");
        if said.len() > REMEMBERED {
            said.clear();
        }
        let key = (subject.clone(), reason.to_owned(), message.to_owned());
        let next = said.len();
        let nanos = jiff::Timestamp::now().as_nanosecond();
        let entry = said.entry(key).or_insert_with(|| (format!("{}.{nanos:x}{next:x}", subject.name), 0));
        entry.1 += 1;
        entry.clone()
    }

    fn event(&self, subject: &Subject, name: &str, told: (&str, &str, &str), counted: (u64, &str)) -> Value {
        let ((r#type, reason, message), (count, now)) = (told, counted);
        let namespace = if subject.namespace.is_empty() { "default" } else { &subject.namespace };
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": {
                "kind": subject.kind, "namespace": subject.namespace, "name": subject.name, "uid": subject.uid,
                "apiVersion": api_version(subject.kind),
            },
            "type": r#type, "reason": reason, "message": message, "count": count,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": { "component": self.component },
            "reportingComponent": self.component, "reportingInstance": "",
        })
    }
}

/// The group and version of the kinds that components speak of.
fn api_version(kind: &str) -> &'static str {
    match kind {
        "IPAddress" | "ServiceCIDR" => "networking.k8s.io/v1",
        _ => "v1",
    }
}
