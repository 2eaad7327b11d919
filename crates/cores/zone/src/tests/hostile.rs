//! Any bytes are answered or dropped, within bounds and without panic.

use proptest::prelude::*;

use super::*;
use crate::{Rcode, answer_chased, failure, fit, is_reply_to};

fn all_functions(message: &[u8], other: &[u8], zone: &Still) {
    let mut out = Vec::new();
    for client in [UDP, TCP, Client { may_recurse: false, ..UDP }] {
        let outcome = answer(message, client, zone, 3, &mut out);
        if outcome == Answer::Reply {
            assert!(out.len() >= 12 && out[..2] == message[..2] && out[2] & 0x80 != 0);
            let limit = if client.transport == Transport::Udp { 4096 } else { 65_535 };
            assert!(out.len() <= limit);
        }
        if matches!(outcome, Answer::Chase(_)) {
            assert_eq!(answer_chased(message, client, zone, 3, Some(other), &mut out), Answer::Reply);
            assert_eq!(answer_chased(message, client, zone, 3, None, &mut out), Answer::Reply);
        }
        fit(message, other, client, &zone.config, &mut out);
        failure(message, Rcode::ServFail, client, &zone.config, &mut out);
    }
    is_reply_to(message, other);
}

/// Names that lie in the zone, so that mutated queries reach every part of it.
const NAMES: &[&str] = &[
    "web.shop.svc.cluster.local.",
    "_http._tcp.db.shop.svc.cluster.local.",
    "far.shop.svc.cluster.local.",
    "near.shop.svc.cluster.local.",
    "10-244-0-1.shop.pod.cluster.local.",
    "20.0.96.10.in-addr.arpa.",
    "0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa.",
    "cluster.local.",
    ".",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn s419_random_bytes_never_panic(message in prop::collection::vec(any::<u8>(), 0..600), other in prop::collection::vec(any::<u8>(), 0..600)) {
        all_functions(&message, &other, &Still::new(config(), cluster()));
    }

    #[test]
    fn s419_mutated_queries_never_panic(
        name in prop::sample::select(NAMES),
        rtype in prop::sample::select(vec![1u16, 2, 5, 6, 12, 16, 28, 33, 43, 255]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut message = query(name, rtype, Some(1232));
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        if is_cut {
            message.truncate(cut.index(message.len()));
        }
        let mut other = message.clone();
        if let Some(flags) = other.get_mut(2) {
            *flags |= 0x80;
        }
        all_functions(&message, &other, &Still::new(config(), cluster()));
    }

    /// A reply about the right name whose records are arbitrary bytes.
    #[test]
    fn s408_hostile_upstreams_never_panic(records in prop::collection::vec(any::<u8>(), 0..200), count in 0u8..9) {
        let zone = Still::new(config(), cluster());
        let asked = query("far.shop.svc.cluster.local.", 1, Some(1232));
        let mut upstream = query("www.example.com.", 1, None);
        upstream[2] = 0x81;
        upstream[7] = count;
        upstream.extend_from_slice(&records);
        let mut out = Vec::new();
        prop_assert_eq!(answer_chased(&asked, UDP, &zone, 3, Some(&upstream), &mut out), Answer::Reply);
        prop_assert!(out.len() <= 1232);
    }
}

#[test]
fn s408_pointers_that_loop_end() {
    let zone = Still::new(config(), cluster());
    let asked = query("far.shop.svc.cluster.local.", 1, None);
    let mut upstream = query("www.example.com.", 1, None);
    upstream[2] = 0x81;
    upstream[7] = 1;
    // An owner that points to itself, and one that points ahead.
    for owner in [b"\xc0\x21", b"\xc0\x23"] {
        let mut message = upstream.clone();
        message.extend_from_slice(owner);
        message.extend_from_slice(b"\0\x01\0\x01\0\0\0\x0a\0\x04\xc0\0\x02\x01");
        let mut out = Vec::new();
        assert_eq!(answer_chased(&asked, UDP, &zone, 3, Some(&message), &mut out), Answer::Reply);
        assert_eq!(Message::decode(&out).answer, ["far.shop.svc.cluster.local. 30 CNAME www.example.com."]);
    }
}
