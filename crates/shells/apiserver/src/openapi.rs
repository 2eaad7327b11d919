//! `/openapi/v3`: what `kubectl explain` reads, and where kubectl learns that the server validates fields.
//!
//! The documents follow from the served kinds alone, so each is built once.

use std::sync::LazyLock;

use axum_core::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use schema::{Document, GroupVersion, Served, Subresource};

use crate::registry;
use crate::status::json_response;

static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(documents);

/// The answer, if the request asks for an OpenAPI v3 document.
pub(crate) fn answer(request: &Request<Body>) -> Option<Response<Body>> {
    if request.method() != Method::GET {
        return None;
    }
    let path = request.uri().path().trim_end_matches('/').strip_prefix("/openapi/v3")?;
    if path.is_empty() {
        return Some(json_response(StatusCode::OK, schema::openapi_v3_index(&DOCUMENTS).to_string()));
    }
    let document = DOCUMENTS.iter().find(|document| path.strip_prefix('/') == Some(&document.path))?;
    let mut response = json_response(StatusCode::OK, document.bytes.clone());
    // The address carries a hash of the content, so it never changes.
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.strip_prefix("hash=") == Some(&document.hash)) {
        let for_ever = HeaderValue::from_static("public, immutable, max-age=31536000");
        response.headers_mut().insert(header::CACHE_CONTROL, for_ever);
    }
    Some(response)
}

fn documents() -> Vec<Document> {
    let mut versions: Vec<(&str, &str)> = registry::all().map(|served| served.group_version()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.into_iter().map(document).collect()
}

fn document(of: (&'static str, &'static str)) -> Document {
    let kinds: Vec<Served<'_>> = registry::all()
        .filter(|served| served.group_version() == of)
        .map(|served| {
            let facts = served.facts();
            Served {
                kind: facts.kind,
                plural: facts.plural,
                namespaced: facts.namespaced,
                has_status: facts.has_status,
                subresources: subresources(facts.kind),
            }
        })
        .collect();
    Document::new(GroupVersion { group: of.0, version: of.1 }, &kinds)
}

fn subresources(kind: &str) -> &'static [Subresource<'static>] {
    match kind {
        "Pod" => &[Subresource { name: "binding", kind: "Binding", methods: &[schema::Method::Post] }],
        "Namespace" => &[Subresource { name: "finalize", kind: "Namespace", methods: &[schema::Method::Put] }],
        _ => &[],
    }
}
