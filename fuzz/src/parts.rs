//! Inputs with several parts.

use serde_json::Value;

/// The first line and what follows it; the line is text.
pub(crate) fn line(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&data[..end]).ok()?, &data[end + 1..]))
}

/// Texts of JSON, each on a line of its own.
pub(crate) fn values<const N: usize>(data: &[u8]) -> Option<[Value; N]> {
    let mut lines = data.splitn(N, |byte| *byte == b'\n');
    let values: Vec<Value> =
        lines.by_ref().map(|text| serde_json::from_slice(text).ok()).collect::<Option<Vec<Value>>>()?;
    values.try_into().ok()
}

/// One byte, then the rest.
pub(crate) fn byte(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}

/// A length in two bytes, so many bytes, then the rest. A length beyond the end is cut.
pub(crate) fn block(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk::<2>()?;
    Some(rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len())))
}
