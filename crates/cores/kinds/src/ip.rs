//! Addresses and ranges as they stand in objects: which are accepted, and which only with a warning (S-127, S-134).
//!
//! Kubernetes long read `010.0.0.1` as `10.0.0.1` and `::ffff:10.0.0.1` as IPv4. Since 1.36 new values must be written
//! plainly; values that are stored already keep their old reading ([KEP-4858]).
//!
//! [KEP-4858]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/4858-ip-cidr-validation

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::fields::Mistakes;

const NOT_AN_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What is stored already.
pub(crate) type Stored = HashSet<String>;

/// Reads an address the old, lenient way. An IPv4 address mapped into IPv6 counts as IPv4.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    lenient(text).map(|address| address.to_canonical())
}

/// Reads a range the old, lenient way. Host bits are dropped.
pub(crate) fn parse_range(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let prefix: u8 = prefix.parse().ok()?;
    let address = lenient(address)?;
    let (address, prefix) = match (address, address.to_canonical()) {
        (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= 96 => (IpAddr::V4(mapped), prefix - 96),
        _ => (address, prefix),
    };
    IpNet::new(address, prefix).ok().map(|range| range.trunc())
}

/// Checks an address. Values in `stored` may keep their old spelling.
pub(crate) fn address(field: &str, text: &str, stored: &Stored, mistakes: &mut Mistakes) -> Option<IpAddr> {
    let before = mistakes.len();
    match lenient(text) {
        None => mistakes.invalid(field, text, NOT_AN_ADDRESS),
        Some(_) if stored.contains(text) => {}
        Some(parsed) => {
            if text.parse::<IpAddr>().is_err() {
                mistakes.invalid(field, text, "must not have leading 0s");
            }
            if is_mapped(parsed) {
                mistakes.invalid(field, text, "must not be an IPv4-mapped IPv6 address");
            }
        }
    }
    if mistakes.len() == before { parse(text) } else { None }
}

/// Checks a range. Values in `stored` may keep their old spelling.
pub(crate) fn range(field: &str, text: &str, stored: &Stored, mistakes: &mut Mistakes) -> Option<IpNet> {
    let before = mistakes.len();
    let parsed = parse_range(text);
    match text.split_once('/') {
        Some((address, prefix)) if parsed.is_some() => {
            if !stored.contains(text) {
                if address.parse::<IpAddr>().is_err() {
                    mistakes.invalid(field, text, "must not have leading 0s in IP");
                }
                if lenient(address).is_some_and(is_mapped) {
                    mistakes.invalid(field, text, "must not have an IPv4-mapped IPv6 address");
                }
                if prefix.len() > 1 && prefix.starts_with('0') {
                    mistakes.invalid(field, text, "must not have leading 0s in prefix length");
                }
            }
        }
        _ => mistakes.invalid(field, text, NOT_A_RANGE),
    }
    if mistakes.len() == before { parsed } else { None }
}

/// Checks that packets for an address can leave a machine (S-127).
pub(crate) fn not_special(field: &str, text: &str, address: IpAddr, mistakes: &mut Mistakes) {
    if address.is_unspecified() {
        mistakes.invalid(field, text, &format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        mistakes.invalid(field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if is_link_local(address) {
        mistakes.invalid(field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if is_link_local_multicast(address) {
        mistakes.invalid(field, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// The warning for an address that is not in its canonical form.
pub(crate) fn address_warning(field: &str, text: &str) -> Option<String> {
    let parsed = lenient(text)?;
    let canonical = parsed.to_canonical().to_string();
    if canonical == text {
        return None;
    }
    Some(if text.parse::<IpAddr>().is_err() || is_mapped(parsed) {
        format!(
            "{field}: non-standard IP address \"{text}\" will be considered invalid in a future Kubernetes release: use \
             \"{canonical}\""
        )
    } else {
        format!("{field}: IPv6 address \"{text}\" should be in RFC 5952 canonical format (\"{canonical}\")")
    })
}

/// The warning for a range that is not in its canonical form.
pub(crate) fn range_warning(field: &str, text: &str) -> Option<String> {
    let canonical = parse_range(text)?;
    let (address, prefix) = text.split_once('/')?;
    if canonical.to_string() == text {
        return None;
    }
    let parsed = lenient(address)?;
    let odd = address.parse::<IpAddr>().is_err() || is_mapped(parsed) || (prefix.len() > 1 && prefix.starts_with('0'));
    Some(if odd {
        format!(
            "{field}: non-standard CIDR value \"{text}\" will be considered invalid in a future Kubernetes release: use \
             \"{canonical}\""
        )
    } else if parsed != canonical.network() {
        let host = if parsed.is_ipv4() { 32 } else { 128 };
        format!(
            "{field}: CIDR value \"{text}\" is ambiguous in this context (should be \"{canonical}\" or \
             \"{parsed}/{host}\"?)"
        )
    } else {
        format!("{field}: IPv6 CIDR value \"{text}\" should be in RFC 5952 canonical format (\"{canonical}\")")
    })
}

/// `IPv4` or `IPv6`.
pub(crate) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Like the standard parser, but reads leading zeros as decimal.
fn lenient(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    match text.rsplit_once(':') {
        None => lenient_v4(text).map(IpAddr::V4),
        Some((start, end)) => {
            let end = lenient_v4(end)?;
            format!("{start}:{end}").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
    }
}

fn lenient_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let parts: [&str; 4] = parts.try_into().ok()?;
    let mut octets = [0u8; 4];
    for (octet, part) in octets.iter_mut().zip(parts) {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    Some(octets.into())
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

#[cfg(test)]
mod tests;
