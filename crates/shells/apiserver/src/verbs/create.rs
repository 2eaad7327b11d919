//! create.

use axum_core::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use super::write::{ATTEMPTS, Facts, Outcome, contended, store, written};
use super::{Call, decode, show};
use crate::status::Status;
use crate::{ApiServer, Inner, keys, object};

pub(crate) async fn create(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let object = decode(call)?;
    let (object, warnings) = create_object(&server.inner, call, object).await?;
    Ok(show(call, StatusCode::CREATED, &object, &warnings))
}

/// Creates an object of the call's kind, in the call's namespace.
pub(super) async fn create_object(
    inner: &Inner,
    call: &Call,
    object: Value,
) -> Result<(Value, Vec<String>), Status> {
    let facts = call.served.facts();
    let generated = object::name(&object).is_empty();
    let mut name = String::new();
    for _ in 0..ATTEMPTS {
        let cluster = Facts::read(inner).await?;
        let context = cluster.context(inner, call);
        let mut prepared = object.clone();
        let uid = uuid::Uuid::new_v4().to_string();
        let refused = |name: &str, refusal| Status::refused(facts, name, refusal);
        kinds::metadata::prepare_create(&mut prepared, call.served.kind, &context, uid);
        name = object::name(&prepared).to_owned();
        let key = keys::object(facts, call.namespace(), &name);
        let admitted = match call.served.kind.create(prepared, &context) {
            Ok(admitted) => admitted,
            // Kubernetes looks for the name only when it stores; but an allocation error would hide that it is taken.
            Err(refusal) => return Err(refused(&name, refusal)),
        };
        if call.query.dry_run {
            return match inner.store().get(&key, None).await? {
                Some(_) => Err(Status::already_exists(facts, &name)),
                None => Ok((admitted.object, admitted.warnings)),
            };
        }
        match store(inner, call, &key, None, &admitted).await? {
            Outcome::Done(revision) => return Ok((written(admitted.object, revision), admitted.warnings)),
            Outcome::Overtaken(taken) if taken == key && !generated => {
                return Err(Status::already_exists(facts, &name));
            }
            Outcome::Overtaken(_) => {}
        }
    }
    Err(contended(call, &name))
}
