//! What the server does whatever the zone holds: classes, versions, sizes, order.

use std::collections::BTreeSet;

use super::*;
use crate::{Rcode, failure, fit, is_reply_to};

fn reply(zone: &Still, message: &[u8], client: Client) -> Message {
    let mut out = Vec::new();
    assert_eq!(answer(message, client, zone, 7, &mut out), Answer::Reply);
    Message::decode(&out)
}

/// A headless Service with this many endpoints of each family, named `node-0`, `node-1`, ….
fn many(count: u32) -> Still {
    let v4: Vec<Value> = (0..count)
        .map(|n| json!({ "addresses": [std::net::Ipv4Addr::from(0x0af4_0000 + n).to_string()], "hostname": format!("node-{n}") }))
        .collect();
    let ports = json!([{ "name": "http", "port": 80 }]);
    let events = [
        Event::Namespace("shop".into()),
        service("many", json!({ "clusterIP": "None" })),
        slice("many-4", "many", "IPv4", ports, Value::Array(v4)),
    ];
    Still::new(config(), events)
}

const MANY: &str = "many.shop.svc.cluster.local.";

#[test]
fn s419_other_classes_and_zones_are_refused() {
    let zone = Still::new(config(), cluster());
    let web = "web.shop.svc.cluster.local.";
    let mut chaos = query(web, 1, None);
    let class_at = chaos.len() - 1;
    chaos[class_at] = 3;
    assert_eq!(reply(&zone, &chaos, UDP).rcode, 5, "s419-class");
    for rtype in ["AXFR", "IXFR"] {
        assert_eq!(
            reply(&zone, &query("cluster.local.", decode::type_number(rtype), None), TCP).rcode,
            5,
            "s416-{rtype}"
        );
    }
    let stranger = Client { may_recurse: false, ..UDP };
    let refused = reply(&zone, &query("example.com.", 1, None), stranger);
    assert_eq!((refused.rcode, refused.aa, refused.ra), (5, false, false), "s419-no-zone");
    assert_eq!(answer(&query("example.com.", 1, None), UDP, &zone, 7, &mut Vec::new()), Answer::Forward);
    // A domain that merely ends in the same letters is another.
    assert_eq!(reply(&zone, &query("web.shop.svc.xcluster.local.", 1, None), stranger).rcode, 5);
    assert_eq!(reply(&zone, &query("local.", 1, None), stranger).rcode, 5);
    let ds = decode::type_number("DS");
    assert_eq!(answer(&query("cluster.local.", ds, None), UDP, &zone, 7, &mut Vec::new()), Answer::Forward, "s419-ds");
}

#[test]
fn s419_odd_messages_have_their_codes() {
    let zone = Still::new(config(), cluster());
    let web = query("web.shop.svc.cluster.local.", 1, None);
    let with = |at: usize, byte: u8| {
        let mut message = web.clone();
        message[at] = byte;
        message
    };
    assert_eq!(reply(&zone, &with(5, 0), UDP).rcode, 2, "s419-no-question");
    let mut two = with(5, 2);
    two.extend_from_slice(b"\x02no\0\0\x01\0\x01");
    let first = reply(&zone, &two, UDP);
    assert_eq!((first.rcode, first.question.as_str()), (0, "web.shop.svc.cluster.local. A"), "s419-two-questions");
    assert_eq!(reply(&zone, &with(5, 2), UDP).rcode, 1, "s419-question-missing");
    assert_eq!(reply(&zone, &with(12, 0xc0), UDP).rcode, 1, "s419-pointer-in-question");
    assert_eq!(reply(&zone, &with(12, 63), UDP).rcode, 1, "s419-label-beyond-the-end");
    assert_eq!(reply(&zone, &web[..web.len() - 1], UDP).rcode, 1, "s419-short");
    let mut update = Vec::new();
    assert_eq!(answer(&with(2, 0x28), UDP, &zone, 7, &mut update), Answer::Reply);
    assert_eq!(update, [0x12, 0x34, 0xa8, 0x04, 0, 0, 0, 0, 0, 0, 0, 0], "s419-opcode");
    assert_eq!(answer(&with(2, 0x81), UDP, &zone, 7, &mut Vec::new()), Answer::Drop, "s419-reply");
    assert_eq!(answer(&web[..11], UDP, &zone, 7, &mut Vec::new()), Answer::Drop, "s419-no-header");
    assert_eq!(answer(&[], UDP, &zone, 7, &mut Vec::new()), Answer::Drop, "s419-empty");
}

#[test]
fn s419_edns_versions_other_than_0_are_bad() {
    let zone = Still::new(config(), cluster());
    let mut message = query("web.shop.svc.cluster.local.", 1, Some(4096));
    let opt = message.len() - 11;
    message[opt + 6] = 1;
    let reply_1 = reply(&zone, &message, UDP);
    assert_eq!((reply_1.rcode, reply_1.opt, reply_1.answer.len()), (16, Some((4096, 0, false)), 0));
    let mut twice = query("web.shop.svc.cluster.local.", 1, Some(4096));
    let opt: Vec<u8> = twice[twice.len() - 11..].to_vec();
    twice.extend_from_slice(&opt);
    twice[11] = 2;
    assert_eq!(reply(&zone, &twice, UDP).rcode, 1, "s419-two-opts");
}

