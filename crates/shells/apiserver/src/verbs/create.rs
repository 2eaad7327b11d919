//! create.

use axum_core::body::Body;
use http::{Response, StatusCode};
use kinds::Admitted;
use serde_json::Value;

use super::write::{ATTEMPTS, Facts, Outcome, contended, store, written};
use super::{Call, decode, show};
use crate::status::Status;
use crate::{ApiServer, Inner, keys, object};

pub(crate) async fn create(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let (object, mut warnings) = decode(call)?;
    let (object, more) = create_object(&server.inner, call, object).await?;
    warnings.extend(more);
    Ok(show(call, StatusCode::CREATED, &object, &warnings))
}

/// Creates an object of the call's kind, in the call's namespace.
pub(super) async fn create_object(inner: &Inner, call: &Call, object: Value) -> Result<(Value, Vec<String>), Status> {
    let facts = call.served.facts();
    let generated = object::name(&object).is_empty();
    let mut name = String::new();
    for _ in 0..ATTEMPTS {
        let cluster = Facts::read(inner).await?;
        let admitted = decide(inner, call, &cluster, object.clone())?;
        name = object::name(&admitted.object).to_owned();
        let key = keys::object(facts, call.namespace(), &name);
        if call.query.dry_run {
            return match inner.store().get(&key, None).await? {
                Some(_) => Err(Status::already_exists(facts, &name)),
                None => Ok((admitted.object, admitted.warnings)),
            };
        }
        expect_no_version(&object)?;
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

/// An object that comes from elsewhere with its version is mistaken for a new one. Kubernetes refuses it as late as in its
/// store, hence the code, the missing reason and that a dry run does not see it.
fn expect_no_version(object: &Value) -> Result<(), Status> {
    match object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse::<u64>().ok()) {
        None | Some(0) => Ok(()),
        Some(_) => Err(Status::unclassified("resourceVersion should not be set on objects to be created")),
    }
}

/// The object as it is to be stored. A new uid and, if the name is generated, a new name with each attempt.
fn decide(inner: &Inner, call: &Call, cluster: &Facts, mut object: Value) -> Result<Admitted, Status> {
    let kind = call.served.kind;
    let context = cluster.context(inner, call);
    kinds::metadata::prepare_create(&mut object, kind, &context, uuid::Uuid::new_v4().to_string());
    let name = object::name(&object).to_owned();
    kind.create(object, &context).map_err(|refusal| Status::refused(kind.facts(), &name, refusal))
}
