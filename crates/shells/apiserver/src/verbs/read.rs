//! get and list.

use axum_core::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Call, show};
use crate::status::{Status, json_response};
use crate::table::Form;
use crate::{ApiServer, listing, object, table};

pub(super) async fn get(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let stored = server.inner.store().get(&call.key(), None).await?;
    let stored = stored.ok_or_else(|| Status::not_found(call.served.facts(), call.name()))?;
    if call.form == Form::Object && call.served.view.is_none() {
        return Ok(json_response(StatusCode::OK, object::with_version(&stored)));
    }
    Ok(show(call, StatusCode::OK, &object::decode(&stored), &[]))
}

pub(super) async fn list(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let listed = listing::list(&server.inner, call).await?;
    if call.form == Form::Object {
        return Ok(json_response(StatusCode::OK, listing::render(&call.served, &listed)));
    }
    let mut metadata = json!({ "resourceVersion": listed.revision.to_string(), "continue": listed.r#continue });
    if let Some(remaining) = listed.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let objects: Vec<Value> = listed.items.iter().map(object::decode).collect();
    let body = if call.form == Form::Table {
        let rows = table::Rows { served: &call.served, include: call.query.include_object, now: &call.now };
        rows.table(&objects, metadata, true)
    } else {
        let items: Vec<Value> = objects.iter().map(table::metadata).collect();
        json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items,
        })
    };
    Ok(json_response(StatusCode::OK, body.to_string()))
}
