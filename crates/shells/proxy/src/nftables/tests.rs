//! What a real kernel refuses: mistakes are planted in the bytes on their way to it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use kernel::netns::Namespace;
use model::{
    Destination, Endpoint, Frontend, Masquerade, Outcome, Pool, PoolName, Protocol, Provenance, Role, Rule, Scope,
    Sources,
};
use nft::Batch;

use super::*;

/// The batches, with a mistake if there is one to make.
pub(super) fn spoiled(mut batches: Vec<Batch>, spoil: Option<fn(&mut [u8])>) -> Vec<Batch> {
    if let Some(spoil) = spoil {
        batches.iter_mut().for_each(|batch| spoil(&mut batch.bytes));
    }
    batches
}

fn frontend(last: u8) -> Frontend {
    let destination = Destination::Address(Ipv4Addr::new(10, 96, 0, last).into());
    Frontend { destination, protocol: Protocol::Tcp, port: 80 }
}

fn rule(last: u8, endpoints: &[u8]) -> Rule {
    let name = PoolName {
        namespace: "default".to_owned(),
        service: format!("s{last}"),
        port: String::new(),
        protocol: Protocol::Tcp,
        scope: Scope::Cluster,
    };
    let endpoint =
        |number: &u8| Endpoint { address: IpAddr::from([10, 244, 0, *number]), port: 8080, local: false, weight: 1 };
    let endpoints = endpoints.iter().map(endpoint).collect();
    let pool = Outcome::Pool(Pool { name: Arc::new(name), endpoints });
    Rule {
        role: Role::ClusterIp,
        sources: Sources::Any,
        near: pool.clone(),
        far: pool,
        masquerade: Masquerade::Never,
        affinity: None,
        provenance: Provenance::default(),
    }
}

/// Cluster IPs 10.96.0.1 to 10.96.0.9.
fn model(endpoints: &[u8]) -> Model {
    let frontends = (1..=9).map(|last| (frontend(last), rule(last, endpoints))).collect();
    Model { frontends, ..Model::empty(Family::V4) }
}

/// What of a Model is left without these.
fn without(model: &Model, gone: &[u8]) -> Model {
    let mut model = model.clone();
    model.frontends.retain(|one, _| !gone.iter().any(|last| *one == frontend(*last)));
    model
}

/// In every element `10.96.0.3 . tcp . 80 : code`, and in that of 10.96.0.7, the code gets a type that the kernel doesn't
/// know. To delete such an element needs no code, so that is left as it is.
fn spoil_codes(batch: &mut [u8]) {
    for last in [3, 7] {
        // The key, then the head of the data: its length and type.
        let element = [10, 96, 0, last, 6, 0, 0, 0, 0, 80, 0, 0, 12, 0, 2, 0x80, 8, 0];
        for at in 0..batch.len().saturating_sub(element.len()) {
            if batch[at..].starts_with(&element) {
                batch[at + element.len()] = 7;
            }
        }
    }
}

/// Every transaction ends in something that no kernel knows.
fn spoil_everything(batch: &mut [u8]) {
    // The type of the first message after the batch's beginning.
    let beginning = u32::from_ne_bytes([batch[0], batch[1], batch[2], batch[3]]) as usize;
    batch[beginning + 4] = 200;
}

fn in_namespace(test: impl FnOnce(Nftables) + Send) {
    let Ok(namespace) = Namespace::create() else {
        println!("SKIP: no network namespaces");
        return;
    };
    namespace.run(|| test(Nftables::open().expect("nftables"))).expect("the namespace can be entered");
}

fn frontends(applied: &Applied) -> Vec<Frontend> {
    applied.unserved.iter().filter_map(|unserved| unserved.frontend).collect()
}

/// What the kernel holds, read by another process's eyes.
fn held() -> Model {
    Nftables::open().and_then(|mut other| other.observe_family(Family::V4)).expect("it can be read")
}

#[test]
fn s361_a_frontend_that_the_kernel_refuses_keeps_out_only_itself() {
    in_namespace(|mut nftables| {
        nftables.spoil = Some(spoil_codes);
        let model = model(&[1, 2]);
        let observed = nftables.observe_family(Family::V4).expect("it can be read");
        let applied = nftables.apply(Family::V4, &Change::between(&observed, &model)).expect("all but two");
        assert_eq!(frontends(&applied), [frontend(3), frontend(7)]);
        assert!(applied.unserved[0].why.starts_with("frontend 10.96.0.3:80/tcp cannot be programmed: program `"));
        assert_eq!(held(), without(&model, &[3, 7]));

        // The image followed: what comes next is an increment, and nothing is tried in vain.
        let more = Change { frontends: [(frontend(20), Some(rule(20, &[1])))].into(), ..Change::default() };
        assert_eq!(nftables.apply(Family::V4, &more).expect("served").unserved, []);
        assert_eq!(held().frontends.len(), 8);
    });
}

