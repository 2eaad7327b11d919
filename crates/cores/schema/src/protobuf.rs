//! Kubernetes's protobuf form of an object as the JSON value that it stands for.
//!
//! `kubectl create` and clients in Go send their bodies so. Only reading is offered: what is answered is JSON, which all
//! of them accept. An object is wrapped: four bytes of magic, then an `Unknown` with its type and its own bytes. See
//! [Alternate representations of resources](https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources).
//!
//! `protobuf.txt` says where each field stands. A line is a message: its name, then, behind tabs, `NAME NUMBER TYPE`. A
//! type is a message's name or one of the leaves of [`Leaf`]; `[]` makes a list of it, `{}` a map from strings. `!`
//! marks a field whose zero is a value; others leave it out in JSON. A field `*` adds its own fields to the message.
//!
//! Invariants: no input makes this panic, recurse without end, or take more memory than a small multiple of its size.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

mod leaf;
#[cfg(test)]
mod tests;
mod wire;

use leaf::Leaf;
use wire::{Field, fields};

/// What wrapped objects begin with.
const MAGIC: &[u8] = b"k8s\0";
/// No served kind nests deeper.
const DEPTH_MAX: usize = 32;
const TABLE: &str = include_str!("protobuf.txt");

/// Why bytes are not an object in protobuf form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They don't begin as wrapped objects do.
    #[error("the body does not begin with the four bytes of Kubernetes's protobuf form")]
    NotWrapped,
    /// A length, number or text is broken; the name of the message that holds it.
    #[error("the body is not valid protobuf: {0} is damaged")]
    Damaged(&'static str),
    /// Nothing is known of this kind's fields.
    #[error("no protobuf form is known of {kind} in {api_version}")]
    UnknownKind {
        /// As in `apiVersion:`.
        api_version: String,
        /// As in `kind:`.
        kind: String,
    },
}

