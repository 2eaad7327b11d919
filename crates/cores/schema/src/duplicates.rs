//! `fieldValidation`, second half: keys that stand twice in one object.
//!
//! A parsed value has lost them, so this reads the bytes once more, without building anything but a set of keys for each
//! object that is open.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use rustc_hash::FxHashSet;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::MESSAGES_MAX;

/// Why a text could not be searched for duplicates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no JSON, or nests deeper than 128 levels.
    #[error("couldn't read JSON")]
    Syntax(#[from] serde_json::Error),
}

/// The keys that stand more than once in one object, each as Kubernetes words it: `duplicate field "spec.type"`.
///
/// In the order of the text, each once, at most [`MESSAGES_MAX`]. It knows no kinds, so it also finds duplicates within
/// free maps and unknown fields. Keys are compared as they read, not as they are escaped.
pub fn duplicate_fields(json: &[u8]) -> Result<Vec<String>, Error> {
    let mut search = Search { path: String::new(), found: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_any(&mut search)?;
    deserializer.end()?;
    Ok(search.found)
}

struct Search {
    path: String,
    found: Vec<String>,
}

impl Search {
    fn note_duplicate(&mut self) {
        let message = format!("duplicate field \"{}\"", self.path);
        if self.found.len() < MESSAGES_MAX && !self.found.contains(&message) {
            self.found.push(message);
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Search {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Search {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let length = self.path.len();
        let mut seen: FxHashSet<Cow<'de, str>> = FxHashSet::default();
        while let Some(key) = map.next_key_seed(Key)? {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if !seen.insert(key) {
                self.note_duplicate();
            }
            map.next_value_seed(&mut *self)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let length = self.path.len();
        for at in 0_usize.. {
            write!(self.path, "[{at}]").expect("a String takes what is written");
            let item = list.next_element_seed(&mut *self)?;
            self.path.truncate(length);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a key, without a copy where the text has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(json: &str, expected: &[&str]) {
        assert_eq!(duplicate_fields(json.as_bytes()).expect("it is JSON"), expected, "{json}");
    }

    #[test]
    fn a_duplicate_is_named_by_its_path() {
        check(r#"{"spec":{"type":"A","type":"B"}}"#, &["duplicate field \"spec.type\""]);
        check(r#"{"kind":"A","kind":"A"}"#, &["duplicate field \"kind\""]);
        check(
            r#"{"spec":{"ports":[{"port":1},{"port":2,"name":"a","port":3}]}}"#,
            &["duplicate field \"spec.ports[1].port\""],
        );
        check(r#"[[{"a":1,"a":2}]]"#, &["duplicate field \"[0][0].a\""]);
    }

    #[test]
    fn duplicates_come_in_the_order_of_the_text_and_once_each() {
        check(r#"{"z":1,"a":{"b":1,"b":2,"b":3},"z":2}"#, &["duplicate field \"a.b\"", "duplicate field \"z\""]);
    }

    #[test]
    fn a_duplicate_is_looked_into_too() {
        check(r#"{"a":{"x":1},"a":{"x":1,"y":2,"y":3}}"#, &["duplicate field \"a\"", "duplicate field \"a.y\""]);
    }

    #[test]
    fn keys_are_compared_as_they_read() {
        check(r#"{"type":1,"\u0074ype":2}"#, &["duplicate field \"type\""]);
        check(r#"{"type":1,"Type":2}"#, &[]);
    }

    #[test]
    fn one_key_in_two_objects_is_no_duplicate() {
        check(r#"{"a":{"a":1},"b":{"a":1},"c":[{"a":1},{"a":1}],"d":null,"e":-1.5,"f":true,"g":"a"}"#, &[]);
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_an_error() {
        for text in ["", "{", "{\"a\":1,}", "{\"a\":1} x", "{'a':1}", "nul"] {
            assert!(duplicate_fields(text.as_bytes()).is_err(), "{text}");
        }
        assert!(duplicate_fields(&[b'"', 0xff, b'"']).is_err());
        assert!(duplicate_fields("[".repeat(100_000).as_bytes()).is_err());
        assert!(duplicate_fields("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn messages_are_limited() {
        let twice: String = (0..1000).map(|n| format!("\"k{n}\":1,\"k{n}\":2,")).collect();
        let found = duplicate_fields(format!("{{{twice}\"end\":1}}").as_bytes()).expect("it is JSON");
        assert_eq!(found.len(), MESSAGES_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
            prop_assert_eq!(duplicate_fields(&bytes).is_ok(), parsed.is_ok());
        }

        #[test]
        fn any_text_of_json_signs_is_accepted_as_the_parser_does(text in "[{}\\[\\],:\"a0-9.eE \\\\u-]{0,40}") {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&text);
            prop_assert_eq!(duplicate_fields(text.as_bytes()).is_ok(), parsed.is_ok(), "{}", text);
        }

        #[test]
        fn a_map_has_a_duplicate_exactly_if_a_key_repeats(keys in proptest::collection::vec("[ab]{1,2}", 0..6)) {
            let fields: Vec<String> = keys.iter().map(|key| format!("\"{key}\":0")).collect();
            let found = duplicate_fields(format!("{{{}}}", fields.join(",")).as_bytes()).expect("it is JSON");
            let distinct: std::collections::BTreeSet<&String> = keys.iter().collect();
            prop_assert_eq!(found.is_empty(), distinct.len() == keys.len());
        }
    }
}
