//! watch: changes as a stream of JSON lines.
//!
//! An event's bytes are the stored ones with the version spliced in; they are decoded only for a watcher that selects,
//! or wants tables. A watcher that is too slow gets `410 Expired` and lists anew.

use std::sync::Arc;
use std::time::Duration;

use axum_core::body::Body;
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream};
use http::{Response, StatusCode, header};
use serde_json::{Value, json};
use store::{Event, KeyValue, Range, Revision};
use tokio::time::Instant;

use crate::listing::{Selection, revision};
use crate::registry::Served;
use crate::status::Status;
use crate::table::{self, Form, Include};
use crate::verbs::{self, Call};
use crate::{ApiServer, keys, object, options};

/// How often an idle watcher that allows it hears of the newest revision.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);
/// How long a watch lasts that does not say: within Kubernetes's 30 to 60 minutes.
const TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// How one watcher wants its events.
struct Watcher {
    served: Served,
    selection: Selection,
    form: Form,
    include: Include,
    /// Whether a Table was sent, with its columns.
    columns_sent: bool,
}

pub(crate) async fn watch(server: &ApiServer, call: Call) -> Result<Response<Body>, Status> {
    let query = &call.query;
    options::check_watch(query)?;
    let selection = Selection::parse(call.served.kind, query, call.path.name.as_deref())?;
    let prefix = keys::prefix(call.served.facts(), call.path.namespace.as_deref());
    let asked = match query.resource_version.as_str() {
        "" | "0" => None,
        version => Some(revision(version)?),
    };
    let newest = server.inner.store().revision().await?;
    if let Some(asked) = asked.filter(|asked| *asked > newest) {
        return Err(store::Error::Future { asked, newest }.into());
    }
    let (initial, after) = match (query.send_initial_events, asked) {
        (Some(true), _) | (None, None) => {
            let page = server.inner.store().range(&Range::prefix(&prefix), None).await?;
            (page.items, page.revision)
        }
        (_, asked) => (Vec::new(), asked.unwrap_or(newest)),
    };
    let changes = match server.inner.store().watch(&prefix, after).await {
        Ok(changes) => changes,
        Err(store::Error::Compacted { asked, oldest }) => {
            return Err(Status::expired(format!("too old resource version: {asked} ({oldest})")));
        }
        Err(error) => return Err(error.into()),
    };
    let mut watcher =
        Watcher { served: call.served, selection, form: call.form, include: query.include_object, columns_sent: false };
    let mut head: Vec<Bytes> = initial.iter().filter_map(|item| watcher.initial(item)).collect();
    if query.send_initial_events == Some(true) && query.allow_watch_bookmarks {
        head.push(watcher.bookmark(after, true));
    }
    let bookmarks = query.allow_watch_bookmarks.then(|| server.clone());
    let timeout = query.timeout_s.filter(|seconds| *seconds > 0).map_or(TIMEOUT, Duration::from_secs);
    Ok(streaming(lines(watcher, head, changes, bookmarks, timeout)))
}

/// The whole stream: what is there, then what changes, until the time is over.
fn lines(
    watcher: Watcher,
    head: Vec<Bytes>,
    changes: store::Watch,
    bookmarks: Option<ApiServer>,
    timeout: Duration,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let live = Live { watcher, changes, bookmarks, bookmark_at: Instant::now() + BOOKMARK_EVERY };
    let live = stream::unfold(live, |mut live| async move { Some((live.next().await?, live)) });
    stream::iter(head).chain(live).take_until(tokio::time::sleep(timeout)).map(Ok)
}

/// A watch after its initial state.
struct Live {
    watcher: Watcher,
    changes: store::Watch,
    /// Where the newest revision is read, for a client that wants bookmarks.
    bookmarks: Option<ApiServer>,
    /// When the client is to hear of the newest revision, if it hears of nothing else before.
    bookmark_at: Instant,
}