/// The object that a wrapped protobuf body stands for, with `apiVersion` and `kind`. `kind` and `api_version` hold where
/// the body doesn't name its own.
pub fn from_protobuf(body: &[u8], api_version: &str, kind: &str) -> Result<Value, Error> {
    let wrapped = body.strip_prefix(MAGIC).ok_or(Error::NotWrapped)?;
    let (mut given_version, mut given_kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(wrapped) {
        match field.ok_or(Error::Damaged("Unknown"))? {
            Field { number: 1, value: wire::Value::Bytes(bytes) } => {
                (given_version, given_kind) = type_meta(bytes).ok_or(Error::Damaged("TypeMeta"))?;
            }
            Field { number: 2, value: wire::Value::Bytes(bytes) } => raw = bytes,
            _ => {}
        }
    }
    let api_version = if given_version.is_empty() { api_version } else { &given_version };
    let kind = if given_kind.is_empty() { kind } else { &given_kind };
    let unknown = || Error::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let (name, message) = messages().get_key_value(message_name(api_version, kind).as_str()).ok_or_else(unknown)?;
    let mut object = Map::new();
    read(name, message, raw, DEPTH_MAX, &mut object)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn type_meta(bytes: &[u8]) -> Option<(String, String)> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    for field in fields(bytes) {
        match field? {
            Field { number: 1, value: wire::Value::Bytes(bytes) } => api_version = text(bytes)?,
            Field { number: 2, value: wire::Value::Bytes(bytes) } => kind = text(bytes)?,
            _ => {}
        }
    }
    Some((api_version, kind))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// `core.v1.Service` for `v1` and `Service`: the first part of a group, and the version.
fn message_name(api_version: &str, kind: &str) -> String {
    // Options are the same in every group.
    if kind == "DeleteOptions" {
        return "meta.v1.DeleteOptions".to_owned();
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    format!("{}.{version}.{kind}", group.split('.').next().unwrap_or_default())
}

/// A message of the table.
struct Message {
    fields: FxHashMap<u32, Known>,
}

struct Known {
    name: &'static str,
    keeps_zero: bool,
    many: Many,
    of: Of,
}

#[derive(Clone, Copy, PartialEq)]
enum Many {
    One,
    List,
    Map,
}

#[derive(Clone, Copy)]
enum Of {
    Leaf(Leaf),
    Message(&'static str),
}

/// The table, parsed once.
fn messages() -> &'static FxHashMap<&'static str, Message> {
    static MESSAGES: OnceLock<FxHashMap<&'static str, Message>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let message = |line: &'static str| {
            let mut parts = line.split('\t');
            let name = parts.next().expect("a line begins with a name");
            (name, Message { fields: parts.map(known).collect() })
        };
        TABLE.lines().map(message).collect()
    })
}

fn known(text: &'static str) -> (u32, Known) {
    let mut parts = text.split(' ');
    let mut part = || parts.next().expect("a field has three parts");
    let (name, number, of) = (part(), part(), part());
    let (many, of) = match (of.strip_prefix("[]"), of.strip_prefix("{}")) {
        (Some(item), _) => (Many::List, item),
        (_, Some(value)) => (Many::Map, value),
        _ => (Many::One, of),
    };
    let of = Leaf::named(of).map_or(Of::Message(of), Of::Leaf);
    let known = Known { name: name.trim_end_matches('!'), keeps_zero: name.ends_with('!'), many, of };
    (number.parse().expect("a field has a number"), known)
}

/// Reads a message's fields into `object`.
fn read(
    name: &'static str,
    message: &Message,
    bytes: &[u8],
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), Error> {
    let damaged = || Error::Damaged(name);
    for field in fields(bytes) {
        let field = field.ok_or_else(damaged)?;
        let Some(known) = message.fields.get(&field.number) else { continue };
        match known.many {
            Many::One if known.name == "*" => {
                let (Of::Message(inner), wire::Value::Bytes(bytes)) = (known.of, field.value) else {
                    return Err(damaged());
                };
                below(inner, bytes, depth, object)?;
            }
            Many::One => {
                if let Some(value) = value(known.of, field.value, depth, damaged)?.filter(|value| shown(known, value)) {
                    object.insert(known.name.to_owned(), value);
                }
            }
            Many::List => {
                let item = value(known.of, field.value, depth, damaged)?.unwrap_or_default();
                let list = object.entry(known.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut().ok_or_else(damaged)?.push(item);
            }
            Many::Map => {
                let wire::Value::Bytes(bytes) = field.value else { return Err(damaged()) };
                let (key, value) = entry(known.of, bytes, depth, damaged)?;
                let map = object.entry(known.name).or_insert_with(|| Value::Object(Map::new()));
                map.as_object_mut().ok_or_else(damaged)?.insert(key, value);
            }
        }
    }
    Ok(())
}

fn below(name: &'static str, bytes: &[u8], depth: usize, object: &mut Map<String, Value>) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::Damaged(name))?;
    let message = messages().get(name).expect("the table names no message that it lacks");
    read(name, message, bytes, depth, object)
}

/// `None` if the value stands for nothing, as a time that isn't set does.
fn value(of: Of, value: wire::Value, depth: usize, damaged: impl Fn() -> Error) -> Result<Option<Value>, Error> {
    match (of, value) {
        (Of::Leaf(leaf), value) => leaf.read(value).ok_or_else(damaged),
        (Of::Message(name), wire::Value::Bytes(bytes)) => {
            let mut object = Map::new();
            below(name, bytes, depth, &mut object)?;
            Ok(Some(Value::Object(object)))
        }
        _ => Err(damaged()),
    }
}

fn entry(of: Of, bytes: &[u8], depth: usize, damaged: impl Fn() -> Error) -> Result<(String, Value), Error> {
    let (mut key, mut found) = (String::new(), None);
    for field in fields(bytes) {
        match field.ok_or_else(&damaged)? {
            Field { number: 1, value: wire::Value::Bytes(bytes) } => key = text(bytes).ok_or_else(&damaged)?,
            Field { number: 2, value: inner } => found = value(of, inner, depth, &damaged)?,
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| "".into())))
}

/// Whether JSON shows the value: a zero only where it differs from no value.
fn shown(known: &Known, value: &Value) -> bool {
    known.keeps_zero || !(*value == Value::Bool(false) || *value == 0 || *value == "")
}
