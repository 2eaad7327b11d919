//! list + watch: the state of a kind as a stream of changes.
//!
//! ```text
//!   ┌──► list ──► Set…, Gone… (what vanished meanwhile), Synced ──► watch ──► Set, Gone ──┐
//!   └────────────── 410 Expired; other errors wait and continue from the last version ◄───┘
//! ```

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::{List, Metadata, Resource};
use futures::TryStreamExt;
use http::{Request, header};
use kube::core::WatchEvent;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::requests::{Cluster, JSON, path};

/// One change of a kind's state.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// The object is new or changed.
    Set(Arc<T>),
    /// The object is gone; its last known state.
    Gone(Arc<T>),
    /// The first list is complete. Sent once.
    Synced,
}

/// Which objects are reflected.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only this namespace, or all if empty.
    pub namespace: String,
    /// `labelSelector`, or empty.
    pub labels: String,
    /// `fieldSelector`, or empty.
    pub fields: String,
}

/// How many changes wait for a consumer before the reflector waits for it.
const QUEUE: usize = 1024;
/// Objects per page of a list.
const PAGE: usize = 1000;
/// How long a watch lasts before it is renewed, in seconds.
const WATCH_S: u64 = 290;
/// How long a watch may be silent before it counts as broken: the server ends it before, or sends bookmarks.
const SILENCE: Duration = Duration::from_secs(WATCH_S + 30);
/// The pause after a failure, doubling up to a limit.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Reflects a kind until the receiver is dropped.
pub fn reflect<T: Resource>(cluster: &Cluster, selection: Selection) -> mpsc::Receiver<Change<T>> {
    let source = Source {
        kind: T::KIND.to_owned(),
        path: path::<T>(&selection.namespace, ""),
        list_accept: JSON,
        watch_accept: JSON,
        metadata: T::metadata,
    };
    reflect_from(cluster, source, selection)
}

/// Where objects come from, in which form, and where their metadata stands.
pub(crate) struct Source<T> {
    /// The kind, for the log.
    pub(crate) kind: String,
    /// The path of the collection.
    pub(crate) path: String,
    /// The form of a list.
    pub(crate) list_accept: &'static str,
    /// The form of a watch's objects.
    pub(crate) watch_accept: &'static str,
    /// The metadata of an object.
    pub(crate) metadata: fn(&T) -> &Metadata,
}

/// Reflects the objects of a source until the receiver is dropped.
pub(crate) fn reflect_from<T>(cluster: &Cluster, source: Source<T>, selection: Selection) -> mpsc::Receiver<Change<T>>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let (out, changes) = mpsc::channel(QUEUE);
    let reflector =
        Reflector { cluster: cluster.clone(), source, selection, known: HashMap::new(), synced: false, out };
    tokio::spawn(reflector.run());
    changes
}

struct Reflector<T> {
    cluster: Cluster,
    source: Source<T>,
    selection: Selection,
    /// Last known states by key, to tell on a new list what is gone.
    known: HashMap<String, Arc<T>>,
    synced: bool,
    out: mpsc::Sender<Change<T>>,
}

/// Why a list or watch ended.
enum End {
    /// The consumer is gone.
    Unwanted,
    /// The version is too old: list anew.
    Expired,
    /// Anything else, in words: continue after a pause.
    Failed(String),
    /// The server closed the watch in time.
    TimeOut,
}

