use super::*;
use crate::tests::mistakes;

#[test]
fn s134_addresses_are_read_leniently_but_accepted_strictly() {
    #[rustfmt::skip]
    let cases = [
        // text,              read as,              accepted
        ("192.0.2.1",         Some("192.0.2.1"),    true),
        ("2001:db8::1",       Some("2001:db8::1"),  true),
        ("2001:DB8:0::1",     Some("2001:db8::1"),  true),
        ("010.0.0.1",         Some("10.0.0.1"),     false),
        ("192.0.2.008",       Some("192.0.2.8"),    false),
        ("::ffff:192.0.2.1",  Some("192.0.2.1"),    false),
        ("::ffff:192.0.02.1", Some("192.0.2.1"),    false),
        ("::192.0.02.1",      Some("::c000:201"),   false),
        ("192.0.2",           None,                 false),
        ("192.0.2.256",       None,                 false),
        ("192.0.2.1.1",       None,                 false),
        ("192.0.2.-1",        None,                 false),
        ("192.0.2.1 ",        None,                 false),
        ("fe80::1%eth0",      None,                 false),
        ("None",              None,                 false),
        ("",                  None,                 false),
        ("99999999999999999999.0.0.1", None,        false),
    ];
    for (text, read, accepted) in cases {
        assert_eq!(parse(text), read.map(|text| text.parse().unwrap()), "{text}");
        let mut found = Mistakes::default();
        assert_eq!(address("ip", text, &Stored::new(), &mut found).is_some(), accepted, "{text}");
        assert_eq!(found.is_empty(), accepted, "{text}");
    }
}

#[test]
fn s134_ranges_are_read_leniently_but_accepted_strictly() {
    #[rustfmt::skip]
    let cases = [
        ("192.0.2.0/24",           Some("192.0.2.0/24"),  true),
        ("192.0.2.7/24",           Some("192.0.2.0/24"),  true),
        ("2001:db8::/32",          Some("2001:db8::/32"), true),
        ("0.0.0.0/0",              Some("0.0.0.0/0"),     true),
        ("192.0.02.0/24",          Some("192.0.2.0/24"),  false),
        ("192.0.2.0/024",          Some("192.0.2.0/24"),  false),
        ("::ffff:192.0.2.0/120",   Some("192.0.2.0/24"),  false),
        ("192.0.2.0/33",           None,                  false),
        ("2001:db8::/129",         None,                  false),
        ("192.0.2.0/",             None,                  false),
        ("192.0.2.0/+24",          None,                  false),
        ("192.0.2.0/-1",           None,                  false),
        ("192.0.2.0/24/24",        None,                  false),
        ("192.0.2.0",              None,                  false),
        ("",                       None,                  false),
    ];
    for (text, read, accepted) in cases {
        assert_eq!(parse_range(text), read.map(|text| text.parse().unwrap()), "{text}");
        let mut found = Mistakes::default();
        assert_eq!(range("cidr", text, &Stored::new(), &mut found).is_some(), accepted, "{text}");
    }
}

#[test]
fn s134_stored_spellings_are_accepted() {
    let stored: Stored = ["010.0.0.1".to_owned(), "010.0.0.0/8".to_owned()].into();
    let mut found = Mistakes::default();
    assert_eq!(address("ip", "010.0.0.1", &stored, &mut found), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(range("cidr", "010.0.0.0/8", &stored, &mut found), Some("10.0.0.0/8".parse().unwrap()));
    assert!(found.is_empty());
    assert_eq!(address("ip", "010.0.0.2", &stored, &mut found), None);
    assert_eq!(mistakes(found.result()), ["ip: Invalid value: \"010.0.0.2\": must not have leading 0s"]);
}

#[test]
fn s134_warnings_show_the_canonical_form() {
    #[rustfmt::skip]
    let addresses = [
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("2001:DB8::1", Some("f: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")")),
        ("010.0.0.1", Some("f: non-standard IP address \"010.0.0.1\" will be considered invalid in a future Kubernetes release: use \"10.0.0.1\"")),
        ("::ffff:192.0.2.1", Some("f: non-standard IP address \"::ffff:192.0.2.1\" will be considered invalid in a future Kubernetes release: use \"192.0.2.1\"")),
        ("nonsense", None),
    ];
    for (text, expected) in addresses {
        assert_eq!(address_warning("f", text).as_deref(), expected, "{text}");
    }
    #[rustfmt::skip]
    let ranges = [
        ("192.0.2.0/24", None),
        ("192.0.2.1/24", Some("f: CIDR value \"192.0.2.1/24\" is ambiguous in this context (should be \"192.0.2.0/24\" or \"192.0.2.1/32\"?)")),
        ("2001:DB8::/32", Some("f: IPv6 CIDR value \"2001:DB8::/32\" should be in RFC 5952 canonical format (\"2001:db8::/32\")")),
        ("192.0.2.0/024", Some("f: non-standard CIDR value \"192.0.2.0/024\" will be considered invalid in a future Kubernetes release: use \"192.0.2.0/24\"")),
    ];
    for (text, expected) in ranges {
        assert_eq!(range_warning("f", text).as_deref(), expected, "{text}");
    }
}
