//! update and patch: read, change a copy, decide, compare and write once.

use axum_core::body::Body;
use http::{Response, StatusCode};
use kinds::Admitted;
use serde_json::Value;
use store::KeyValue;

use super::create::create_object;
use super::delete::remove;
use super::write::{ATTEMPTS, Facts, Outcome, contended, store, written};
use super::{Call, check_place, check_type, decode, show};
use crate::status::Status;
use crate::{ApiServer, Inner, fields, object};

/// Kinds that a PUT to an absent name creates, as Kubernetes allows it (S-100).
const CREATED_BY_PUT: [&str; 4] = ["services", "endpoints", "events", "leases"];

pub(crate) async fn replace(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let (body, warnings) = decode(call)?;
    change(server, call, &|_| Ok((body.clone(), warnings.clone()))).await
}

pub(super) async fn patch(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let media = super::media(&call.content_type);
    let form = patch::Form::from_media_type(media)
        .ok_or_else(|| Status::unsupported_media_type(media, &patch::Form::MEDIA_TYPES))?;
    let (document, duplicates) = fields::parse(&call.body, "patch")?;
    let (group, kind) = (call.served.group_version().0, call.served.facts().kind);
    change(server, call, &|old| {
        let shown = call.served.view.map_or_else(|| old.clone(), |view| (view.show)(old));
        let mut patched = patch::apply(form, group, kind, &shown, &document).map_err(|error| match error {
            patch::Error::Unprocessable(why) => Status { code: 422, reason: "Invalid", message: why, details: None },
            patch::Error::Malformed(why) => Status::bad_request(why),
        })?;
        check_type(call, &mut patched)?;
        let warnings = fields::check(&call.served, &call.query.field_validation, &patched, duplicates.clone())?;
        check_place(call, &mut patched)?;
        Ok((call.served.view.map_or(patched.clone(), |view| (view.store)(&patched)), warnings))
    })
    .await
}

/// The object as the client wants it, from the object as it is; and warnings.
type Edit<'a> = dyn Fn(&Value) -> Result<(Value, Vec<String>), Status> + Sync + 'a;

/// Changes an object by a function of what is stored, and decides anew if somebody else was faster.
async fn change(server: &ApiServer, call: &Call, edit: &Edit<'_>) -> Result<Response<Body>, Status> {
    let inner = &server.inner;
    let key = call.key();
    for _ in 0..ATTEMPTS {
        let Some(stored) = inner.store().get(&key, None).await? else { return absent(server, call, edit).await };
        let old = object::decode(&stored);
        let (new, mut warnings) = edit(&old)?;
        expect_version(call, &old, &new)?;
        expect_uid(call, &old, &new)?;
        let cluster = Facts::read(inner).await?;
        let admitted = decide(inner, call, &cluster, new, &old)?;
        warnings.extend(admitted.warnings.iter().cloned());
        if call.query.dry_run || same(&admitted, &stored) {
            let object = written(admitted.object, stored.modified);
            return Ok(show(call, StatusCode::OK, &object, &warnings));
        }
        if kinds::deletion::is_finished(&admitted.object) {
            if remove(inner, call, &stored, &old).await? {
                return Ok(show(call, StatusCode::OK, &admitted.object, &warnings));
            }
            continue;
        }
        if let Outcome::Done(revision) = store(inner, call, &key, Some(&stored), &admitted).await? {
            return Ok(show(call, StatusCode::OK, &written(admitted.object, revision), &warnings));
        }
    }
    Err(contended(call, call.name()))
}

/// A client that names a resource version means that object and no later one.
fn expect_version(call: &Call, old: &Value, new: &Value) -> Result<(), Status> {
    match new["metadata"]["resourceVersion"].as_str().unwrap_or_default() {
        "" | "0" => Ok(()),
        given if old["metadata"]["resourceVersion"] == given => Ok(()),
        _ => Err(Status::modified(call.served.facts(), call.name())),
    }
}

/// A client that names a uid means that object and no other of its name.
fn expect_uid(call: &Call, old: &Value, new: &Value) -> Result<(), Status> {
    let (given, own) = (new["metadata"]["uid"].as_str().unwrap_or_default(), old["metadata"]["uid"].as_str());
    if given.is_empty() || Some(given) == own {
        return Ok(());
    }
    let own = own.unwrap_or_default();
    let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {own}");
    Err(Status::conflict(call.served.facts(), call.name(), &why))
}

fn decide(inner: &Inner, call: &Call, cluster: &Facts, mut new: Value, old: &Value) -> Result<Admitted, Status> {
    let kind = call.served.kind;
    let context = cluster.context(inner, call);
    let refused = |refusal| Status::refused(kind.facts(), call.name(), refusal);
    kinds::metadata::prepare_update(&mut new, old);
    let decided = match call.path.subresource.as_deref() {
        Some("status") => kind.update_status(new, old, &context),
        // Routed here for Namespaces only.
        Some("finalize") => kinds::namespace::finalize(new, old),
        _ => kind.update(new, old, &context),
    };
    decided.map_err(refused)
}

fn same(admitted: &Admitted, stored: &KeyValue) -> bool {
    admitted.claims.is_empty()
        && admitted.releases.is_empty()
        && object::encode(admitted.object.clone()) == stored.value
}

/// A PUT to an absent name creates some kinds; everything else is not found.
async fn absent(server: &ApiServer, call: &Call, edit: &Edit<'_>) -> Result<Response<Body>, Status> {
    let facts = call.served.facts();
    let put = matches!(super::media(&call.content_type), "" | super::JSON);
    if !put || call.path.subresource.is_some() || !CREATED_BY_PUT.contains(&facts.plural) {
        return Err(Status::not_found(facts, call.name()));
    }
    let (object, mut warnings) = edit(&Value::Null)?;
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(Status::modified(facts, call.name()));
    }
    let (object, more) = create_object(&server.inner, call, object).await?;
    warnings.extend(more);
    Ok(show(call, StatusCode::CREATED, &object, &warnings))
}
