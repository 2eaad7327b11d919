//! Label selectors: the text form of `?labelSelector=` and `kubectl -l`.
//!
//! Grammar and matching follow Kubernetes's "Labels and Selectors": requirements are joined by commas and all must
//! hold; `!=` and `notin` also match objects without the key.

use std::fmt;
use std::str::FromStr;

use crate::Labels;

/// A conjunction of requirements; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<Requirement>);

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// `key in (a, b)`, `key = a`.
    In(String, Vec<String>),
    /// `key notin (a, b)`, `key != a`.
    NotIn(String, Vec<String>),
    /// `key`.
    Exists(String),
    /// `!key`.
    Absent(String),
}

/// A selector that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// What was found where something else was needed.
    pub message: String,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "unable to parse requirement: {}", self.message)
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// Whether all requirements hold for these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Whether all requirements hold, with labels looked up by a function.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => !label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut rest = text.trim();
        let mut requirements = Vec::new();
        while !rest.is_empty() {
            let (requirement, after) = requirement(rest)?;
            requirements.push(requirement);
            rest = match after.trim_start().strip_prefix(',') {
                Some(more) if !more.trim().is_empty() => more.trim_start(),
                Some(_) => return Err(wrong("found ',' at the end, expected: identifier")),
                None if after.trim().is_empty() => "",
                None => return Err(wrong(&format!("found '{}', expected: ',' or end of string", after.trim()))),
            };
        }
        Ok(Selector(requirements))
    }
}

/// Reads one requirement and returns what follows it.
fn requirement(text: &str) -> Result<(Requirement, &str), SelectorError> {
    if let Some(rest) = text.strip_prefix('!') {
        let (key, rest) = word(rest.trim_start())?;
        return Ok((Requirement::Absent(key), rest));
    }
    let (key, rest) = word(text)?;
    let rest = rest.trim_start();
    for operator in ["==", "!=", "="] {
        if let Some(after) = rest.strip_prefix(operator) {
            let (value, after) = word_or_empty(after.trim_start());
            let values = vec![value];
            let requirement =
                if operator == "!=" { Requirement::NotIn(key, values) } else { Requirement::In(key, values) };
            return Ok((requirement, after));
        }
    }
    for (operator, negated) in [("notin", true), ("in", false)] {
        if let Some(after) = rest.strip_prefix(operator).filter(|after| after.trim_start().starts_with('(')) {
            let (values, after) = set(after.trim_start())?;
            let requirement = if negated { Requirement::NotIn(key, values) } else { Requirement::In(key, values) };
            return Ok((requirement, after));
        }
    }
    Ok((Requirement::Exists(key), rest))
}

/// Reads `(a, b)`.
fn set(text: &str) -> Result<(Vec<String>, &str), SelectorError> {
    let inner = text.strip_prefix('(').expect("the caller saw the parenthesis");
    let Some((list, after)) = inner.split_once(')') else {
        return Err(wrong("found end of string, expected: ',' or ')'"));
    };
    let mut values: Vec<String> = list.split(',').map(|value| value.trim().to_owned()).collect();
    values.sort();
    values.dedup();
    Ok((values, after))
}

fn word(text: &str) -> Result<(String, &str), SelectorError> {
    let (word, rest) = word_or_empty(text);
    if word.is_empty() {
        return Err(wrong(&format!("found '{text}', expected: identifier")));
    }
    Ok((word, rest))
}

fn word_or_empty(text: &str) -> (String, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || "-_./".contains(c))).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

fn wrong(message: &str) -> SelectorError {
    SelectorError { message: message.to_owned() }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(out, "{key}={}", values[0])?,
                Requirement::In(key, values) => write!(out, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(out, "{key}!={}", values[0])?,
                Requirement::NotIn(key, values) => write!(out, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => out.write_str(key)?,
                Requirement::Absent(key) => write!(out, "!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let selector: Selector = selector.parse().expect("the case's selector is well formed");
        assert_eq!(selector.matches(&labels), expected, "{selector} on {labels:?}");
    }

    #[test]
    fn requirements_match_as_documented() {
        check("", &[], true);
        check("app=web", &[("app", "web")], true);
        check("app==web", &[("app", "db")], false);
        check("app!=web", &[], true);
        check("app in (web, db)", &[("app", "db")], true);
        check("app notin (web,db)", &[("app", "db")], false);
        check("app notin (web)", &[], true);
        check("app", &[("app", "")], true);
        check("!app", &[("app", "")], false);
        check("a=1, b!=2 ,c", &[("a", "1"), ("c", "x")], true);
        check("in=1", &[("in", "1")], true);
        check("example.com/in in (x)", &[("example.com/in", "x")], true);
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for text in ["app=web,", "=x", "a in (b", "a b", ",a"] {
            assert!(text.parse::<Selector>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_selector_prints_as_it_is_read() {
        for text in ["app=web", "a in (b,c),d!=e", "!x,y"] {
            assert_eq!(text.parse::<Selector>().expect("well formed").to_string(), text);
        }
    }
}
