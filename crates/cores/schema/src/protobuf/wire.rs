//! The bytes of a protobuf message as numbered fields. See <https://protobuf.dev/programming-guides/encoding/>.

/// One field of a message.
pub(super) struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
}

/// A field's value, as far as the bytes tell.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// An integer or truth value.
    Number(u64),
    /// A text, a message or bytes.
    Bytes(&'a [u8]),
    /// Eight or four bytes; no Kubernetes type uses them here.
    Fixed,
}

/// The fields of a message in their order; ends with `None` as its last item if the bytes are damaged.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Option<Field<'_>>> {
    let mut rest = bytes;
    let mut damaged = false;
    std::iter::from_fn(move || {
        if rest.is_empty() || damaged {
            return None;
        }
        let field = field(&mut rest);
        damaged = field.is_none();
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(varint(rest)?),
        1 => skip(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(skip(rest, length)?)
        }
        5 => skip(rest, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some(Field { number: u32::try_from(tag >> 3).ok()?, value })
}

fn skip<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// Seven bits a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
