//! Warning headers: what a client should hear though its request succeeded.
//!
//! An answer's headers stay small whatever was sent, by the limits of Kubernetes's
//! [recorder](https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apiserver/pkg/endpoints/filters/warning.go):
//! warnings of more than 4,096 characters altogether are cut to 256 each, and what comes after as many is left out.

use std::collections::HashSet;

use http::HeaderValue;

const TOTAL_MAX: usize = 4096;
const EACH_MAX: usize = 256;

/// The values of the `Warning` headers, each text once.
pub(crate) fn headers(warnings: &[String]) -> Vec<HeaderValue> {
    let mut seen = HashSet::new();
    let texts: Vec<&str> = warnings.iter().map(String::as_str).filter(|text| seen.insert(*text)).collect();
    let total: usize = texts.iter().map(|text| text.chars().count()).sum();
    if total <= TOTAL_MAX {
        return texts.into_iter().filter_map(header).collect();
    }
    let mut written = 0;
    let mut cut = Vec::new();
    for text in texts {
        if written >= TOTAL_MAX {
            break;
        }
        let text: String = text.chars().take(EACH_MAX).collect();
        written += text.chars().count();
        cut.extend(header(&text));
    }
    cut
}

/// Code 299, from nobody in particular. A text with control characters is no header.
fn header(text: &str) -> Option<HeaderValue> {
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(warnings: &[String], expected: &[String]) {
        let found: Vec<String> =
            headers(warnings).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        assert_eq!(found, expected);
    }

    fn quoted(text: &str) -> String {
        format!("299 - \"{text}\"")
    }

    #[test]
    fn each_text_is_a_header_once() {
        let texts = ["unknown field \"spec.größe\"", "b", "b", "a\nb"].map(str::to_owned);
        check(&texts, &[quoted("unknown field \\\"spec.größe\\\""), quoted("b")]);
    }

    #[test]
    fn long_ones_stay_whole_as_long_as_there_are_few() {
        let long = "ä".repeat(TOTAL_MAX);
        check(std::slice::from_ref(&long), &[quoted(&long)]);
    }

    #[test]
    fn many_are_cut_and_then_left_out() {
        let long = |number: usize| format!("{number:03}{}", "ä".repeat(1000));
        let texts: Vec<String> = (0..100).map(long).collect();
        let cut: Vec<String> = (0..TOTAL_MAX / EACH_MAX)
            .map(|number| quoted(&long(number).chars().take(EACH_MAX).collect::<String>()))
            .collect();
        check(&texts, &cut);
    }
}
