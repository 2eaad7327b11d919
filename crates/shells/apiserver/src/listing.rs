//! Lists, and which objects a request selects.

use api::Selector;
use bytes::Bytes;
use kinds::Kind;
use serde_json::Value;
use store::{KeyValue, Range, Revision};

use crate::query::Query;
use crate::registry::Served;
use crate::status::Status;
use crate::verbs::Call;
use crate::{Inner, keys, object, options};

/// Which objects are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: Selector,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl Selection {
    /// Reads the selectors of a request, and the name if the path gives one.
    pub(crate) fn parse(kind: &dyn Kind, query: &Query, name: Option<&str>) -> Result<Selection, Status> {
        let labels = query.label_selector.parse().map_err(|error| Status::bad_request(format!("{error}")))?;
        let mut fields = fields(&query.field_selector)?;
        if let Some(name) = name {
            fields.push(FieldRequirement { path: "metadata.name".to_owned(), value: name.to_owned(), equal: true });
        }
        let unknown = fields.iter().find(|field| selectable(kind, &Value::Null, &field.path).is_none());
        match unknown {
            Some(field) => Err(Status::bad_request(format!("field label not supported: {}", field.path))),
            None => Ok(Selection { labels, fields }),
        }
    }

    /// Whether every object is wanted, so that none need be decoded.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.0.is_empty() && self.fields.is_empty()
    }

    /// Whether this object is wanted.
    pub(crate) fn matches(&self, kind: &dyn Kind, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.matches_with(|key| labels.get(key).and_then(Value::as_str))
            && self.fields.iter().all(|field| {
                let value = selectable(kind, object, &field.path).unwrap_or_default();
                (value == field.value) == field.equal
            })
    }
}

fn selectable(kind: &dyn Kind, object: &Value, path: &str) -> Option<String> {
    let text = |key: &str| Some(object["metadata"][key].as_str().unwrap_or_default().to_owned());
    match path {
        "metadata.name" => text("name"),
        "metadata.namespace" => text("namespace"),
        _ => kind.field(object, path),
    }
}

fn fields(text: &str) -> Result<Vec<FieldRequirement>, Status> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (path, value, equal) = match part.split_once("!=") {
                Some((path, value)) => (path, value, false),
                None => {
                    let (path, value) = part.split_once('=').ok_or_else(|| {
                        Status::bad_request(format!("invalid field selector: {part:?}; it is written field=value"))
                    })?;
                    (path, value.strip_prefix('=').unwrap_or(value), true)
                }
            };
            Ok(FieldRequirement { path: path.to_owned(), value: value.to_owned(), equal })
        })
        .collect()
}

/// One page of a list.
pub(crate) struct Listed {
    pub(crate) items: Vec<KeyValue>,
    pub(crate) revision: Revision,
    pub(crate) r#continue: String,
    pub(crate) remaining: Option<usize>,
}

/// How many objects a list with a selector looks through at a time, however few it is to return.
const STEP: usize = 500;

/// Reads the page that a list request asks for.
pub(crate) async fn list(inner: &Inner, call: &Call) -> Result<Listed, Status> {
    options::check_list(&call.query)?;
    let selection = Selection::parse(call.served.kind, &call.query, None)?;
    let prefix = keys::prefix(call.served.facts(), call.path.namespace.as_deref());
    let (mut at, after) = start(inner, &call.query).await?;
    let limit = call.query.limit.unwrap_or(usize::MAX);
    let step = call.query.limit.map(|limit| if selection.is_everything() { limit } else { limit.max(STEP) });
    let mut range = Range { prefix, after, limit: step };
    let mut items = Vec::new();
    loop {
        // All pages of a list are read at the revision of its first one: whoever watches from there misses nothing.
        let page = inner.store().range(&range, at).await?;
        let revision = *at.get_or_insert(page.revision);
        let mut left = page.items.len() + page.remaining;
        for item in page.items {
            left -= 1;
            range.after = Some(item.key.to_string());
            if wanted(&call.served, &selection, &item) {
                items.push(item);
            }
            if items.len() >= limit {
                break;
            }
        }
        if left == 0 || items.len() >= limit {
            let last = range.after.as_deref().filter(|_| left > 0);
            let token = last.map(|last| continuation(revision, last)).unwrap_or_default();
            let remaining = (left > 0 && selection.is_everything()).then_some(left);
            return Ok(Listed { items, revision, r#continue: token, remaining });
        }
        tokio::task::yield_now().await;
    }
}

fn wanted(served: &Served, selection: &Selection, item: &KeyValue) -> bool {
    selection.is_everything() || selection.matches(served.kind, &object::decode(item))
}

/// From which revision and behind which key the list is read. A list is always read from the newest state, which is "not
/// older than" any version that exists.
async fn start(inner: &Inner, query: &Query) -> Result<(Option<Revision>, Option<String>), Status> {
    if !query.r#continue.is_empty() {
        if !matches!(query.resource_version.as_str(), "" | "0") {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let (revision, after) = parse_continuation(&query.r#continue)
            .ok_or_else(|| Status::bad_request("continue key is not valid: it is not one that this server gave"))?;
        return Ok((Some(revision), Some(after)));
    }
    match query.resource_version.as_str() {
        "" | "0" => Ok((None, None)),
        version => {
            let version = revision(version)?;
            let newest = inner.store().revision().await?;
            if version > newest {
                return Err(store::Error::Future { asked: version, newest }.into());
            }
            // A page of a list at a version that isn't said to be a lower bound is a page of exactly that state.
            let exact = match query.resource_version_match.as_str() {
                "" => query.limit.is_some(),
                r#match => r#match == "Exact",
            };
            Ok((exact.then_some(version), None))
        }
    }
}

/// Reads a resource version.
pub(crate) fn revision(text: &str) -> Result<Revision, Status> {
    text.parse().map_err(|_| Status::bad_request(format!("Invalid value: \"{text}\": resourceVersion is not a number")))
}

fn continuation(revision: Revision, after: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{revision}:{after}"))
}

fn parse_continuation(token: &str) -> Option<(Revision, String)> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (revision, after) = text.split_once(':')?;
    Some((revision.parse().ok()?, after.to_owned()))
}

/// The bytes of a JSON list: its head, and each item as stored.
pub(crate) fn render(served: &Served, listed: &Listed) -> Bytes {
    let head = serde_json::json!({
        "resourceVersion": listed.revision.to_string(),
        "continue": listed.r#continue,
    });
    let mut metadata = head;
    if let Some(remaining) = listed.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let kind = served.facts().kind;
    let mut text =
        format!(r#"{{"kind":"{kind}List","apiVersion":"{}","metadata":{metadata},"items":["#, served.api_version())
            .into_bytes();
    for (index, item) in listed.items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        match served.view {
            Some(view) => text.extend_from_slice((view.show)(&object::decode(item)).to_string().as_bytes()),
            None => text.extend_from_slice(&object::with_version(item)),
        }
    }
    text.extend_from_slice(b"]}");
    text.into()
}
