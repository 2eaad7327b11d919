//! Ids for affinity: an endpoint id is its pool's id (18 bits) and its number in the pool (14 bits), so that one word is
//! both what is remembered and, masked, under what.
//!
//! Numbers start from a hash of what they stand for, and step on while a number is taken. So an endpoint that comes
//! back finds its clients again, and an id that is given up is hardly ever given to another endpoint while clients may
//! still be remembered on it, though nothing here knows the time. Number 0 is no endpoint and no pool: the rules take
//! "pool id, number 0" for "not remembered".

use std::fmt::Write;
use std::net::IpAddr;

use model::PoolName;

/// How many low bits of an id number the endpoint.
const MEMBER_BITS: u32 = 14;
/// The most endpoints of a pool.
pub(crate) const MEMBERS_MAX: u32 = (1 << MEMBER_BITS) - 1;
/// The most pools.
pub(crate) const POOLS_MAX: u32 = (1 << (32 - MEMBER_BITS)) - 1;

/// A pool id that isn't taken.
pub(crate) fn pool_id(name: &PoolName, taken: impl Fn(u32) -> bool) -> Option<u32> {
    let mut hash = Fnv::new();
    let PoolName { namespace, service, port, protocol, scope } = name;
    write!(hash, "{namespace}/{service}/{port}/{protocol}/{scope:?}").ok()?;
    probe(hash.0, POOLS_MAX, |number| taken(number << MEMBER_BITS)).map(|number| number << MEMBER_BITS)
}

/// An endpoint's number in its pool that isn't taken.
pub(crate) fn member_number(address: IpAddr, port: u16, taken: impl Fn(u16) -> bool) -> Option<u16> {
    let mut hash = Fnv::new();
    write!(hash, "{address} {port}").ok()?;
    probe(hash.0, MEMBERS_MAX, |number| taken(number as u16)).map(|number| number as u16)
}

/// The first free number from 1 to `max`, beginning at the hash.
fn probe(hash: u64, max: u32, taken: impl Fn(u32) -> bool) -> Option<u32> {
    let start = (hash % u64::from(max)) as u32;
    (0..max).map(|step| 1 + (start + step) % max).find(|number| !taken(*number))
}

/// FNV-1a: short, and the same in every version of maitred.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_step_over_what_is_taken_and_end_when_all_are() {
        assert_eq!(probe(0, 3, |_| false), Some(1));
        assert_eq!(probe(2, 3, |number| number == 3), Some(1));
        assert_eq!(probe(1, 3, |_| true), None);
    }

    #[test]
    fn an_endpoint_always_starts_from_the_same_number() {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let number = member_number(address, 80, |_| false).unwrap();
        assert!((1..=MEMBERS_MAX as u16).contains(&number));
        assert_eq!(member_number(address, 80, |_| false), Some(number));
        assert_ne!(member_number(address, 80, |taken| taken == number), Some(number));
    }
}
