//! A document as a message of gnostic's
//! [OpenAPIv2.proto](https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto), as far as our documents go.
//!
//! Each function writes one message; the numbers are those of its fields there. What has no message of its own stands as
//! YAML, of which JSON is a part.

use serde_json::{Map, Value};

/// `Document`.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let info = &document["info"];
    Message::default()
        .text(1, &document["swagger"])
        .message(2, Message::default().text(1, &info["title"]).text(2, &info["version"]))
        .message(8, named(2, &document["paths"], path))
        .message(9, named(1, &document["definitions"], schema))
        .0
}

/// `PathItem`.
fn path(path: &Value) -> Message {
    let numbers = [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)];
    let operations = numbers.iter().filter_map(|(method, number)| Some((*number, path.get(method)?)));
    let message = operations.fold(Message::default(), |message, (number, it)| message.message(number, operation(it)));
    message.each(9, &path["parameters"], parameter)
}

/// `Operation`.
fn operation(operation: &Value) -> Message {
    Message::default()
        .texts(1, &operation["tags"])
        .text(3, &operation["description"])
        .text(5, &operation["operationId"])
        .texts(6, &operation["produces"])
        .texts(7, &operation["consumes"])
        .each(8, &operation["parameters"], parameter)
        .message(9, named(1, &operation["responses"], response))
        .texts(10, &operation["schemes"])
        .extensions(13, operation)
}

/// `ParametersItem` of a `Parameter`, which is a `BodyParameter` or a `NonBodyParameter`.
fn parameter(parameter: &Value) -> Message {
    let (name, place) = (&parameter["name"], &parameter["in"]);
    let wrap = |number, message| Message::default().message(number, message);
    let inner = match place.as_str() {
        Some("body") => {
            let body = Message::default().text(2, name).text(3, place).flag(4, &parameter["required"]);
            wrap(1, body.message(5, schema(&parameter["schema"])))
        }
        place_name => {
            // `PathParameterSubSchema` lacks the fifth field of `QueryParameterSubSchema`.
            let (one_of, later) = if place_name == Some("path") { (4, 0) } else { (3, 1) };
            let whole = Message::default()
                .flag(1, &parameter["required"])
                .text(2, place)
                .text(3, &parameter["description"])
                .text(4, name)
                .text(5 + later, &parameter["type"])
                .flag(19 + later, &parameter["uniqueItems"]);
            wrap(2, wrap(one_of, whole))
        }
    };
    wrap(1, inner)
}

/// `ResponseValue` of a `Response`.
fn response(response: &Value) -> Message {
    let mut message = Message::default().text(1, &response["description"]);
    if let Some(it) = response.get("schema") {
        message = message.message(2, Message::default().message(1, schema(it)));
    }
    Message::default().message(1, message)
}

/// `Schema`.
fn schema(of: &Value) -> Message {
    let mut message = Message::default().text(1, &of["$ref"]).text(2, &of["format"]).text(4, &of["description"]);
    if let Some(default) = of.get("default") {
        message = message.message(5, any(default));
    }
    message = message.texts(19, &of["required"]).each(20, &of["enum"], any);
    if let Some(values) = of.get("additionalProperties") {
        message = message.message(21, Message::default().message(1, schema(values)));
    }
    if let Some(it) = of.get("type") {
        message = message.message(22, Message::default().text(1, it));
    }
    if let Some(items) = of.get("items") {
        message = message.message(23, Message::default().message(1, schema(items)));
    }
    if let Some(fields) = of.get("properties") {
        message = message.message(25, named(1, fields, schema));
    }
    message.extensions(31, of)
}

/// `Any`.
fn any(value: &Value) -> Message {
    Message::default().text(2, &Value::String(value.to_string()))
}

/// A message of nothing but pairs of name and value, such as `Paths` of `NamedPathItem`s.
fn named(number: u32, object: &Value, write: fn(&Value) -> Message) -> Message {
    let pairs = object.as_object().into_iter().flat_map(Map::iter);
    pairs.fold(Message::default(), |message, (name, value)| message.message(number, pair(name, write(value))))
}

fn pair(name: &str, value: Message) -> Message {
    Message::default().bytes(1, name.as_bytes()).message(2, value)
}

/// The bytes of a message. See <https://protobuf.dev/programming-guides/encoding/>.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Nothing if the value is no text.
    fn text(self, number: u32, value: &Value) -> Message {
        match value.as_str() {
            Some(text) => self.bytes(number, text.as_bytes()),
            None => self,
        }
    }

    fn texts(self, number: u32, list: &Value) -> Message {
        list.as_array().into_iter().flatten().fold(self, |message, text| message.text(number, text))
    }

    fn flag(mut self, number: u32, value: &Value) -> Message {
        if value == true {
            self.varint(u64::from(number) << 3);
            self.varint(1);
        }
        self
    }

    fn message(self, number: u32, inner: Message) -> Message {
        self.bytes(number, &inner.0)
    }

    fn each(self, number: u32, list: &Value, write: fn(&Value) -> Message) -> Message {
        list.as_array().into_iter().flatten().fold(self, |message, item| message.message(number, write(item)))
    }

    /// What Kubernetes adds to the standard's words.
    fn extensions(self, number: u32, object: &Value) -> Message {
        let fields = object.as_object().into_iter().flat_map(Map::iter).filter(|(name, _)| name.starts_with("x-"));
        fields.fold(self, |message, (name, value)| message.message(number, pair(name, any(value))))
    }

    fn bytes(mut self, number: u32, bytes: &[u8]) -> Message {
        self.varint((u64::from(number) << 3) | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_its_fields_with_their_numbers_and_lengths() {
        let gvk = json!({ "type": "object", "x-a": [1] });
        let written = schema(&gvk).0;
        // Field 22, length 8: a list of types, whose field 1 is the text; then field 31 of a name and its YAML.
        let types = b"\xb2\x01\x08\x0a\x06object";
        let extension = b"\xfa\x01\x0c\x0a\x03x-a\x12\x05\x12\x03[1]";
        assert_eq!(written, [&types[..], &extension[..]].concat());
    }

    #[test]
    fn a_long_text_has_a_length_of_several_bytes() {
        let written = Message::default().text(1, &json!("x".repeat(300))).0;
        assert_eq!(written[..3], [0x0a, 0xac, 0x02]);
        assert_eq!(written.len(), 303);
    }
}
