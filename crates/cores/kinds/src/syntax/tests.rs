use super::*;

type Rule = fn(&str) -> Vec<String>;

#[test]
fn names_that_are_accepted() {
    let label_63 = "a".repeat(63);
    let subdomain_253 = [label_63.as_str(); 4].join(".")[..253].to_owned();
    #[rustfmt::skip]
    let cases: [(Rule, &str); 16] = [
        (dns_label, "a"), (dns_label, "0-a"), (dns_label, &label_63),
        (dns_subdomain, "a.b-c.d"), (dns_subdomain, &subdomain_253),
        (qualified_name, "a"), (qualified_name, "A_b.c-d"), (qualified_name, "example.com/My_Name"),
        (label_value, ""), (label_value, "v1.2_3-x"),
        (port_name, "http"), (port_name, "8080-tcp"), (port_name, "a23456789012345"),
        (config_key, "a.b_c-D"), (config_key, ".hidden"), (config_key, "ca.crt"),
    ];
    for (rule, text) in cases {
        assert_eq!(rule(text), [""; 0], "{text}");
    }
}

#[test]
fn names_that_are_refused() {
    let long = "a".repeat(64);
    let too_long = "a.".repeat(127);
    #[rustfmt::skip]
    let cases: [(Rule, &str, &str); 24] = [
        (dns_label, "", "a lowercase RFC 1123 label must consist of"),
        (dns_label, "A", "a lowercase RFC 1123 label must consist of"),
        (dns_label, "-a", "a lowercase RFC 1123 label must consist of"),
        (dns_label, "a.b", "a lowercase RFC 1123 label must consist of"),
        (dns_label, "ä", "a lowercase RFC 1123 label must consist of"),
        (dns_label, &long, "must be no more than 63 bytes"),
        (dns_subdomain, "a..b", "a lowercase RFC 1123 subdomain must consist of"),
        (dns_subdomain, "", "a lowercase RFC 1123 subdomain must consist of"),
        (dns_subdomain, &too_long, "must be no more than 253 bytes"),
        (qualified_name, "", "name part must be non-empty"),
        (qualified_name, "/a", "prefix part must be non-empty"),
        (qualified_name, "a/", "name part must be non-empty"),
        (qualified_name, "a/b/c", "a qualified name must consist of"),
        (qualified_name, "A/b", "prefix part a lowercase RFC 1123 subdomain"),
        (qualified_name, &long, "name part must be no more than 63 bytes"),
        (qualified_name, "a b", "name part must consist of"),
        (label_value, "a b", "a valid label must be an empty string or consist of"),
        (label_value, "-", "a valid label must be an empty string or consist of"),
        (port_name, "", "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (port_name, "HTTP", "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (port_name, "-a", "must not begin or end with a hyphen"),
        (config_key, "a/b", "a valid config key must consist of"),
        (config_key, "..", "must not be '..'"),
        (config_key, "..a", "must not start with '..'"),
    ];
    for (rule, text, start) in cases {
        let messages = rule(text);
        assert!(messages.first().is_some_and(|message| message.starts_with(start)), "{text}: {messages:?}");
    }
}

#[test]
fn port_numbers_are_between_1_and_65535() {
    for (number, fits) in [(0, false), (1, true), (65535, true), (65536, false), (-1, false), (i64::MAX, false)] {
        assert_eq!(port_number(number).is_empty(), fits, "{number}");
    }
}

#[test]
fn s122_a_prefix_may_end_in_a_hyphen() {
    assert_eq!(dns_label(&as_prefix("web-")), [""; 0]);
    assert_eq!(dns_label(&as_prefix("-")).len(), 1);
    assert_eq!(dns_label(&as_prefix("Web-")).len(), 1);
}
