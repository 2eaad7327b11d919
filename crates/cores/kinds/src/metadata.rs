//! The metadata that all kinds share: what the server gives, and what clients may write.
//!
//! The server calls [`prepare_create`] or [`prepare_update`] before the kind decides; the kinds call the checks, so that
//! one answer lists the mistakes in metadata first and the kind's own after them, as Kubernetes does. Deletion is in
//! [`crate::deletion`].

use std::collections::HashSet;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::json::{self, text};
use crate::{Context, Kind, syntax};

/// Longest annotations altogether, keys included, in bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;
/// Letters and digits that cannot spell words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const RANDOM_LENGTH: usize = 5;
/// A generated name stays a DNS label.
const GENERATED_MAX: usize = 63 - RANDOM_LENGTH;

/// Which names a kind allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// A DNS-1123 subdomain.
    Subdomain,
    /// A DNS-1123 label.
    Label,
    /// An IP address in canonical form (S-142).
    Address,
}

/// Gives a new object what only the server gives: uid, creation time, generation, and a name if it has only the start of
/// one. What clients may not choose is dropped.
pub fn prepare_create(object: &mut Value, kind: &dyn Kind, context: &Context<'_>, uid: String) {
    let metadata = json::object(object, "metadata");
    for field in [
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
        "generation",
    ] {
        json::remove(metadata, field);
    }
    drop_empty(metadata);
    if text(metadata, "/name").is_empty() && !text(metadata, "/generateName").is_empty() {
        let name = generated_name(text(metadata, "/generateName"), context.seed);
        json::set(metadata, "name", name);
    }
    json::set(metadata, "uid", uid);
    json::set(metadata, "creationTimestamp", context.now);
    if kind.counts_generations() {
        json::set(metadata, "generation", 1);
    }
}

/// Completes an update with what clients may leave out, and takes back what only the server changes.
pub fn prepare_update(new: &mut Value, old: &Value) {
    let old = &old["metadata"];
    let metadata = json::object(new, "metadata");
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        if text(metadata, &format!("/{field}")).is_empty() {
            json::keep(metadata, old, field);
        }
    }
    for field in ["generation", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        json::keep(metadata, old, field);
    }
    // A name is generated once; what it was made of stays as the record of it.
    json::keep(metadata, old, "generateName");
    json::remove(metadata, "selfLink");
    drop_empty(metadata);
}

/// An empty map or list is no value here: clients that remove the last label read none, as upstream.
fn drop_empty(metadata: &mut Value) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        if json::is_empty(metadata, &format!("/{field}")) {
            json::remove(metadata, field);
        }
    }
}

/// A name from its start and five characters chosen by the seed.
pub fn generated_name(start: &str, seed: u64) -> String {
    let mut end = start.len().min(GENERATED_MAX);
    while !start.is_char_boundary(end) {
        end -= 1;
    }
    let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D;
    word = (word ^ (word >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    word ^= word >> 32;
    let base = ALPHABET.len() as u64;
    let random = (0..RANDOM_LENGTH).map(|_| {
        let letter = ALPHABET[(word % base) as usize];
        word /= base;
        char::from(letter)
    });
    start[..end].chars().chain(random).collect()
}

/// Checks the metadata of a new object.
pub(crate) fn check(object: &Value, kind: &dyn Kind, mistakes: &mut Mistakes) {
    let metadata = &object["metadata"];
    check_name(metadata, kind, mistakes);
    check_namespace(metadata, kind, mistakes);
    check_shared(metadata, mistakes);
}

/// Checks the metadata of a changed object. Names aren't checked again, for the rules may have been others when the
/// object was made.
pub(crate) fn check_update(new: &Value, old: &Value, mistakes: &mut Mistakes) {
    let (metadata, old) = (&new["metadata"], &old["metadata"]);
    check_shared(metadata, mistakes);
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        if metadata.get(field) != old.get(field) {
            mistakes.invalid(format!("metadata.{field}"), metadata.get(field), "field is immutable");
        }
    }
    if old.get("deletionTimestamp").is_some() {
        let known: HashSet<String> = json::texts(old, "/finalizers").into_iter().collect();
        let added: Vec<String> =
            json::texts(metadata, "/finalizers").into_iter().filter(|name| !known.contains(name)).collect();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|name| format!("\"{name}\"")).collect();
            mistakes.forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            );
        }
    }
}

