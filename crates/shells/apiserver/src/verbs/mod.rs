//! The verbs, generic over the kinds.

mod binding;
mod create;
mod delete;
mod reach;
mod read;
mod update;
mod write;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use update::replace;
pub(crate) use write::{Outcome, commit};

use axum_core::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::path::{self, Path};
use crate::query::{self, Query};
use crate::registry::{self, Served};
use crate::status::{Status, json_response};
use crate::table::{self, Form};
use crate::{ApiServer, fields, watch};

/// The largest body that is read: Kubernetes's own limit.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A request, understood as far as all verbs need it.
pub(crate) struct Call {
    pub(crate) served: Served,
    pub(crate) path: Path,
    pub(crate) query: Query,
    pub(crate) form: Form,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    /// Now, RFC 3339 in UTC, whole seconds.
    pub(crate) now: String,
}

impl Call {
    /// The object's name; only called for paths that give one.
    pub(crate) fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }

    /// The namespace, empty for cluster-scoped kinds.
    pub(crate) fn namespace(&self) -> &str {
        self.path.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> String {
        crate::keys::object(self.served.facts(), self.namespace(), self.name())
    }
}

/// Answers a request for an API resource.
pub(crate) async fn answer(server: &ApiServer, request: Request<Body>) -> Result<Response<Body>, Status> {
    let method = request.method().clone();
    let call = call(request).await?;
    let name = call.path.name.is_some();
    match (method, name, call.path.subresource.as_deref()) {
        (Method::GET, _, None) if call.query.watch || call.path.watch => watch::watch(server, call).await,
        (Method::GET, false, None) => read::list(server, &call).await,
        (Method::GET, true, None) => read::get(server, &call).await,
        (Method::GET, true, Some("status")) if call.served.facts().has_status => read::get(server, &call).await,
        (Method::POST, false, None) => create::create(server, &call).await,
        (Method::PUT, true, None) => update::replace(server, &call).await,
        (Method::PATCH, true, None) => update::patch(server, &call).await,
        (Method::DELETE, true, None) => delete(server, &call).await,
        (Method::DELETE, false, None) => delete::delete_collection(server, &call).await,
        (Method::PUT, true, Some("status")) if call.served.facts().has_status => update::replace(server, &call).await,
        (Method::PATCH, true, Some("status")) if call.served.facts().has_status => update::patch(server, &call).await,
        (Method::PUT, true, Some("finalize")) if call.served.facts().kind == "Namespace" => {
            update::replace(server, &call).await
        }
        (Method::POST, true, Some("binding")) if call.served.facts().kind == "Pod" => {
            binding::bind(server, &call).await
        }
        (_, true, Some(subresource))
            if call.served.facts().kind == "Pod" && reach::SUBRESOURCES.contains(&subresource) =>
        {
            Err(reach::refusal(server, &call, subresource).await)
        }
        (_, _, None | Some("status")) => Err(Status::method_not_allowed()),
        _ => Err(Status::no_such_path()),
    }
}

async fn call(request: Request<Body>) -> Result<Call, Status> {
    let path = path::parse(request.uri().path()).ok_or_else(Status::no_such_path)?;
    let served = registry::find(&path).ok_or_else(Status::no_such_path)?;
    let facts = served.facts();
    let method = request.method().clone();
    let misplaced = match (&path.namespace, facts.namespaced) {
        (Some(_), false) => true,
        (None, true) => path.name.is_some() || method == Method::POST,
        _ => false,
    };
    if misplaced {
        return Err(Status::no_such_path());
    }
    let query = query::parse(request.uri().query())?;
    let text = |headers: &HeaderMap, name| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let accept = text(request.headers(), header::ACCEPT);
    let form = table::accepted(&accept).ok_or_else(|| {
        let mut status = Status::unsupported_media_type(&accept, &["application/json"]);
        (status.code, status.reason) = (406, "NotAcceptable");
        status.message = "only the following media types are accepted: application/json".to_owned();
        status
    })?;
    let content_type = text(request.headers(), header::CONTENT_TYPE);
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| Status::too_large(BODY_BYTES_MAX))?.to_bytes();
    let (content_type, body) = as_json(content_type, body, &served, &method)?;
    Ok(Call { served, path, query, form, content_type, body, now: now() })
}

