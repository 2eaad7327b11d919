//! Values without fields of their own in JSON, some of which are messages in protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::wire::{self, Field, fields};

/// A type whose JSON form is a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Text,
    Bool,
    Int,
    /// Base64 in JSON.
    Bytes,
    /// RFC 3339 in whole seconds.
    Time,
    /// RFC 3339 in microseconds.
    MicroTime,
    /// A number or a text.
    IntOrString,
    /// A text in a message of its own.
    Quantity,
    /// JSON in a message of its own.
    Json,
}

impl Leaf {
    /// The leaf that the table calls so.
    pub fn named(name: &str) -> Option<Leaf> {
        Some(match name {
            "string" => Leaf::Text,
            "bool" => Leaf::Bool,
            "int" => Leaf::Int,
            "bytes" => Leaf::Bytes,
            "time" => Leaf::Time,
            "microtime" => Leaf::MicroTime,
            "intstr" => Leaf::IntOrString,
            "quantity" => Leaf::Quantity,
            "json" => Leaf::Json,
            _ => return None,
        })
    }

    /// The JSON value; the outer `None` if the bytes are damaged, the inner one if nothing is set.
    pub fn read(self, value: wire::Value<'_>) -> Option<Option<Value>> {
        match (self, value) {
            (Leaf::Bool, wire::Value::Number(number)) => Some(Some(Value::Bool(number != 0))),
            (Leaf::Int, wire::Value::Number(number)) => Some(Some(signed(number).into())),
            (Leaf::Text, wire::Value::Bytes(bytes)) => text(bytes).map(Some),
            (Leaf::Bytes, wire::Value::Bytes(bytes)) => Some(Some(STANDARD.encode(bytes).into())),
            (Leaf::Time, wire::Value::Bytes(bytes)) => time(bytes, false),
            (Leaf::MicroTime, wire::Value::Bytes(bytes)) => time(bytes, true),
            (Leaf::IntOrString, wire::Value::Bytes(bytes)) => int_or_string(bytes).map(Some),
            (Leaf::Quantity, wire::Value::Bytes(bytes)) => {
                inner(bytes)?.map(text).unwrap_or(Some("0".into())).map(Some)
            }
            (Leaf::Json, wire::Value::Bytes(bytes)) => match inner(bytes)? {
                Some(json) => serde_json::from_slice(json).ok().map(Some),
                None => Some(None),
            },
            _ => None,
        }
    }
}

/// Negative numbers stand in two's complement.
fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

fn text(bytes: &[u8]) -> Option<Value> {
    String::from_utf8(bytes.to_vec()).ok().map(Value::String)
}

/// The first field of a message, if it is there.
fn inner(bytes: &[u8]) -> Option<Option<&[u8]>> {
    let mut found = None;
    for field in fields(bytes) {
        if let Field { number: 1, value: wire::Value::Bytes(bytes) } = field? {
            found = Some(bytes);
        }
    }
    Some(found)
}

fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut string) = (false, 0, &[][..]);
    for field in fields(bytes) {
        match field? {
            Field { number: 1, value: wire::Value::Number(form) } => is_text = form == 1,
            Field { number: 2, value: wire::Value::Number(given) } => number = signed(given),
            Field { number: 3, value: wire::Value::Bytes(given) } => string = given,
            _ => {}
        }
    }
    if is_text { text(string) } else { Some(number.into()) }
}

/// Seconds since 1970 and nanoseconds; an empty message is no time.
fn time(bytes: &[u8], micro: bool) -> Option<Option<Value>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in fields(bytes) {
        match field? {
            Field { number: 1, value: wire::Value::Number(given) } => seconds = signed(given),
            Field { number: 2, value: wire::Value::Number(given) } => nanoseconds = signed(given),
            _ => {}
        }
    }
    let nanoseconds = if micro { i32::try_from(nanoseconds).ok()? } else { 0 };
    let time = jiff::Timestamp::new(seconds, nanoseconds).ok()?;
    Some(Some(if micro { format!("{time:.6}").into() } else { time.to_string().into() }))
}
