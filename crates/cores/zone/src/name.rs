//! Domain names in wire form (RFC 1035 section 3.1): a row of length-prefixed labels that ends in the empty one.
//!
//! Two types, one for each side of a look-up: [`Name`] is owned and comes from configuration and objects,
//! [`QueryName`] lies on the stack and comes from a packet. Both are valid by construction: at most 255 bytes, labels of
//! 1 to 63 bytes, no compression. Comparison is of lower-case bytes (S-400).

use std::fmt;

/// The longest name in wire form, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest label, in bytes.
pub const LABEL_BYTES_MAX: usize = 63;

/// An owned name in wire form, with the root label at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

/// Why a text is no domain name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label is empty or has more than 63 bytes.
    #[error("domain name {0:?} has a label that is empty or longer than 63 bytes")]
    Label(String),
    /// The whole has more than 255 bytes.
    #[error("domain name {0:?} is longer than 255 bytes")]
    Length(String),
}

impl Name {
    /// Reads dotted text. One dot at the end is tolerated, the empty text and `.` are the root. Case is kept.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        let relative = text.strip_suffix('.').unwrap_or(text);
        for label in relative.split('.').filter(|_| !relative.is_empty()) {
            push_label(&mut wire, label).ok_or_else(|| NameError::Label(text.to_owned()))?;
        }
        wire.push(0);
        if wire.len() > NAME_BYTES_MAX { Err(NameError::Length(text.to_owned())) } else { Ok(Name(wire.into())) }
    }

    /// Takes a name in wire form, if it is a whole one.
    pub fn from_wire(wire: &[u8]) -> Option<Name> {
        let (_, end) = QueryName::parse(wire, 0)?;
        (end == wire.len()).then(|| Name(wire.into()))
    }

    /// The bytes, root label included.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name in lower case, the form in which names are compared.
    pub fn to_lower_case(&self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// How many labels stand before the root.
    pub fn label_count(&self) -> usize {
        labels(&self.0).count()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in labels(&self.0) {
            write!(out, "{}.", label.escape_ascii())?;
        }
        if self.0.len() == 1 { out.write_str(".") } else { Ok(()) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The labels of an uncompressed name or of a row of labels, without their length bytes.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, tail) = rest.split_first().filter(|(length, _)| **length != 0)?;
        let (label, after) = tail.split_at_checked(length as usize)?;
        rest = after;
        Some(label)
    })
}

/// Appends a label with its length byte, unless it is empty or too long.
pub(crate) fn push_label(wire: &mut Vec<u8>, label: &str) -> Option<()> {
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return None;
    }
    wire.push(label.len() as u8);
    wire.extend_from_slice(label.as_bytes());
    Some(())
}

/// A row of labels in lower case, without the root: the owner part of a name below a zone.
pub(crate) fn lower_labels<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Box<[u8]>> {
    let mut wire = Vec::new();
    for text in texts {
        push_label(&mut wire, text)?;
    }
    wire.make_ascii_lowercase();
    Some(wire.into())
}

/// A name from a packet, in lower case, on the stack, with the place of each label.
pub struct QueryName {
    wire: [u8; NAME_BYTES_MAX],
    /// Where each label's length byte stands; 127 labels of one byte fill a name.
    starts: [u8; 128],
    length: u8,
    count: u8,
}

impl QueryName {
    /// Reads an uncompressed name at `at`; returns it with the place behind it, or nothing if it is malformed.
    pub fn parse(message: &[u8], at: usize) -> Option<(QueryName, usize)> {
        let mut name = QueryName { wire: [0; NAME_BYTES_MAX], starts: [0; 128], length: 0, count: 0 };
        let mut from = at;
        loop {
            let length = *message.get(from)? as usize;
            let to = name.length as usize;
            if length > LABEL_BYTES_MAX || to + 1 + length > NAME_BYTES_MAX {
                return None;
            }
            name.starts[name.count as usize] = to as u8;
            name.wire[to] = length as u8;
            let label = message.get(from + 1..from + 1 + length)?;
            for (to, from) in name.wire[to + 1..].iter_mut().zip(label) {
                *to = from.to_ascii_lowercase();
            }
            name.length += 1 + length as u8;
            from += 1 + length;
            if length == 0 {
                return Some((name, from));
            }
            name.count += 1;
        }
    }

