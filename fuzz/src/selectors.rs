//! Label selectors.

use std::str::FromStr;

use api::{Labels, Selector};

use crate::parts::line;

/// A selector on the first line, then a label per line as `key=value`.
pub fn selectors(data: &[u8]) {
    let (text, rest) = line(data).unwrap_or((std::str::from_utf8(data).unwrap_or_default(), &[]));
    let parsed = Selector::from_str(text);
    // Blanks around it and an empty last label say nothing.
    assert_eq!(parsed, Selector::from_str(&format!(" {text} ")), "{text:?}");
    let Ok(selector) = parsed else { return };
    let labels: Labels = std::str::from_utf8(rest)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let all = selector.matches(&labels);
    let mut each = selector.0.iter().map(|one| Selector(vec![one.clone()]).matches(&labels));
    assert_eq!(all, each.all(|one| one), "a selector is the conjunction of its requirements");
}