#[test]
fn s420_the_opt_record_is_echoed_only_to_those_who_sent_one() {
    let zone = Still::new(config(), cluster());
    let ask = |udp_bytes| reply(&zone, &query("web.shop.svc.cluster.local.", 1, udp_bytes), UDP).opt;
    assert_eq!(ask(None), None);
    assert_eq!(ask(Some(1400)), Some((1400, 0, false)));
    assert_eq!(ask(Some(100)), Some((512, 0, false)));
    assert_eq!(ask(Some(65_535)), Some((4096, 0, false)));
    let mut dnssec = query("web.shop.svc.cluster.local.", 1, Some(1232));
    let opt = dnssec.len() - 11;
    dnssec[opt + 7] = 0x80;
    assert_eq!(reply(&zone, &dnssec, UDP).opt, Some((1232, 0, true)));
}

#[test]
fn s420_replies_keep_to_the_clients_size() {
    let zone = many(200);
    let check = |id: &str, rtype: &str, udp_bytes: Option<u16>, client: Client, expected: (bool, usize, usize)| {
        let reply = reply(&zone, &query(MANY, decode::type_number(rtype), udp_bytes), client);
        assert_eq!((reply.tc, reply.answer.len(), reply.additional.len()), expected, "{id}");
        let limit = if client.transport == Transport::Tcp { 65_535 } else { udp_bytes.unwrap_or(512) as usize };
        assert!(reply.bytes <= limit, "{id}: {} bytes", reply.bytes);
    };
    // Header and question have 45 bytes, an A record 16, an OPT record 11.
    check("s420-plain", "A", None, UDP, (true, 29, 0));
    check("s420-edns", "A", Some(1232), UDP, (true, 73, 0));
    check("s420-edns-large", "A", Some(4096), UDP, (false, 200, 0));
    check("s420-tcp", "A", None, TCP, (false, 200, 0));
    let zone = many(20);
    let check = |id: &str, udp_bytes: u16, expected: (bool, usize, bool)| {
        let reply = reply(&zone, &query(MANY, decode::type_number("SRV"), Some(udp_bytes)), UDP);
        assert_eq!((reply.tc, reply.answer.len(), !reply.additional.is_empty()), expected, "{id}");
        assert!(reply.bytes <= udp_bytes as usize, "{id}: {} bytes", reply.bytes);
    };
    // An SRV record has 18 bytes, the label's 7 or 8 and the rest of the target's 29: 1,090 bytes in all.
    check("s420-additional-dropped-first", 1146, (false, 20, false));
    check("s420-some-additional", 1200, (false, 20, true));
    check("s420-answers-cut", 1145, (true, 19, false));
}

#[test]
fn s420_tcp_replies_end_at_65535_bytes() {
    let zone = many(10_000);
    let cut = reply(&zone, &query(MANY, 1, None), TCP);
    // (65,535 - 45) / 16.
    assert_eq!((cut.tc, cut.answer.len()), (true, 4093));
}

#[test]
fn s421_the_order_of_addresses_changes_from_reply_to_reply() {
    let zone = Still::new(config(), cluster());
    let orders: BTreeSet<Vec<String>> = (0..64)
        .map(|seed| {
            let mut out = Vec::new();
            answer(&query("db.shop.svc.cluster.local.", 1, None), UDP, &zone, seed, &mut out);
            Message::decode(&out).answer
        })
        .collect();
    assert_eq!(orders.len(), 2);
    let firsts: BTreeSet<String> = (0..500)
        .map(|seed| {
            let mut out = Vec::new();
            answer(&query("near.shop.svc.cluster.local.", 1, None), UDP, &zone, seed, &mut out);
            Message::decode(&out).answer.swap_remove(0)
        })
        .collect();
    assert_eq!(firsts.len(), 1, "s421-cname-first: {firsts:?}");
}

#[test]
fn s423_a_reply_belongs_to_the_query_with_its_id_and_question() {
    let sent = query("www.example.com.", 1, Some(1232));
    let mut received = query("WWW.example.com.", 1, None);
    received[2] = 0x81;
    assert!(is_reply_to(&sent, &received));
    let differs = |at: usize, byte: u8| {
        let mut message = received.clone();
        message[at] = byte;
        !is_reply_to(&sent, &message)
    };
    assert!(differs(0, 0), "s423-id");
    assert!(differs(2, 0x01), "s423-not-a-reply");
    assert!(differs(13, b'x'), "s423-name");
    assert!(differs(received.len() - 3, 28), "s423-type");
    assert!(!is_reply_to(&sent, &[]), "s423-empty");
    assert!(!is_reply_to(&sent, &received[..20]), "s423-short");
}

#[test]
fn s423_replies_that_are_too_long_are_cut_and_failures_keep_the_question() {
    let asked = query("www.example.com.", 1, None);
    let mut long = asked.clone();
    long[2] = 0x81;
    long.resize(513, 0);
    long[..2].copy_from_slice(&[9, 9]);
    let mut out = Vec::new();
    fit(&asked, &long, UDP, &config(), &mut out);
    let cut = Message::decode(&out);
    assert_eq!((cut.id, cut.tc, cut.question.as_str(), cut.answer.len()), (0x1234, true, "www.example.com. A", 0));
    fit(&asked, &long, TCP, &config(), &mut out);
    assert_eq!((&out[..2], out.len()), (&[0x12, 0x34][..], 513));
    failure(&asked, Rcode::ServFail, UDP, &config(), &mut out);
    let failed = Message::decode(&out);
    assert_eq!(
        (failed.id, failed.rcode, failed.aa, failed.question.as_str()),
        (0x1234, 2, false, "www.example.com. A")
    );
}