/// Counts a change of the desired state, if `changed` says that there was one.
pub(crate) fn count_generation(new: &mut Value, old: &Value, changed: bool) {
    let generation = json::int(old, "/metadata/generation").unwrap_or(1);
    let generation = if changed { generation.saturating_add(1) } else { generation };
    json::set(json::object(new, "metadata"), "generation", generation);
}

fn check_name(metadata: &Value, kind: &dyn Kind, mistakes: &mut Mistakes) {
    let start = text(metadata, "/generateName");
    if !start.is_empty() && kind.name_rule() != NameRule::Address {
        mistakes.each("metadata.generateName", start, name_messages(kind.name_rule(), &syntax::as_prefix(start)));
    }
    let name = text(metadata, "/name");
    if name.is_empty() {
        mistakes.required("metadata.name", "name or generateName is required");
    } else {
        mistakes.each("metadata.name", name, name_messages(kind.name_rule(), name));
    }
}

fn name_messages(rule: NameRule, name: &str) -> Vec<String> {
    match rule {
        NameRule::Subdomain => syntax::dns_subdomain(name),
        NameRule::Label => syntax::dns_label(name),
        NameRule::Address => match name.parse::<std::net::IpAddr>() {
            Ok(address) if address.to_string() == name && address.to_canonical() == address => Vec::new(),
            _ => vec!["must be a valid IP address in canonical form, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
        },
    }
}

fn check_namespace(metadata: &Value, kind: &dyn Kind, mistakes: &mut Mistakes) {
    let namespace = text(metadata, "/namespace");
    match (kind.facts().namespaced, namespace.is_empty()) {
        (true, true) => mistakes.required("metadata.namespace", ""),
        (true, false) => mistakes.each("metadata.namespace", namespace, syntax::dns_label(namespace)),
        (false, false) => mistakes.forbidden("metadata.namespace", "not allowed on this type"),
        (false, true) => {}
    }
}

fn check_shared(metadata: &Value, mistakes: &mut Mistakes) {
    syntax::labels("metadata.labels", json::pairs(metadata, "/labels"), mistakes);
    check_annotations(metadata, mistakes);
    check_owners(metadata, mistakes);
    check_finalizers(metadata, mistakes);
}

fn check_annotations(metadata: &Value, mistakes: &mut Mistakes) {
    let mut size = 0;
    for (key, value) in json::pairs(metadata, "/annotations") {
        // Annotations may have upper-case prefixes, for historical reasons.
        mistakes.each("metadata.annotations", key, syntax::qualified_name(&key.to_ascii_lowercase()));
        size += key.len() + value.len();
    }
    if size > ANNOTATIONS_MAX {
        mistakes.too_long("metadata.annotations", ANNOTATIONS_MAX);
    }
}

fn check_owners(metadata: &Value, mistakes: &mut Mistakes) {
    let mut controllers = 0;
    for owner in json::items(metadata, "/ownerReferences") {
        let field = "metadata.ownerReferences";
        let version = text(owner, "/apiVersion");
        if version.rsplit('/').next().is_none_or(str::is_empty) {
            mistakes.invalid(format!("{field}.apiVersion"), version, "version must not be empty");
        }
        for name in ["kind", "name", "uid"] {
            if text(owner, &format!("/{name}")).is_empty() {
                mistakes.invalid(format!("{field}.{name}"), "", "must not be empty");
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let owners = &metadata["ownerReferences"];
        let detail = "Only one reference can have Controller set to true";
        mistakes.invalid("metadata.ownerReferences", owners, detail);
    }
}

fn check_finalizers(metadata: &Value, mistakes: &mut Mistakes) {
    let finalizers = json::texts(metadata, "/finalizers");
    for name in &finalizers {
        mistakes.each("metadata.finalizers", name, syntax::qualified_name(name));
    }
    let has = |wanted: &str| finalizers.iter().any(|name| name == wanted);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer \"orphan\" and \"foregroundDeletion\" cannot be both set";
        mistakes.invalid("metadata.finalizers", &finalizers, detail);
    }
}

#[cfg(test)]
mod tests;
