//! Names on the command line that end in objects and in DNS, where a wrong one would be refused for ever.

/// What Kubernetes calls a DNS-1123 subdomain, told to people.
const RULE: &str = "lower-case letters, digits and '-' in parts separated by '.', each of which begins and ends with a \
                    letter or a digit";

/// The longest value of a label: the name of a node that we make is that of its label `kubernetes.io/hostname`, too.
const LABEL_LEN_MAX: usize = 63;

/// A node's name; upper case is lowered, as the kubelet does.
pub(crate) fn node_name(text: &str) -> Result<String, String> {
    let name = text.trim().to_lowercase();
    match is_subdomain(&name) {
        true => Ok(name),
        false => Err(format!("{text:?} is no name for a node: write {RULE}, such as node-1")),
    }
}

/// The name of a node that this agent makes.
pub(crate) fn own_node_name(text: &str) -> Result<String, String> {
    let name = node_name(text)?;
    match name.len() <= LABEL_LEN_MAX {
        true => Ok(name),
        false => Err(format!("{text:?} is too long for a node's name: write {LABEL_LEN_MAX} characters at most")),
    }
}

/// A node's label, as NAME=VALUE.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let is_value = |value: &str| value.is_empty() || is_label_part(value);
    match text.split_once('=').filter(|(name, value)| is_label_name(name) && is_value(value)) {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!(
            "{text:?} is no label: write NAME=VALUE, each of at most {LABEL_LEN_MAX} letters, digits, '-', '_' and '.' that begin \
             and end with a letter or a digit; a domain and '/' may stand before the name"
        )),
    }
}

fn is_label_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_label_part(name),
        None => is_label_part(name),
    }
}

fn is_label_part(text: &str) -> bool {
    let is_inside = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_end = |letter: char| letter.is_ascii_alphanumeric();
    text.len() <= LABEL_LEN_MAX && text.chars().all(is_inside) && text.starts_with(is_end) && text.ends_with(is_end)
}

/// A cluster's domain, without a dot at its end.
pub(crate) fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_lowercase();
    if !is_subdomain(&name) {
        return Err(format!("{text:?} is no domain: write {RULE}, such as cluster.local"));
    }
    // What the DNS server asks of it beside.
    zone::Config::new(&name).map_err(|error| runloop::chain(&error))?;
    Ok(name)
}

fn is_subdomain(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with('-') && !part.ends_with('-');
    name.len() <= 253 && name.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_s_name_is_a_dns_subdomain_and_upper_case_is_lowered() {
        for (text, expected) in [
            ("node-1", Some("node-1")),
            ("Node-1.Example", Some("node-1.example")),
            ("7", Some("7")),
            ("my_host", None),
            ("Bad_Name", None),
            ("-a", None),
            ("a-", None),
            ("a..b", None),
            ("a.", None),
            ("", None),
            ("(none)", None),
            ("ä", None),
            (&"a".repeat(253), Some(&*"a".repeat(253))),
            (&"a".repeat(254), None),
        ] {
            assert_eq!(node_name(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_name_of_a_node_that_we_make_is_a_labels_value_too() {
        for (text, expected) in [
            ("Node-1.Example", Some("node-1.example")),
            ("my_host", None),
            (&"a".repeat(63), Some(&*"a".repeat(63))),
            (&"a".repeat(64), None),
        ] {
            assert_eq!(own_node_name(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_domain_is_a_dns_subdomain_that_names_fit_below() {
        for (text, expected) in [
            ("cluster.local", Some("cluster.local")),
            ("Cluster.Example.", Some("cluster.example")),
            ("-bad-", None),
            ("a_b.local", None),
            (".", None),
            ("", None),
            (&format!("{}.local", "a".repeat(64)), None),
            (&["abcdefgh"; 20].join("."), None),
        ] {
            assert_eq!(domain(text).ok().as_deref(), expected, "{text}");
        }
    }
}
