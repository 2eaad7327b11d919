//! Patches of all three forms.

use patch::{Form, apply};
use serde_json::{Value, json};

use crate::parts::{line, values};

/// A line with the media type, the group and the kind; a line with the object; then the patch.
pub fn patches(data: &[u8]) {
    let Some((head, rest)) = line(data) else { return };
    let mut words = head.split(' ');
    let (Some(media_type), Some(group), Some(kind)) = (words.next(), words.next(), words.next()) else { return };
    let Some(form) = Form::from_media_type(&format!("application/{media_type}+json")) else { return };
    let group = if group == "core" { "" } else { group };
    let Some([object, patch]) = values::<2>(rest) else { return };
    if !object.is_object() {
        return;
    }
    let nothing = if form == Form::Json { json!([]) } else { json!({}) };
    assert_eq!(apply(form, group, kind, &object, &nothing).as_ref(), Ok(&object), "an empty patch changes nothing");
    let Ok(patched) = apply(form, group, kind, &object, &patch) else { return };
    assert_eq!(apply(form, group, kind, &object, &patch).as_ref(), Ok(&patched), "the same patch gives the same");
    if form == Form::Merge {
        let again: Result<Value, _> = apply(form, group, kind, &patched, &patch);
        assert_eq!(again.as_ref(), Ok(&patched), "a merge patch says how things are to be");
    }
}