#[test]
fn s361_what_a_refused_frontend_led_to_before_is_taken_away() {
    in_namespace(|mut nftables| {
        let before = model(&[1, 2]);
        nftables.apply(Family::V4, &Change::between(&Model::empty(Family::V4), &before)).expect("all");
        nftables.spoil = Some(spoil_codes);
        let after = model(&[1, 2, 3]);
        // An increment that is refused may also mean that the image is wrong, so the kernel is read first.
        let error = nftables.apply(Family::V4, &Change::between(&before, &after)).expect_err("refused");
        assert!(error.action.starts_with("program `"), "{}", error.action);
        assert_eq!(held(), before, "a refused transaction changes nothing");
        let observed = nftables.observe_family(Family::V4).expect("it can be read");
        nftables.recognize(&after);
        let applied = nftables.apply(Family::V4, &Change::between(&observed, &after)).expect("all but two");
        assert_eq!(frontends(&applied), [frontend(3), frontend(7)]);
        assert_eq!(held(), without(&after, &[3, 7]));
    });
}

#[test]
fn s361_a_kernel_that_refuses_everything_is_an_error_and_keeps_what_it_has() {
    in_namespace(|mut nftables| {
        let before = model(&[1]);
        nftables.apply(Family::V4, &Change::between(&Model::empty(Family::V4), &before)).expect("all");
        nftables.spoil = Some(spoil_everything);
        let observed = nftables.observe_family(Family::V4).expect("it can be read");
        let after = Model { service_ranges: ["10.96.0.0/16".parse().expect("a range")].into(), ..before.clone() };
        nftables.apply(Family::V4, &Change::between(&observed, &after)).expect_err("refused");
        assert_eq!(held(), before);
        nftables.spoil = None;
        let observed = nftables.observe_family(Family::V4).expect("it can be read");
        nftables.apply(Family::V4, &Change::between(&observed, &after)).expect("served again");
        assert_eq!(held(), after);
    });
}

#[test]
fn s361_each_family_has_transactions_of_its_own_after_one_look_at_both() {
    in_namespace(|mut nftables| {
        let model = model(&[1]);
        let v6 = Model { node_addresses: ["fd00::1".parse().expect("an address")].into(), ..Model::empty(Family::V6) };
        let [seen_v4, seen_v6] = nftables.observe().expect("both can be read");
        nftables.apply(Family::V4, &Change::between(&seen_v4, &model)).expect("IPv4");
        nftables.apply(Family::V6, &Change::between(&seen_v6, &v6)).expect("not stale by what was written just now");
        assert_eq!(Nftables::open().and_then(|mut other| other.observe()).expect("both"), [model, v6]);
        nftables.cleanup().expect("removed");
        assert_eq!(held(), Model::empty(Family::V4));
    });
}

/// Somebody else's commit to the ruleset.
fn commit_elsewhere() {
    let mut other = Nftables::open().expect("nftables");
    let [_, before] = other.observe().expect("it can be read");
    let number = before.node_addresses.len() + 1;
    let address = format!("fd00::{number}").parse().expect("an address");
    let after =
        Model { node_addresses: before.node_addresses.iter().copied().chain([address]).collect(), ..before.clone() };
    other.apply(Family::V6, &Change::between(&before, &after)).expect("written");
}

#[test]
fn a_foreign_commit_between_look_and_write_is_told_from_a_refusal() {
    in_namespace(|mut nftables| {
        let observed = nftables.observe_family(Family::V4).expect("it can be read");
        commit_elsewhere();
        let change = Change::between(&observed, &model(&[1]));
        let error = nftables.apply(Family::V4, &change).expect_err("what was observed may be wrong by now");
        assert!(error.outdated, "{}", error.action);
        nftables.observe_family(Family::V4).expect("it can be read");
        nftables.apply(Family::V4, &change).expect("nobody came between");
        assert_eq!(held(), model(&[1]));
    });
}

#[test]
fn foreign_commits_after_a_look_that_found_nothing_to_do_hinder_no_increment() {
    in_namespace(|mut nftables| {
        let before = model(&[1]);
        nftables.apply(Family::V4, &Change::between(&Model::empty(Family::V4), &before)).expect("all");
        let observed = nftables.observe_family(Family::V4).expect("it can be read");
        nftables.apply(Family::V4, &Change::between(&observed, &before)).expect("nothing to do");
        commit_elsewhere();
        let more = Change { frontends: [(frontend(20), Some(rule(20, &[1])))].into(), ..Change::default() };
        nftables.apply(Family::V4, &more).expect("an increment");
        assert_eq!(held().frontends.len(), 10);
    });
}