/// The media type without its parameters.
fn media(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Turns a body in protobuf form, as `kubectl create` and clients in Go send it, into JSON, so that nothing behind this
/// need know of it. Patches have no such form.
fn as_json(content_type: String, body: Bytes, served: &Served, method: &Method) -> Result<(String, Bytes), Status> {
    if media(&content_type) != PROTOBUF || method == Method::PATCH || body.is_empty() {
        return Ok((content_type, body));
    }
    let kind = if method == Method::DELETE { "DeleteOptions" } else { served.facts().kind };
    let object = schema::from_protobuf(&body, &served.api_version(), kind);
    let object = object.map_err(|error| Status::bad_request(error.to_string()))?;
    Ok((JSON.to_owned(), object.to_string().into()))
}

/// Now, as the API writes times.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).expect("now is a valid second").to_string()
}

/// The body of a create or replace, as the stored form of its kind, with name and namespace from the path; and warnings.
fn decode(call: &Call) -> Result<(Value, Vec<String>), Status> {
    let media = media(&call.content_type);
    if !matches!(media, "" | JSON) {
        return Err(Status::unsupported_media_type(media, &[JSON, PROTOBUF]));
    }
    let (mut object, duplicates) = fields::parse(&call.body, "object")?;
    check_type(call, &mut object)?;
    let warnings = fields::check(&call.served, &call.query.field_validation, &object, duplicates)?;
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    if let Some(view) = call.served.view {
        object = (view.store)(&object);
    }
    check_place(call, &mut object)?;
    Ok((object, warnings))
}

/// Kind and version are those of the path, or left out and then filled in.
fn check_type(call: &Call, object: &mut Value) -> Result<(), Status> {
    if !object.is_object() {
        return Err(Status::bad_request("the object provided is not a JSON object"));
    }
    let (kind, version) = (call.served.facts().kind, call.served.api_version());
    for (field, expected) in [("kind", kind), ("apiVersion", version.as_str())] {
        match &object[field] {
            Value::Null => {}
            Value::String(given) if given.is_empty() || given == expected => {}
            given => {
                let message = format!("{field} in the data ({given}) does not match the expected {field} ({expected})");
                return Err(Status::bad_request(message));
            }
        }
    }
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    Ok(())
}

fn check_place(call: &Call, object: &mut Value) -> Result<(), Status> {
    let metadata = &mut object["metadata"];
    match (metadata["namespace"].as_str().unwrap_or_default(), call.namespace()) {
        (given, asked) if given.is_empty() || given == asked => {}
        _ => {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(message));
        }
    }
    if call.served.facts().namespaced {
        metadata["namespace"] = call.namespace().into();
    } else {
        metadata.as_object_mut().map(|metadata| metadata.remove("namespace"));
    }
    let Some(name) = &call.path.name else { return Ok(()) };
    match metadata["name"].as_str().unwrap_or_default() {
        "" => metadata["name"] = name.as_str().into(),
        given if given == name => {}
        given => {
            let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
            return Err(Status::bad_request(message));
        }
    }
    Ok(())
}

/// One object as the client wants it.
fn show(call: &Call, code: StatusCode, object: &Value, warnings: &[String]) -> Response<Body> {
    let version = object["metadata"]["resourceVersion"].clone();
    let body = match (call.form, call.served.view) {
        (Form::Table, _) => {
            let list = serde_json::json!({ "resourceVersion": version });
            let rows = table::Rows { served: &call.served, include: call.query.include_object, now: &call.now };
            rows.table(std::slice::from_ref(object), list, true)
        }
        (Form::Metadata, _) => table::metadata(object),
        (Form::Object, Some(view)) => (view.show)(object),
        (Form::Object, None) => object.clone(),
    };
    let mut response = json_response(code, body.to_string());
    for warning in crate::warnings::headers(warnings) {
        response.headers_mut().append(header::WARNING, warning);
    }
    response
}