impl Live {
    /// The next lines for the client, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let line = match self.bookmarks.clone() {
                None => {
                    let change = self.changes.next().await;
                    self.change(change)?
                }
                // Changes that this client does not want put a bookmark off no longer than until they are read.
                Some(server) if self.bookmark_at <= Instant::now() => self.idle(&server).await?,
                Some(_) => match tokio::time::timeout_at(self.bookmark_at, self.changes.next()).await {
                    Ok(change) => self.change(change)?,
                    Err(_) => continue,
                },
            };
            if !line.is_empty() {
                self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
                return Some(line);
            }
        }
    }

    fn change(&mut self, change: Option<Result<Arc<[Event]>, store::Error>>) -> Option<Bytes> {
        match change? {
            Ok(events) => Some(concat(events.iter().filter_map(|event| self.watcher.change(event)))),
            Err(error) => Some(error_line(&error)),
        }
    }

    /// A bookmark must not overtake a change: the store hands changes to its watchers before it counts their revision
    /// as the newest, so the revision holds if nothing is waiting after it was read.
    async fn idle(&mut self, server: &ApiServer) -> Option<Bytes> {
        let revision = server.inner.store().revision().await.ok()?;
        match self.changes.next().now_or_never() {
            None => Some(self.watcher.bookmark(revision, false)),
            Some(change) => self.change(change),
        }
    }
}

fn concat(lines: impl Iterator<Item = Bytes>) -> Bytes {
    let lines: Vec<Bytes> = lines.collect();
    match lines.as_slice() {
        [only] => only.clone(),
        many => many.concat().into(),
    }
}

impl Watcher {
    fn initial(&mut self, item: &KeyValue) -> Option<Bytes> {
        self.wanted(Some(item)).then(|| self.line("ADDED", item))
    }

    /// What a change is to this watcher: an object can enter and leave its selection.
    fn change(&mut self, event: &Event) -> Option<Bytes> {
        let (before, after) = (self.wanted(event.previous.as_ref()), self.wanted(event.current.as_ref()));
        match (before, after, &event.current, &event.previous) {
            (false, true, Some(current), _) => Some(self.line("ADDED", current)),
            (true, true, Some(current), _) => Some(self.line("MODIFIED", current)),
            (true, false, _, Some(previous)) => {
                // The last state, at the revision at which it went.
                let last = KeyValue { modified: event.revision, ..previous.clone() };
                Some(self.line("DELETED", &last))
            }
            _ => None,
        }
    }

    fn wanted(&self, item: Option<&KeyValue>) -> bool {
        item.is_some_and(|item| {
            self.selection.is_everything() || self.selection.matches(self.served.kind, &object::decode(item))
        })
    }

    fn line(&mut self, r#type: &str, item: &KeyValue) -> Bytes {
        let bytes = match (self.form, self.served.view) {
            (Form::Object, None) => object::with_version(item),
            (Form::Object, Some(view)) => (view.show)(&object::decode(item)).to_string().into(),
            (Form::Metadata, _) => table::metadata(&object::decode(item)).to_string().into(),
            (Form::Table, _) => self.table(&object::decode(item)).to_string().into(),
        };
        event(r#type, &bytes)
    }

    fn table(&mut self, object: &Value) -> Value {
        let list = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
        let columns = !std::mem::replace(&mut self.columns_sent, true);
        // Ages are as of the event, however long the watch lasts.
        let rows = table::Rows { served: &self.served, include: self.include, now: &verbs::now() };
        rows.table(std::slice::from_ref(object), list, columns)
    }

    fn bookmark(&self, revision: Revision, initial_end: bool) -> Bytes {
        let (kind, api_version) = match self.form {
            Form::Object => (self.served.facts().kind, self.served.api_version()),
            Form::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
            Form::Table => ("Table", "meta.k8s.io/v1".to_owned()),
        };
        let mut object = json!({
            "kind": kind, "apiVersion": api_version,
            "metadata": { "resourceVersion": revision.to_string(), "creationTimestamp": null },
        });
        if self.form == Form::Table {
            object["rows"] = json!([]);
        }
        if initial_end {
            object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        event("BOOKMARK", object.to_string().as_bytes())
    }
}

fn event(r#type: &str, object: &[u8]) -> Bytes {
    let mut line = format!(r#"{{"type":"{type}","object":"#, type = r#type).into_bytes();
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}

fn error_line(error: &store::Error) -> Bytes {
    event("ERROR", Status::from(error.clone()).to_value().to_string().as_bytes())
}

fn streaming(lines: impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static) -> Response<Body> {
    let body = http_body_util::StreamBody::new(lines.map(|line| line.map(http_body::Frame::data)));
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::new(body))
        .expect("a constant header is valid")
}