    /// The whole name, root label included.
    pub fn wire(&self) -> &[u8] {
        &self.wire[..self.length as usize]
    }

    /// How many labels stand before the root.
    pub fn label_count(&self) -> usize {
        self.count as usize
    }

    /// The label at a place counted from the left; empty beyond the last.
    pub fn label(&self, index: usize) -> &[u8] {
        let row = self.labels(index, index + 1);
        row.get(1..).unwrap_or_default()
    }

    /// The labels from `from` up to, but without, `to`, each with its length byte.
    pub fn labels(&self, from: usize, to: usize) -> &[u8] {
        let (from, to) = (self.start(from), self.start(to));
        self.wire.get(from..to).unwrap_or_default()
    }

    /// The name that begins at a label, root included.
    pub fn suffix(&self, from: usize) -> &[u8] {
        &self.wire()[self.start(from)..]
    }

    /// Where a label's length byte stands in the name; the root's place for any index beyond the last.
    pub fn start(&self, index: usize) -> usize {
        self.starts[index.min(self.count as usize)] as usize
    }

    /// How many labels stand before `zone`, if this name is `zone` or below it. `zone` is in lower case.
    pub fn labels_below(&self, zone: &Name) -> Option<usize> {
        let count = self.label_count().checked_sub(zone.label_count())?;
        (self.suffix(count) == zone.wire()).then_some(count)
    }
}

impl fmt::Debug for QueryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Name(self.wire().into()), out)
    }
}

impl From<&QueryName> for Name {
    fn from(name: &QueryName) -> Name {
        Name(name.wire().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_labels_and_a_final_dot_is_tolerated() {
        let check = |text: &str, expected: Result<&[u8], ()>| {
            let wire = Name::parse(text).map(|name| name.wire().to_vec()).map_err(drop);
            assert_eq!(wire, expected.map(<[u8]>::to_vec), "{text:?}");
        };
        check("a.Bc", Ok(b"\x01a\x02Bc\x00"));
        check("a.Bc.", Ok(b"\x01a\x02Bc\x00"));
        check(".", Ok(b"\x00"));
        check("", Ok(b"\x00"));
        check("a..b", Err(()));
        check(".a", Err(()));
        check(&"x".repeat(64), Err(()));
        check(&"x.".repeat(127), Ok(&[b"\x01x".repeat(127), vec![0]].concat()));
        check(&"x.".repeat(128), Err(()));
    }

    #[test]
    fn a_packet_name_is_read_in_lower_case_and_never_beyond_its_bounds() {
        let (name, end) = QueryName::parse(b"..\x03wEb\x02Ns\x00rest", 2).unwrap();
        assert_eq!((name.wire(), end), (&b"\x03web\x02ns\x00"[..], 10));
        assert_eq!((name.label(0), name.label(1), name.label(2)), (&b"web"[..], &b"ns"[..], &b""[..]));
        assert_eq!(name.labels_below(&Name::parse("ns").unwrap()), Some(1));
        assert_eq!(name.labels_below(&Name::parse("s").unwrap()), None);
        assert_eq!(name.labels_below(&Name::parse("x.web.ns").unwrap()), None);
        for malformed in [&b""[..], b"\x03we", b"\x03web", b"\xc0\x0c", b"\x40a"] {
            assert!(QueryName::parse(malformed, 0).is_none(), "{malformed:?}");
        }
        assert!(QueryName::parse(&[&b"\x01x".repeat(127)[..], &[0]].concat(), 0).is_some());
        assert!(QueryName::parse(&[&b"\x01x".repeat(128)[..], &[0]].concat(), 0).is_none());
    }
}
