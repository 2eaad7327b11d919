//! The syntax of names, labels and ports, with the messages that Kubernetes gives.
//!
//! Each check returns what is wrong; nothing means that the text is fine. Addresses and ranges are in [`crate::ip`].

use crate::fields::Mistakes;

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                         start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                             '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                             for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                         an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED_NAME: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start \
                              and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
                              regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional \
                              DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                           and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
                           '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
                          or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// A DNS-1123 label of up to 63 bytes.
pub(crate) fn dns_label(text: &str) -> Vec<String> {
    let mut messages = longer_than(63, text);
    if !is_dns_label(text) {
        messages.push(DNS_LABEL.to_owned());
    }
    messages
}

/// A DNS-1123 subdomain of up to 253 bytes.
pub(crate) fn dns_subdomain(text: &str) -> Vec<String> {
    let mut messages = longer_than(253, text);
    if !text.split('.').all(is_dns_label) {
        messages.push(DNS_SUBDOMAIN.to_owned());
    }
    messages
}

/// A name with an optional DNS prefix: label keys, finalizers, application protocols, load-balancer classes.
pub(crate) fn qualified_name(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => return vec![QUALIFIED_NAME.to_owned()],
        Some(("", name)) => {
            messages.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            messages.extend(dns_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            name
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else {
        messages.extend(longer_than(63, name).into_iter().map(|message| format!("name part {message}")));
    }
    if !is_name(name) {
        messages.push(NAME_PART.to_owned());
    }
    messages
}

/// The value of a label.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut messages = longer_than(63, text);
    if !text.is_empty() && !is_name(text) {
        messages.push(LABEL_VALUE.to_owned());
    }
    messages
}

/// A key in a ConfigMap.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let mut messages = longer_than(253, text);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        messages.push(CONFIG_KEY.to_owned());
    }
    if text == "." {
        messages.push("must not be '.'".to_owned());
    } else if text == ".." {
        messages.push("must not be '..'".to_owned());
    } else if text.starts_with("..") {
        messages.push("must not start with '..'".to_owned());
    }
    messages
}

/// The name of a port (RFC 6335).
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut messages = longer_than(15, text);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        messages.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        messages.push("must not begin or end with a hyphen".to_owned());
    }
    messages
}

/// A port number.
pub(crate) fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".to_owned()] }
}

/// Checks every key and value of a map of labels, or of a selector.
pub(crate) fn labels<'a>(
    field: &str,
    labels: impl IntoIterator<Item = (&'a String, &'a str)>,
    mistakes: &mut Mistakes,
) {
    for (key, value) in labels {
        mistakes.each(field, key, qualified_name(key));
        mistakes.each(field, value, label_value(value));
    }
}

/// A generated name ends in random characters, so its fixed part may end in a hyphen.
pub(crate) fn as_prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => text.to_owned(),
    }
}

fn longer_than(bytes_max: usize, text: &str) -> Vec<String> {
    if text.len() > bytes_max { vec![format!("must be no more than {bytes_max} bytes")] } else { Vec::new() }
}

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests;