impl<T: DeserializeOwned + Clone + Send + Sync + 'static> Reflector<T> {
    async fn run(mut self) {
        let mut version: Option<String> = None;
        let mut pause = PAUSE.0;
        // An outage is told once; it may last for days.
        let mut told = false;
        loop {
            let end = match version.clone() {
                None => match self.list().await {
                    Ok(listed) => {
                        version = Some(listed);
                        self.is_over(std::mem::take(&mut told));
                        pause = PAUSE.0;
                        continue;
                    }
                    Err(end) => end,
                },
                Some(from) => {
                    let mut newest = from.clone();
                    let end = self.watch(&mut newest).await;
                    if newest != from {
                        self.is_over(std::mem::take(&mut told));
                        pause = PAUSE.0;
                    }
                    version = Some(newest);
                    end
                }
            };
            match end {
                End::Unwanted => return,
                End::TimeOut => {
                    self.is_over(std::mem::take(&mut told));
                    tokio::time::sleep(PAUSE.0).await;
                }
                End::Expired => {
                    tokio::time::sleep(PAUSE.0).await;
                    version = None;
                }
                End::Failed(why) => {
                    if told {
                        tracing::debug!(kind = self.source.kind, why, "list or watch failed again");
                    } else {
                        tracing::warn!(kind = self.source.kind, why, "list or watch failed; trying until it succeeds");
                    }
                    told = true;
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.out.closed() => return,
                    }
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    fn is_over(&self, told: bool) {
        if told {
            tracing::info!(kind = self.source.kind, "list or watch works again");
        }
    }

    /// Reads everything, tells what is new, changed and gone, and returns the version from which to watch.
    async fn list(&mut self) -> Result<String, End> {
        let mut seen = HashSet::new();
        let mut next = String::new();
        loop {
            let query = format!("limit={PAGE}{}", parameter("continue", &next));
            let (url, accept) = (self.url(&query), self.source.list_accept);
            let page = self.cluster.list_as::<List<T>>(&url, accept).await.map_err(|error| match error.code() {
                Some(410) => End::Expired,
                _ => End::Failed(error.to_string()),
            })?;
            for object in page.items {
                seen.insert(self.metadata(&object).key());
                self.set(object).await?;
            }
            next = page.metadata.r#continue;
            if next.is_empty() {
                self.forget_all_but(&seen).await?;
                return Ok(page.metadata.resource_version);
            }
        }
    }

    async fn forget_all_but(&mut self, seen: &HashSet<String>) -> Result<(), End> {
        let gone: Vec<String> = self.known.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            self.gone(&key).await?;
        }
        if !std::mem::replace(&mut self.synced, true) {
            self.tell(Change::Synced).await?;
        }
        Ok(())
    }

    /// Follows changes; `version` moves with them.
    async fn watch(&mut self, version: &mut String) -> End {
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}{}",
            parameter("resourceVersion", version)
        );
        let request = Request::get(self.url(&query)).header(header::ACCEPT, self.source.watch_accept);
        let request = match request.body(Vec::new()) {
            Ok(request) => request,
            Err(error) => return End::Failed(error.to_string()),
        };
        let begun = tokio::select! {
            begun = tokio::time::timeout(SILENCE, self.cluster.client.request_events::<T>(request)) => begun,
            () = self.out.closed() => return End::Unwanted,
        };
        let Ok(begun) = begun else { return End::Failed(format!("a watch did not begin within {SILENCE:?}")) };
        let events = match begun {
            Ok(events) => events,
            Err(kube::Error::Api(status)) if status.code == 410 => return End::Expired,
            Err(error) => return End::Failed(error.to_string()),
        };
        let mut events = pin!(events);
        loop {
            let event = tokio::select! {
                event = tokio::time::timeout(SILENCE, events.try_next()) => event,
                () = self.out.closed() => return End::Unwanted,
            };
            let done = match event {
                Ok(Ok(Some(event))) => self.event(event, version).await,
                Ok(Ok(None)) => Err(End::TimeOut),
                Ok(Err(error)) => Err(End::Failed(error.to_string())),
                Err(_) => Err(End::Failed(format!("a watch was silent for {SILENCE:?}"))),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn event(&mut self, event: WatchEvent<T>, version: &mut String) -> Result<(), End> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                version.clone_from(&self.metadata(&object).resource_version);
                self.set(object).await
            }
            WatchEvent::Deleted(object) => {
                version.clone_from(&self.metadata(&object).resource_version);
                self.gone(&self.metadata(&object).key()).await
            }
            WatchEvent::Bookmark(bookmark) => {
                version.clone_from(&bookmark.metadata.resource_version);
                Ok(())
            }
            WatchEvent::Error(status) if status.code == 410 => Err(End::Expired),
            WatchEvent::Error(status) => Err(End::Failed(status.message)),
        }
    }

    async fn set(&mut self, object: T) -> Result<(), End> {
        let key = self.metadata(&object).key();
        let same = self.known.get(&key).is_some_and(|known| {
            let (known, new) = (self.metadata(known), self.metadata(&object));
            !new.resource_version.is_empty() && known.resource_version == new.resource_version && known.uid == new.uid
        });
        if same {
            return Ok(());
        }
        // A list shows only the second life of a name; that the first one ended matters to who follows uids.
        if self.known.get(&key).is_some_and(|known| self.metadata(known).uid != self.metadata(&object).uid) {
            self.gone(&key).await?;
        }
        let object = Arc::new(object);
        self.known.insert(key, object.clone());
        self.tell(Change::Set(object)).await
    }

    async fn gone(&mut self, key: &str) -> Result<(), End> {
        match self.known.remove(key) {
            Some(object) => self.tell(Change::Gone(object)).await,
            None => Ok(()),
        }
    }

    async fn tell(&self, change: Change<T>) -> Result<(), End> {
        self.out.send(change).await.map_err(|_| End::Unwanted)
    }

    fn metadata<'a>(&self, object: &'a T) -> &'a Metadata {
        (self.source.metadata)(object)
    }

    fn url(&self, query: &str) -> String {
        let selection = &self.selection;
        format!(
            "{}?{query}{}{}",
            self.source.path,
            parameter("labelSelector", &selection.labels),
            parameter("fieldSelector", &selection.fields)
        )
    }
}

/// `&name=value` in percent-encoding, or nothing if there is no value.
pub(crate) fn parameter(name: &str, value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    let mut text = format!("&{name}=");
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte as char),
            other => text += &format!("%{other:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_percent_encoded() {
        assert_eq!(parameter("fieldSelector", "metadata.name=a b"), "&fieldSelector=metadata.name%3Da%20b");
        assert_eq!(parameter("continue", ""), "");
    }
}
