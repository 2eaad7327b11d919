//! `/openapi/v3`: what `kubectl explain` reads, and where kubectl learns that the server validates fields. `/openapi/v2`
//! says the same in one document, for what kubectl checks by itself: a `kind: List`, and kinds that are not served.
//!
//! The documents follow from the served kinds alone, so each is built once.

use std::sync::LazyLock;

use axum_core::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use schema::{Document, DocumentV2, GroupVersion, Served, Subresource};

use crate::registry;
use crate::status::json_response;

static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(documents);
static DOCUMENT_V2: LazyLock<DocumentV2> = LazyLock::new(|| DocumentV2::new(&DOCUMENTS));

/// The protobuf form of v2: as clients ask for it, and its name with nothing in it that a media type must not have.
const PROTOBUF_V2: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const PROTOBUF_V2_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The answer, if the request asks for an OpenAPI document.
pub(crate) fn answer(request: &Request<Body>) -> Option<Response<Body>> {
    if request.method() != Method::GET {
        return None;
    }
    let path = request.uri().path().trim_end_matches('/');
    if path == "/openapi/v2" {
        return Some(v2(request.headers()));
    }
    let path = path.strip_prefix("/openapi/v3")?;
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

/// Clients keep the document and ask whether it is still the same.
fn v2(headers: &HeaderMap) -> Response<Body> {
    let has = |name, word: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(word)))
    };
    let document = &*DOCUMENT_V2;
    let tag = format!("\"{}\"", document.hash);
    let mut response = if has(header::IF_NONE_MATCH, &tag) {
        json_response(StatusCode::NOT_MODIFIED, Body::empty())
    } else if has(header::ACCEPT, PROTOBUF_V2) || has(header::ACCEPT, PROTOBUF_V2_OLD) {
        let mut response = json_response(StatusCode::OK, document.protobuf.clone());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF_V2));
        response
    } else {
        json_response(StatusCode::OK, document.json.clone())
    };
    response.headers_mut().insert(header::ETAG, tag.parse().expect("a hash is a valid header"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
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
