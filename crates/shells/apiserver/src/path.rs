//! What a URL's path names.

/// A resource, an object or a subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// API group, empty for the core group.
    pub(crate) group: String,
    /// API version.
    pub(crate) version: String,
    /// The namespace, if the path names one.
    pub(crate) namespace: Option<String>,
    /// The plural name of the kind.
    pub(crate) plural: String,
    /// The object, if the path names one.
    pub(crate) name: Option<String>,
    /// The subresource, if the path names one.
    pub(crate) subresource: Option<String>,
    /// The path has the deprecated form `/watch/…`.
    pub(crate) watch: bool,
}

/// Reads `/api/v1/…` or `/apis/GROUP/VERSION/…`.
pub(crate) fn parse(path: &str) -> Option<Path> {
    let mut parts = path.trim_matches('/').split('/').map(decode).collect::<Option<Vec<_>>>()?.into_iter().peekable();
    let group = match parts.next()?.as_str() {
        "api" => String::new(),
        "apis" => parts.next()?,
        _ => return None,
    };
    let version = parts.next()?;
    let watch = parts.next_if(|part| part == "watch").is_some();
    let rest: Vec<String> = parts.collect();
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (namespace, plural, name, subresource) = match words[..] {
        ["namespaces"] => (None, "namespaces", None, None),
        ["namespaces", name] => (None, "namespaces", Some(name), None),
        ["namespaces", name, subresource @ ("status" | "finalize")] => {
            (None, "namespaces", Some(name), Some(subresource))
        }
        ["namespaces", namespace, plural] => (Some(namespace), plural, None, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name), None),
        ["namespaces", namespace, plural, name, subresource] => {
            (Some(namespace), plural, Some(name), Some(subresource))
        }
        [plural] => (None, plural, None, None),
        [plural, name] => (None, plural, Some(name), None),
        [plural, name, subresource] => (None, plural, Some(name), Some(subresource)),
        _ => return None,
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let path = Path {
        group,
        version,
        namespace: owned(namespace),
        plural: plural.to_owned(),
        name: owned(name),
        subresource: owned(subresource),
        watch,
    };
    (!path.plural.is_empty()).then_some(path)
}

/// Undoes percent-encoding; `None` if it is malformed or not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Group, namespace, plural, name, subresource.
    type Parts<'a> = (&'a str, Option<&'a str>, &'a str, Option<&'a str>, Option<&'a str>);

    fn check(path: &str, expected: Option<Parts<'_>>) {
        let parsed = parse(path);
        let seen = parsed.as_ref().map(|path| {
            let namespace = path.namespace.as_deref();
            (path.group.as_str(), namespace, path.plural.as_str(), path.name.as_deref(), path.subresource.as_deref())
        });
        assert_eq!(seen, expected, "{path}");
    }

    #[test]
    fn paths_name_what_kubernetes_names_by_them() {
        check("/api/v1/pods", Some(("", None, "pods", None, None)));
        check("/api/v1/namespaces", Some(("", None, "namespaces", None, None)));
        check("/api/v1/namespaces/x", Some(("", None, "namespaces", Some("x"), None)));
        check("/api/v1/namespaces/x/status", Some(("", None, "namespaces", Some("x"), Some("status"))));
        check("/api/v1/namespaces/x/services", Some(("", Some("x"), "services", None, None)));
        check("/api/v1/namespaces/x/services/a/status", Some(("", Some("x"), "services", Some("a"), Some("status"))));
        check("/api/v1/nodes/n/status", Some(("", None, "nodes", Some("n"), Some("status"))));
        let address = "/apis/networking.k8s.io/v1/ipaddresses/fd00%3A%3A1";
        check(address, Some(("networking.k8s.io", None, "ipaddresses", Some("fd00::1"), None)));
        check("/api/v1", None);
        check("/metrics", None);
        check("/api/v1/pods/%zz", None);
    }
}
